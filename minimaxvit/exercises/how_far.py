"""Lesson 8: the receptive field of convolutions, and how few pixels hold half of a field."""

import torch

from .checking import Exercise


def receptive_field(kernels, strides):
    """Return the side of a token's field in pixels, and how many pixels tokens are apart."""
    side, apart = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        side += (kernel - 1) * apart
        apart *= stride
    return torch.tensor([side, apart])


def stacks():
    return [
        ((3, 3, 2, 3), (1, 1, 2, 1)),  # a pool between convolutions
        ((3, 3), (2, 1)),
        ((7, 3, 3, 2, 3), (2, 2, 1, 2, 1)),
        ((3, 3, 3, 5), (1, 1, 1, 1)),
    ]


def grown(kernels, strides, grow, side=1, stride_first=False):
    apart = 1
    for kernel, stride in zip(kernels, strides, strict=True):
        apart *= stride if stride_first else 1
        side = grow(side, kernel, apart)
        apart *= 1 if stride_first else stride
    return torch.tensor([side, apart])


def without_strides(kernels, strides):
    return grown(kernels, strides, lambda side, kernel, apart: side + kernel - 1)


def whole_kernels(kernels, strides):
    return grown(kernels, strides, lambda side, kernel, apart: side + kernel * apart)


def own_stride_first(kernels, strides):
    return grown(
        kernels, strides, lambda side, kernel, apart: side + (kernel - 1) * apart, stride_first=True
    )


def from_zero(kernels, strides):
    return grown(kernels, strides, lambda side, kernel, apart: side + (kernel - 1) * apart, side=0)


def multiplied(kernels, strides):
    return grown(kernels, strides, lambda side, kernel, apart: side * kernel)


def backwards_in_order(kernels, strides):
    side = 1
    for kernel, stride in zip(kernels, strides, strict=True):
        side = (side - 1) * stride + kernel
    return torch.tensor([side, receptive_field(kernels, strides)[1]])


def strides_added(kernels, strides):
    side, apart = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        side += (kernel - 1) * apart
        apart += stride - 1
    return torch.tensor([side, apart])


def own_stride_alone(kernels, strides):
    side = 1 + sum((kernel - 1) * stride for kernel, stride in zip(kernels, strides, strict=True))
    return torch.tensor([side, receptive_field(kernels, strides)[1]])


RECEPTIVE_FIELD = Exercise(
    truth=receptive_field,
    cases=stacks,
    mistakes=(
        (
            without_strides,
            "after a stride, neighbors are farther apart: add kernel - 1 of *those* steps.",
        ),
        (whole_kernels, "you added whole kernels, but one tap is there already: add kernel - 1."),
        (own_stride_first, "a layer's own stride counts only for the layers after it."),
        (own_stride_alone, "neighbors are as far apart as *all* strides before have made them."),
        (from_zero, "before any layer, the field of a token is one pixel: the token itself."),
        (multiplied, "kernels overlap, so sides add up instead of multiplying."),
        (
            backwards_in_order,
            "you go through the layers in the wrong order: adding (kernel - 1) * apart begins with "
            "the first layer, (side - 1) * stride + kernel with the last one.",
        ),
        (strides_added, "strides multiply: 2 after 2 keeps every fourth pixel."),
    ),
    hints=(
        "keep two numbers: the side so far, and how many pixels neighbors are apart so far.",
        "a kernel of k reaches k - 1 neighbors farther, which are as far apart as the strides of "
        "the layers *before* it have made them.",
        "with kernels (3, 3, 3) and strides (2, 1, 1), the side is 1, then 3, 7 and 11, and "
        "neighbors are 1, then 2, 2 and 2 pixels apart.",
    ),
)


def smallest_set(field, fraction):
    """Count the pixels of the smallest set, of any shape, that holds this fraction of the field."""
    mass = field.flatten().sort(descending=True).values.cumsum(0)
    return (mass < fraction * field.sum()).sum() + 1


def fields():
    generator = torch.Generator().manual_seed(0)
    sizes = ((8, 8, 0.5, 1), (6, 12, 0.9, 40), (20, 9, 0.2, 0.1))  # h, w, fraction, scale
    uneven = [
        (scale * torch.rand(h, w, generator=generator, dtype=torch.float64) ** 4, fraction)
        for h, w, fraction, scale in sizes
    ]
    return [*uneven, (torch.ones(32, 32, dtype=torch.float64), 0.5)]  # all pixels alike


def smallest_first(field, fraction):
    return (field.flatten().sort().values.cumsum(0) < fraction * field.sum()).sum() + 1


def as_they_come(field, fraction):
    return (field.flatten().cumsum(0) < fraction * field.sum()).sum() + 1


def one_short(field, fraction):
    return smallest_set(field, fraction) - 1


def one_too_many(field, fraction):
    mass = field.flatten().sort(descending=True).values.cumsum(0)
    return (mass <= fraction * field.sum()).sum() + 1


def with_all_ties(field, fraction):
    weakest = field.flatten().sort(descending=True).values[smallest_set(field, fraction) - 1]
    return (field >= weakest).sum()


def of_any_sum(field, fraction):
    return (field.flatten().sort(descending=True).values.cumsum(0) < fraction).sum() + 1


def above_threshold(field, fraction):
    return (field > fraction * field.max()).sum()


def fraction_of_pixels(field, fraction):
    return torch.tensor(round(fraction * field.numel()))


def row_by_row(field, fraction):
    mass = field.sort(descending=True).values.cumsum(1)
    return (mass < fraction * field.sum(1, keepdim=True)).sum() + len(field)


SMALLEST_SET = Exercise(
    truth=smallest_set,
    cases=fields,
    mistakes=(
        (
            smallest_first,
            "you began with the smallest values: the largest reach the fraction first.",
        ),
        (
            as_they_come,
            "you took the pixels in their order on the map: sort them first, the largest in front.",
        ),
        (one_short, "you stop one pixel before the fraction is reached."),
        (
            one_too_many,
            "pixels that hold *exactly* the fraction are enough, and you take one more: try it on "
            "torch.ones(2, 2), of which half is 2 pixels.",
        ),
        (
            with_all_ties,
            "you take every pixel that is as strong as the last one you need, but of equal pixels, "
            "take only as many as it takes.",
        ),
        (of_any_sum, "the field need not sum to 1: compare with the fraction of its sum."),
        (
            above_threshold,
            "you counted the pixels above a fraction of the *largest*: add up values instead.",
        ),
        (fraction_of_pixels, "that is a fraction of the number of pixels, whatever they hold."),
        (row_by_row, "you did it for each row separately: flatten the field first."),
    ),
    hints=(
        "which pixels would you take first, if you want to need as few as possible?",
        "sort the flat field, the largest first; cumsum says what the first 1, 2, 3, ... hold.",
        "count the sums that fall short of fraction * field.sum(), and think of what comes next.",
    ),
)
