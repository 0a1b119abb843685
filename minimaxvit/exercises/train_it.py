"""Lesson 9: the learning-rate schedule of a run, and label smoothing."""

import torch
import torch.nn.functional as F

from .checking import Exercise


def schedule(steps, warmup):
    """Rise linearly to 1 at step `warmup` - 1, then fall linearly, to 0 one step after the last."""
    step = torch.arange(steps, dtype=torch.float64)
    return torch.minimum((step + 1) / warmup, (steps - step) / (steps - warmup))


def schedules():
    return [(10, 2), (40, 10), (7, 3)]


def without_warmup(steps, warmup):
    step = torch.arange(steps, dtype=torch.float64)
    return (steps - step) / steps


def never_falls(steps, warmup):
    step = torch.arange(steps, dtype=torch.float64)
    return ((step + 1) / warmup).clamp(max=1)


def starts_at_zero(steps, warmup):
    step = torch.arange(steps, dtype=torch.float64)
    return torch.minimum(step / warmup, (steps - step) / (steps - warmup))


def product(steps, warmup):
    step = torch.arange(steps, dtype=torch.float64)
    return ((step + 1) / warmup).clamp(max=1) * (steps - step) / (steps - warmup)


def warmup_as_a_fraction(steps, warmup):
    step = torch.arange(steps, dtype=torch.float64)
    rising = warmup * steps
    return torch.minimum((step + 1) / rising, (steps - step) / (steps - rising))


def by_linspace(steps, warmup):
    rising = torch.linspace(0, 1, warmup, dtype=torch.float64)
    return torch.cat([rising, torch.linspace(1, 0, steps - warmup, dtype=torch.float64)])


def linspace_starts_at_zero(steps, warmup):
    rising = torch.linspace(0, 1, warmup, dtype=torch.float64)
    step = torch.arange(warmup, steps, dtype=torch.float64)
    return torch.cat([rising, (steps - step) / (steps - warmup)])


def falls_by_linspace(steps, warmup):
    step = torch.arange(warmup, dtype=torch.float64)
    falling = torch.linspace(1, 0, steps - warmup, dtype=torch.float64)
    return torch.cat([(step + 1) / warmup, falling])


def ends_at_zero(steps, warmup):
    step = torch.arange(steps, dtype=torch.float64)
    return torch.minimum((step + 1) / warmup, (steps - 1 - step) / (steps - warmup))


def falls_from_the_start(steps, warmup):
    step = torch.arange(steps, dtype=torch.float64)
    return torch.minimum((step + 1) / warmup, (steps - step) / steps)


SCHEDULE = Exercise(
    truth=schedule,
    cases=schedules,
    mistakes=(
        (without_warmup, "it starts at the full rate: it must first rise for `warmup` steps."),
        (never_falls, "it never falls: after the warmup it must go down to 0."),
        (starts_at_zero, "step 0 has a rate of 0, so it is wasted: count from 1 while it rises."),
        (warmup_as_a_fraction, "here `warmup` is a number of steps, not a fraction of them."),
        (
            by_linspace,
            "linspace puts 0 at the first step and at the last, so two steps are wasted: the lines "
            "should reach 0 one step before the first, and one after the last.",
        ),
        (
            linspace_starts_at_zero,
            "linspace begins at 0, so the first step is wasted: its rate should be 1 / `warmup`.",
        ),
        (
            falls_by_linspace,
            "linspace ends at 0, so the last step is wasted: reach 0 one step after the last.",
        ),
        (ends_at_zero, "the last step has a rate of 0, so it is wasted: reach 0 one step later."),
        (product, "you multiplied the two lines, and the peak is above 1; take the lower one."),
        (
            falls_from_the_start,
            "its fall is spread over all steps, but should begin where the warmup ends.",
        ),
    ),
    hints=(
        "write the line that rises and the line that falls, and take the lower one at each step.",
        "the rising line is (step + 1) / warmup; the falling one is 1 at step `warmup` and 0 at "
        "step `steps`.",
        "the falling line is (steps - step) / (steps - warmup); torch.minimum takes the lower one.",
    ),
)


def smoothed_loss(logits, labels, smoothing):
    """Take the cross-entropy with a target that spreads `smoothing` over all classes."""
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


def batches():
    generator = torch.Generator().manual_seed(0)
    sizes = ((4, 10, 0.1), (9, 3, 0.3), (1, 5, 0.2))
    return [
        (
            3 * torch.randn(b, classes, generator=generator, dtype=torch.float64),
            torch.randint(classes, (b,), generator=generator),
            smoothing,
        )
        for b, classes, smoothing in sizes
    ]


def against(logits, labels, certain, elsewhere):
    target = torch.full_like(logits, elsewhere).scatter(1, labels[:, None], certain)
    return -(target * logits.log_softmax(1)).sum(1).mean()


def without_smoothing(logits, labels, smoothing):
    return F.cross_entropy(logits, labels)


def over_the_others(logits, labels, smoothing):
    return against(logits, labels, 1 - smoothing, smoothing / (logits.shape[1] - 1))


def label_gets_no_part(logits, labels, smoothing):
    return against(logits, labels, 1 - smoothing, smoothing / logits.shape[1])


def undivided(logits, labels, smoothing):
    return against(logits, labels, 1.0, smoothing)


def summed(logits, labels, smoothing):
    return F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum")


def mean_over_classes(logits, labels, smoothing):
    return F.cross_entropy(logits, labels, label_smoothing=smoothing) / logits.shape[1]


def wrong_sign(logits, labels, smoothing):
    return -F.cross_entropy(logits, labels, label_smoothing=smoothing)


def across_the_batch(logits, labels, smoothing):
    one_hot = F.one_hot(labels, logits.shape[1])
    target = (1 - smoothing) * one_hot + smoothing / logits.shape[1]
    return -(target * logits.log_softmax(0)).sum(1).mean()


def of_probabilities(logits, labels, smoothing):
    return F.cross_entropy(logits.softmax(1), labels, label_smoothing=smoothing)


SMOOTHED_LOSS = Exercise(
    truth=smoothed_loss,
    cases=batches,
    mistakes=(
        (without_smoothing, "that is the usual cross-entropy: `smoothing` changes nothing in it."),
        (
            over_the_others,
            "you spread it over the *other* classes only; the label gets an equal part, too.",
        ),
        (
            label_gets_no_part,
            "your target sums to less than 1: the label gets 1 - smoothing *plus* an equal part of "
            "smoothing.",
        ),
        (undivided, "every class gets all of `smoothing`: divide it by the number of classes."),
        (summed, "you summed over the batch: take the mean."),
        (
            mean_over_classes,
            "you took the mean over the classes, too: sum over them, image by image.",
        ),
        (wrong_sign, "the sign is wrong: log_softmax is negative, but a loss is positive."),
        (across_the_batch, "you took the softmax over the images: take it over the classes."),
        (of_probabilities, "you took the softmax twice: cross-entropy already contains one."),
    ),
    hints=(
        "make the target first: one row per image, and each row sums to 1.",
        "a row is (1 - smoothing) times the one-hot label, plus smoothing / classes everywhere.",
        "the loss is the mean over images of -(target * logits.log_softmax(1)).sum(1).",
    ),
)
