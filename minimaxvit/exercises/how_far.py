"""Lesson 8: the receptive field of convolutions, and how few pixels hold half of a field."""

import torch

from .checking import Exercise


def receptive_field(kernels, strides):
    """Give the side of the field of one token in pixels, and the pixels between two tokens."""
    side, apart = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        side += (kernel - 1) * apart
        apart *= stride
    return torch.tensor([side, apart])


def stacks():
    return [
        ((3, 3, 2, 3), (1, 1, 2, 1)),  # compact to the end of stage 1
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


def never_apart(kernels, strides):
    return grown(kernels, strides, lambda side, kernel, apart: side + kernel - 1)


def whole_kernels(kernels, strides):
    return grown(kernels, strides, lambda side, kernel, apart: side + kernel * apart)


def own_stride_first(kernels, strides):
    return grown(
        kernels, strides, lambda side, kernel, apart: side + (kernel - 1) * apart, stride_first=True
    )


def from_nothing(kernels, strides):
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


RECEPTIVE_FIELD = Exercise(
    truth=receptive_field,
    cases=stacks,
    mistakes=(
        (never_apart, "after a stride neighbours stand farther apart: kernel - 1 steps of *that*."),
        (whole_kernels, "you added whole kernels; of three taps one is there already: kernel - 1."),
        (own_stride_first, "a layer's own stride counts only for the layers after it."),
        (from_nothing, "before any layer, a token sees one pixel: itself."),
        (multiplied, "kernels overlap, so sides add up; they do not multiply."),
        (
            backwards_in_order,
            "(side - 1) * stride + kernel goes from the token back to the pixels: last layer "
            "first.",
        ),
        (strides_added, "strides multiply: 2 after 2 leaves every fourth pixel."),
    ),
    hints=(
        "keep two numbers: the side so far, and how many pixels neighbours are apart by now.",
        "a kernel of k reaches k - 1 neighbours farther: side grows by (k - 1) * apart.",
        "then, and only then, apart grows: apart = apart * stride.",
    ),
    demands=((lambda found: not found.is_floating_point(), "counts must be integers, no floats."),),
)


def smallest_set(field, share):
    """Count the pixels of the smallest set, of any shape, that holds a share of the field."""
    mass = field.flatten().sort(descending=True).values.cumsum(0)
    return (mass < share * field.sum()).sum() + 1


def fields():
    generator = torch.Generator().manual_seed(0)
    sizes = ((8, 8, 0.5, 1), (6, 12, 0.9, 40), (20, 9, 0.2, 0.1))  # h, w, share, scale
    return [
        (scale * torch.rand(h, w, generator=generator, dtype=torch.float64) ** 4, share)
        for h, w, share, scale in sizes
    ]


def smallest_first(field, share):
    return (field.flatten().sort().values.cumsum(0) < share * field.sum()).sum() + 1


def as_they_come(field, share):
    return (field.flatten().cumsum(0) < share * field.sum()).sum() + 1


def one_short(field, share):
    return smallest_set(field, share) - 1


def of_any_sum(field, share):
    return (field.flatten().sort(descending=True).values.cumsum(0) < share).sum() + 1


def bright_ones(field, share):
    return (field > share * field.max()).sum()


def share_of_pixels(field, share):
    return torch.tensor(round(share * field.numel()))


def row_by_row(field, share):
    mass = field.sort(descending=True).values.cumsum(1)
    return (mass < share * field.sum(1, keepdim=True)).sum() + len(field)


SMALLEST_SET = Exercise(
    truth=smallest_set,
    cases=fields,
    mistakes=(
        (smallest_first, "you began with the smallest pixels; the largest fill the share soonest."),
        (as_they_come, "you took the pixels as they come: sort them, the largest first."),
        (one_short, "you stop one pixel before the share is reached."),
        (of_any_sum, "the field need not sum to 1: take the share of its sum."),
        (bright_ones, "you counted pixels above a share of the *largest*; sum up mass instead."),
        (share_of_pixels, "that is a share of the pixels, whatever they hold."),
        (row_by_row, "you did it for each row by itself: flatten the field first."),
    ),
    hints=(
        "which pixels would you take first, to need as few as possible?",
        "sort the flat field, largest first; cumsum says what the first 1, 2, 3, ... hold.",
        "count those sums below share * field.sum(); one more pixel reaches it.",
    ),
    demands=((lambda found: not found.is_floating_point(), "counts must be integers, no floats."),),
)
