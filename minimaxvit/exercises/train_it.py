"""Lesson 9: the rates of a run, and a loss that does not ask for certainty."""

import torch
import torch.nn.functional as F

from .checking import Exercise


def schedule(steps, warm_up):
    """Up along a line to 1 at step `warm_up` - 1, then down along a line, to 0 after the last."""
    step = torch.arange(steps, dtype=torch.float64)
    return torch.minimum((step + 1) / warm_up, (steps - step) / (steps - warm_up))


def schedules():
    return [(10, 2), (40, 10), (7, 3)]


def never_warm(steps, warm_up):
    step = torch.arange(steps, dtype=torch.float64)
    return (steps - step) / steps


def never_falls(steps, warm_up):
    step = torch.arange(steps, dtype=torch.float64)
    return ((step + 1) / warm_up).clamp(max=1)


def starts_at_nothing(steps, warm_up):
    step = torch.arange(steps, dtype=torch.float64)
    return torch.minimum(step / warm_up, (steps - step) / (steps - warm_up))


def product(steps, warm_up):
    step = torch.arange(steps, dtype=torch.float64)
    return ((step + 1) / warm_up).clamp(max=1) * (steps - step) / (steps - warm_up)


def warm_up_as_a_share(steps, warm_up):
    step = torch.arange(steps, dtype=torch.float64)
    rising = warm_up * steps
    return torch.minimum((step + 1) / rising, (steps - step) / (steps - rising))


def by_linspace(steps, warm_up):
    rising = torch.linspace(0, 1, warm_up, dtype=torch.float64)
    return torch.cat([rising, torch.linspace(1, 0, steps - warm_up, dtype=torch.float64)])


def starts_linspace_at_nothing(steps, warm_up):
    rising = torch.linspace(0, 1, warm_up, dtype=torch.float64)
    step = torch.arange(warm_up, steps, dtype=torch.float64)
    return torch.cat([rising, (steps - step) / (steps - warm_up)])


def ends_at_nothing(steps, warm_up):
    step = torch.arange(steps, dtype=torch.float64)
    return torch.minimum((step + 1) / warm_up, (steps - 1 - step) / (steps - warm_up))


def falls_from_the_start(steps, warm_up):
    step = torch.arange(steps, dtype=torch.float64)
    return torch.minimum((step + 1) / warm_up, (steps - step) / steps)


SCHEDULE = Exercise(
    truth=schedule,
    cases=schedules,
    mistakes=(
        (never_warm, "it starts at full rate: for `warm_up` steps it must rise first."),
        (never_falls, "it never falls: after the warm-up it must go down to 0."),
        (starts_at_nothing, "step 0 has rate 0, so it is wasted: count from 1 while rising."),
        (warm_up_as_a_share, "`warm_up` is a number of steps here, not a share of them."),
        (
            by_linspace,
            "linspace puts 0 at the first step and at the last, so two steps are wasted: the lines "
            "reach 0 one step before the first, and one after the last.",
        ),
        (
            starts_linspace_at_nothing,
            "linspace begins at 0, so the first step is wasted: it has rate 1 / `warm_up`.",
        ),
        (ends_at_nothing, "the last step has rate 0, so it is wasted: reach 0 one step later."),
        (product, "you multiplied the two lines, and the peak is above 1; take the lower one."),
        (
            falls_from_the_start,
            "its fall is spread over all steps; it should begin where the warm-up ends.",
        ),
    ),
    hints=(
        "write the line that rises and the line that falls, then take the lower one at each step.",
        "rising: (step + 1) / warm_up. Falling: it is 1 at step warm_up and 0 at step `steps`.",
        "falling: (steps - step) / (steps - warm_up); torch.minimum gives the lower one.",
    ),
)


def smoothed_loss(logits, labels, smoothing):
    """Cross-entropy against a target that spreads `smoothing` over all classes, as PyTorch does."""
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


def label_gets_no_share(logits, labels, smoothing):
    return against(logits, labels, 1 - smoothing, smoothing / logits.shape[1])


def share_undivided(logits, labels, smoothing):
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
        (without_smoothing, "that is the usual cross-entropy: `smoothing` changes nothing."),
        (
            over_the_others,
            "you shared it among the *other* classes; the label has its equal share too.",
        ),
        (
            label_gets_no_share,
            "your target sums to less than 1: the label has 1 - smoothing *plus* its equal share.",
        ),
        (share_undivided, "every class gets all of `smoothing`: divide it by the classes."),
        (summed, "you summed over the batch; take the mean."),
        (
            mean_over_classes,
            "you took the mean over the classes too; sum them, picture by picture.",
        ),
        (wrong_sign, "its sign is wrong: log_softmax is negative, and a loss is positive."),
        (across_the_batch, "you took the softmax over the pictures; take it over the classes."),
        (of_probabilities, "you took the softmax twice: cross-entropy already takes it."),
    ),
    hints=(
        "make the target first: a row a picture, and each row sums to 1.",
        "a row is (1 - smoothing) times the one-hot label, plus smoothing / classes everywhere.",
        "the loss is the mean over pictures of -(target * logits.log_softmax(1)).sum(1).",
    ),
)
