"""Lesson 14: the soft split, tokens read from a whole map, and the loss of distillation."""

import torch
import torch.nn.functional as F
from einops import rearrange

from ..relatives.deit import hard_distillation, soft_distillation
from .checking import Exercise


def soft_split(x, k, s, p):
    """Cut a map into windows of k x k that overlap by s: (b, c, h, w) -> (b, n, c * k * k)."""
    return F.unfold(x, k, stride=k - s, padding=p).mT


def maps_to_split():
    generator = torch.Generator().manual_seed(0)
    sizes = (((2, 3, 8, 6), 3, 1, 1), ((1, 2, 4, 5), 3, 2, 1), ((1, 2, 7, 9), 4, 1, 2))
    return [(torch.randn(shape, generator=generator), *rest) for shape, *rest in sizes]


def sides_of(x, k, s, p):
    return [(side + 2 * p - k) // (k - s) + 1 for side in x.shape[2:]]


def overlap_for_stride(x, k, s, p):
    return F.unfold(x, k, stride=s, padding=p).mT


def no_overlap(x, k, s, p):
    return F.unfold(x, k, stride=k, padding=p).mT


def no_padding(x, k, s, p):
    return soft_split(x, k, s, 0)


def not_transposed(x, k, s, p):
    return soft_split(x, k, s, p).mT


def reshaped(x, k, s, p):
    tokens = soft_split(x, k, s, p)
    return tokens.mT.reshape(tokens.shape)


def channels_last(x, k, s, p):
    return rearrange(soft_split(x, k, s, p), "b n (c k1 k2) -> b n (k1 k2 c)", k1=k, k2=k)


def windows_by_columns(x, k, s, p):
    return rearrange(soft_split(x, k, s, p), "b n (c k1 k2) -> b n (c k2 k1)", k1=k, k2=k)


def tokens_by_columns(x, k, s, p):
    h, _ = sides_of(x, k, s, p)
    return rearrange(soft_split(x, k, s, p), "b (h w) k -> b (w h) k", h=h)


def as_a_map(x, k, s, p):
    h, _ = sides_of(x, k, s, p)
    return rearrange(soft_split(x, k, s, p), "b (h w) k -> b k h w", h=h)


SOFT_SPLIT = Exercise(
    truth=soft_split,
    cases=maps_to_split,
    mistakes=(
        (
            overlap_for_stride,
            "s is by how much windows overlap: they are k - s apart, and that is the stride.",
        ),
        (no_overlap, "your windows do not overlap: they should be k - s apart."),
        (no_padding, "p rows and columns of zeros should be put around the map."),
        (
            not_transposed,
            "F.unfold puts the numbers of a token before the tokens: exchange the two axes.",
        ),
        (
            reshaped,
            "the shape is right, but a reshape does not exchange axes: each of your tokens mixes "
            "numbers of several windows.",
        ),
        (
            channels_last,
            "your tokens have all channels of a place together; they should have all places of a "
            "channel together, as the weights of a convolution do.",
        ),
        (windows_by_columns, "each window should be read row by row, not column by column."),
        (tokens_by_columns, "your tokens are in order column by column, not row by row."),
        (as_a_map, "the tokens should be in a sequence, (b, n, c * k * k), not on a map."),
    ),
    hints=(
        "how far apart are windows of k that overlap by s?",
        "F.unfold cuts windows; its arguments are the kernel size, stride and padding.",
        "look at the shape that F.unfold returns: which of its axes counts the windows?",
    ),
)


def visual_tokens(x, filters):
    """Let each filter read a mean of the whole map: (b, c, h, w), (l, c) -> (b, l, c)."""
    places = rearrange(x, "b c h w -> b (h w) c")
    return (filters @ places.mT).softmax(-1) @ places


def maps_and_filters():
    generator = torch.Generator().manual_seed(0)
    sizes = ((2, 4, 3, 5, 3), (1, 6, 4, 2, 2))
    return [
        (torch.randn(b, c, h, w, generator=generator), torch.randn(count, c, generator=generator))
        for b, c, h, w, count in sizes
    ]


def read_by(weigh, x, filters):
    places = rearrange(x, "b c h w -> b (h w) c")
    return weigh(filters @ places.mT, x) @ places  # scores (b, l, h * w)


def over_tokens(x, filters):
    return read_by(lambda scores, x: scores.softmax(1), x, filters)


def over_images(x, filters):
    return read_by(lambda scores, x: scores.softmax(0), x, filters)


def over_columns(x, filters):
    def weigh(scores, x):
        return scores.unflatten(2, x.shape[2:]).softmax(-1).flatten(2)

    return read_by(weigh, x, filters)


def over_rows(x, filters):
    def weigh(scores, x):
        return scores.unflatten(2, x.shape[2:]).softmax(-2).flatten(2)

    return read_by(weigh, x, filters)


def without_softmax(x, filters):
    return read_by(lambda scores, x: scores, x, filters)


def scaled(x, filters):
    return read_by(lambda scores, x: (scores / x.shape[1] ** 0.5).softmax(-1), x, filters)


def divided_again(x, filters):
    return read_by(lambda scores, x: scores.softmax(-1) / scores.shape[-1], x, filters)


def map_reshaped(x, filters):
    b, c, h, w = x.shape
    places = x.reshape(b, h * w, c)
    return (filters @ places.mT).softmax(-1) @ places


def channels_first(x, filters):
    return visual_tokens(x, filters).mT


def weights_alone(x, filters):
    return (filters @ x.flatten(2)).softmax(-1)


VISUAL_TOKENS = Exercise(
    truth=visual_tokens,
    cases=maps_and_filters,
    mistakes=(
        (
            over_tokens,
            "your softmax goes over the tokens, as in the projector. Here each token chooses among "
            "the places: its weights should sum to 1 over the whole map.",
        ),
        (over_images, "your softmax goes over the images of the batch."),
        (over_columns, "your softmax goes along each row: take all places of the map together."),
        (over_rows, "your softmax goes along each column: take all places of the map together."),
        (without_softmax, "the scores should go through a softmax over the places."),
        (scaled, "here, the scores are not divided by the square root of c."),
        (divided_again, "the weights sum to 1 already: do not divide by the number of places."),
        (
            map_reshaped,
            "a reshape from (b, c, h, w) mixes channels and places: first move the axis of the "
            "channels behind those of rows and columns.",
        ),
        (channels_first, "return (b, l, c): tokens first, then channels."),
        (weights_alone, "those are the weights; each token is the mean of the map by them."),
    ),
    hints=(
        "first write the map as a sequence of places, (b, h * w, c).",
        "the scores are the products of each filter with each place, (b, l, h * w); over which of "
        "these axes should the weights of a token sum to 1?",
        "a token is the sum of all places, each times its weight: a matrix product.",
    ),
)


def predictions():
    generator, cases = torch.Generator().manual_seed(0), []
    for b, classes, weight, temperature in ((4, 5, 0.1, 3.0), (3, 8, 0.4, 2.0)):
        logits, distilled, teacher = 2 * torch.randn(3, b, classes, generator=generator)
        labels = torch.randint(classes, (b,), generator=generator)
        cases.append((logits, distilled, labels, teacher, weight, temperature))
    return cases


def distill(logits, distilled, labels, teacher, weight, temperature):
    """Learn from labels and a teacher: -> a loss without axes."""
    return soft_distillation(logits, distilled, labels, teacher, weight, temperature)


def combined(logits, labels, weight, divergence):
    return (1 - weight) * F.cross_entropy(logits, labels) + weight * divergence


def divergence(student, teacher):
    return F.kl_div(student, teacher, reduction="none", log_target=True)


def softened(*arguments):
    """Log-probabilities of the distillation token and of the teacher, and the other arguments."""
    logits, distilled, labels, teacher, weight, t = arguments
    return (distilled / t).log_softmax(1), (teacher / t).log_softmax(1), logits, labels, weight, t


def direction_reversed(*arguments):
    student, teacher, logits, labels, weight, t = softened(*arguments)
    return combined(logits, labels, weight, t**2 * divergence(teacher, student).mean())


def temperature_forgotten(*arguments):
    student, teacher, logits, labels, weight, t = softened(*arguments)
    return combined(logits, labels, weight, divergence(student, teacher).mean())


def temperature_not_squared(*arguments):
    student, teacher, logits, labels, weight, t = softened(*arguments)
    return combined(logits, labels, weight, t * divergence(student, teacher).mean())


def summed_over_classes(*arguments):
    student, teacher, logits, labels, weight, t = softened(*arguments)
    return combined(logits, labels, weight, t**2 * divergence(student, teacher).sum(1).mean())


def summed_over_all(*arguments):
    student, teacher, logits, labels, weight, t = softened(*arguments)
    return combined(logits, labels, weight, t**2 * divergence(student, teacher).sum())


def cross_entropy_for_divergence(*arguments):
    student, teacher, logits, labels, weight, t = softened(*arguments)
    return combined(logits, labels, weight, -(t**2) * (teacher.exp() * student).mean())


def raw_logits(logits, distilled, labels, teacher, weight, t):
    apart = F.kl_div(distilled / t, (teacher / t).softmax(1), reduction="none").mean()
    return combined(logits, labels, weight, t**2 * apart)


def probabilities_for_logs(logits, distilled, labels, teacher, weight, t):
    student, taught = (distilled / t).softmax(1), (teacher / t).softmax(1)
    apart = F.kl_div(student, taught, reduction="none").mean()
    return combined(logits, labels, weight, t**2 * apart)


def logs_for_probabilities(*arguments):
    student, teacher, logits, labels, weight, t = softened(*arguments)
    apart = F.kl_div(student, teacher, reduction="none").mean()
    return combined(logits, labels, weight, t**2 * apart)


def tokens_exchanged(logits, distilled, *rest):
    return soft_distillation(distilled, logits, *rest)


def class_token_alone(logits, distilled, *rest):
    return soft_distillation(logits, logits, *rest)


def weights_exchanged(logits, distilled, labels, teacher, weight, t):
    return soft_distillation(logits, distilled, labels, teacher, 1 - weight, t)


def teacher_not_softened(logits, distilled, labels, teacher, weight, t):
    return soft_distillation(logits, distilled, labels, t * teacher, weight, t)


def student_not_softened(logits, distilled, labels, teacher, weight, t):
    return soft_distillation(logits, t * distilled, labels, teacher, weight, t)


def neither_softened(logits, distilled, labels, teacher, weight, t):
    return soft_distillation(logits, t * distilled, labels, t * teacher, weight, t)


def cross_entropy_softened(logits, distilled, labels, teacher, weight, t):
    return soft_distillation(logits / t, distilled, labels, teacher, weight, t)


def distilled_for_both(logits, distilled, *rest):
    return soft_distillation(distilled, distilled, *rest)


def multiplied(logits, distilled, labels, teacher, weight, t):
    return soft_distillation(logits, t**2 * distilled, labels, t**2 * teacher, weight, t)


def over_the_batch(logits, distilled, labels, teacher, weight, t):
    student, taught = (distilled / t).log_softmax(0), (teacher / t).log_softmax(0)
    return combined(logits, labels, weight, t**2 * divergence(student, taught).mean())


def hard(logits, distilled, labels, teacher, weight, t):
    return hard_distillation(logits, distilled, labels, teacher)


SOFT_DISTILLATION = Exercise(
    truth=distill,
    cases=predictions,
    mistakes=(
        (
            direction_reversed,
            "your divergence runs from the student to the teacher: the teacher's probabilities are "
            "those that weigh the classes. (F.kl_div takes the student first.)",
        ),
        (temperature_forgotten, "multiply the divergence by the square of the temperature."),
        (
            temperature_not_squared,
            "multiply the divergence by the square of the temperature, not by the temperature.",
        ),
        (
            summed_over_classes,
            "that is the formula of the paper. Here the divergence is divided by the number of "
            "classes, too, as in the official code.",
        ),
        (
            summed_over_all,
            "divide the divergence by the number of images and by that of classes.",
        ),
        (
            cross_entropy_for_divergence,
            "that is the teacher's cross-entropy; the divergence is less by the teacher's entropy. "
            "(Their gradients are the same.)",
        ),
        (raw_logits, "the first argument of F.kl_div must be log-probabilities, not logits."),
        (
            probabilities_for_logs,
            "the first argument of F.kl_div must be log-probabilities, not probabilities.",
        ),
        (
            logs_for_probabilities,
            "F.kl_div takes probabilities as its second argument, unless log_target=True.",
        ),
        (
            tokens_exchanged,
            "the class token learns from the labels, and the distillation token from the teacher.",
        ),
        (distilled_for_both, "the cross-entropy is that of the class token, `logits`."),
        (class_token_alone, "it is the distillation token that learns from the teacher."),
        (weights_exchanged, "the divergence counts `weight`, and the cross-entropy 1 - `weight`."),
        (teacher_not_softened, "divide the logits of the teacher by the temperature, too."),
        (student_not_softened, "divide the logits of the student by the temperature, too."),
        (neither_softened, "divide the logits of both by the temperature before the softmax."),
        (
            cross_entropy_softened,
            "the temperature belongs to the divergence alone, not to the cross-entropy.",
        ),
        (multiplied, "divide the logits by the temperature, instead of multiplying them by it."),
        (over_the_batch, "your softmax goes over the images; it should go over the classes."),
        (hard, "that is hard distillation: here, use all probabilities of the teacher."),
    ),
    hints=(
        "you need log-probabilities of two: of the distillation token and of the teacher, both "
        "with their logits divided by the temperature first.",
        "the divergence is the sum of p * (log p - log q), where p is the teacher's; take the mean "
        "over images and classes, and multiply it by the square of the temperature.",
        "add both losses: (1 - weight) times the cross-entropy of the class token, and weight "
        "times the divergence.",
    ),
)
