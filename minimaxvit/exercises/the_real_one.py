"""Lesson 11: statistics that move although no parameter does, and tables for larger windows."""

import torch
import torch.nn.functional as F

from .checking import Exercise


def drift(mean, batches, momentum):
    """Move a batch norm's running mean, (c,), through batches, (steps, b, c, h, w)."""
    for batch in batches:
        mean = (1 - momentum) * mean + momentum * batch.mean((0, 2, 3))
    return mean


def passes():
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    sizes = ((3, 2, 4, 3, 5, 0.1), (2, 5, 3, 4, 4, 0.01), (4, 1, 2, 2, 3, 0.3))
    return [(normal(c), 1 + normal(n, b, c, h, w), m) for n, b, c, h, w, m in sizes]


def reversed_momentum(mean, batches, momentum):
    return drift(mean, batches, 1 - momentum)


def mean_of_all(mean, batches, momentum):
    return (1 - momentum) * mean + momentum * batches.mean((0, 1, 3, 4))


def from_the_first_mean(mean, batches, momentum):
    for batch in batches:
        moved = (1 - momentum) * mean + momentum * batch.mean((0, 2, 3))
    return moved


def only_the_last(mean, batches, momentum):
    return batches[-1].mean((0, 2, 3))


def never_forgets(mean, batches, momentum):
    for batch in batches:
        mean = mean + momentum * batch.mean((0, 2, 3))
    return mean


def stops_early(mean, batches, momentum):
    return drift(mean, batches[:1], momentum)


def image_by_image(mean, batches, momentum):
    return drift(mean, batches.flatten(0, 1)[:, None], momentum)


def one_mean_for_all(mean, batches, momentum):
    for batch in batches:
        mean = (1 - momentum) * mean + momentum * batch.mean()
    return mean


def a_row_per_image(mean, batches, momentum):
    for batch in batches:
        mean = (1 - momentum) * mean + momentum * batch.mean((2, 3))
    return mean


def plain_mean(mean, batches, momentum):
    return batches.mean((0, 1, 3, 4))


def backward(mean, batches, momentum):
    return drift(mean, batches.flip(0), momentum)


def momentum_forgotten(mean, batches, momentum):
    for batch in batches:
        mean = (1 - momentum) * mean + batch.mean((0, 2, 3))
    return mean


def of_the_first_image(mean, batches, momentum):
    return drift(mean, batches[:, :1], momentum)


DRIFT = Exercise(
    truth=drift,
    cases=passes,
    mistakes=(
        (
            reversed_momentum,
            "you kept `momentum` of the old mean, as TensorFlow does, but in PyTorch `momentum` is "
            "the part that the new batch gets.",
        ),
        (mean_of_all, "each batch moves the mean once, one after another; you moved it only once."),
        (from_the_first_mean, "each step must begin from the mean that the step before has left."),
        (only_the_last, "a batch does not replace the running mean, it moves it a little."),
        (never_forgets, "the old mean must shrink by what the batch gets: (1 - momentum) * mean."),
        (of_the_first_image, "a batch's mean is over all of its images, not the first alone."),
        (stops_early, "you stopped after the first batch: return after the loop."),
        (image_by_image, "all images of a batch make one step together, not one each."),
        (one_mean_for_all, "each channel has its own mean: keep the axis of channels."),
        (a_row_per_image, "average over the images of the batch, too."),
        (plain_mean, "the running mean starts from `mean`, and each batch moves it by `momentum`."),
        (backward, "you went through the batches from the last to the first."),
        (momentum_forgotten, "what a batch brings counts `momentum` times."),
    ),
    hints=(
        "a batch's mean of each channel is over its images, rows and columns.",
        "start from `mean` and go through the batches with a loop; each of them moves it a little.",
        "the new mean is a mixture of the old one and the batch's: their parts sum to 1.",
    ),
)


SIDE = "offsets run from -(window - 1) to window - 1, so a table has 2 * window - 1 rows."


def resize_tables(tables, window):
    """Resize bias tables (heads, 2p - 1, 2p - 1) to those of a window of another side."""
    side = 2 * window - 1
    return F.interpolate(tables[None], (side, side), mode="bilinear")[0]


def tables_and_windows():
    generator = torch.Generator().manual_seed(0)
    sizes = ((2, 3, 5), (1, 4, 7), (3, 2, 4))  # heads, the old window, the new one
    return [
        (torch.randn(heads, 2 * p - 1, 2 * p - 1, generator=generator, dtype=torch.float64), new)
        for heads, p, new in sizes
    ]


def by_the_window(tables, window):
    return F.interpolate(tables[None], (window, window), mode="bilinear")[0]


def twice_the_window(tables, window):
    return F.interpolate(tables[None], (2 * window, 2 * window), mode="bilinear")[0]


def corners_aligned(tables, window):
    side = 2 * window - 1
    return F.interpolate(tables[None], (side, side), mode="bilinear", align_corners=True)[0]


def nearest(tables, window):
    return F.interpolate(tables[None], (2 * window - 1, 2 * window - 1))[0]


def bicubic(tables, window):
    side = 2 * window - 1
    return F.interpolate(tables[None], (side, side), mode="bicubic")[0]


def along_one_axis(tables, window):
    side = 2 * window - 1
    flat = F.interpolate(tables.flatten(1)[None], side**2, mode="linear")[0]
    return flat.view(-1, side, side)


def area(tables, window):
    side = 2 * window - 1
    return F.interpolate(tables[None], (side, side), mode="area")[0]


def bicubic_aligned(tables, window):
    side = 2 * window - 1
    return F.interpolate(tables[None], (side, side), mode="bicubic", align_corners=True)[0]


def nearest_exact(tables, window):
    return F.interpolate(tables[None], (2 * window - 1, 2 * window - 1), mode="nearest-exact")[0]


def one_more(tables, window):
    side = 2 * window + 1
    return F.interpolate(tables[None], (side, side), mode="bilinear")[0]


def window_aligned(tables, window):
    how = {"mode": "bilinear", "align_corners": True}
    return F.interpolate(tables[None], (window, window), **how)[0]


def edge_repeated(tables, window):
    more = 2 * window - 1 - tables.shape[-1]
    return F.pad(tables[None], (more // 2, more - more // 2) * 2, mode="replicate")[0]


def padded_with_zeros(tables, window):
    more = 2 * window - 1 - tables.shape[-1]
    return F.pad(tables, (more // 2, more - more // 2) * 2)


def transposed(tables, window):
    return resize_tables(tables, window).mT


RESIZE_TABLES = Exercise(
    truth=resize_tables,
    cases=tables_and_windows,
    mistakes=(
        (by_the_window, SIDE),
        (twice_the_window, "there is one offset 0, not two: a table has 2 * window - 1 rows."),
        (
            corners_aligned,
            "you aligned the corners of the tables, which the official code does not do.",
        ),
        (window_aligned, SIDE),
        (one_more, SIDE),
        (nearest, "you copied the nearest number; interpolate bilinearly."),
        (nearest_exact, "you copied the nearest number; interpolate bilinearly."),
        (area, "you averaged areas; interpolate bilinearly."),
        (bicubic, "that is bicubic interpolation; the official networks' is bilinear."),
        (bicubic_aligned, "that is bicubic interpolation; the official networks' is bilinear."),
        (edge_repeated, "you repeated the edge of the table; stretch the whole table instead."),
        (
            along_one_axis,
            "you interpolated the flattened table, which mixes the end of one row with the start "
            "of the next: interpolate over both axes.",
        ),
        (
            padded_with_zeros,
            "you padded the table with zeros, so that the new far offsets know nothing: stretch "
            "it instead.",
        ),
        (transposed, "your tables are transposed: rows are offsets down, columns offsets right."),
    ),
    hints=(
        "how many rows has a table whose offsets run from -(window - 1) to window - 1?",
        "F.interpolate resizes the last two axes, and wants two axes before them: (b, c, h, w).",
        'let the heads be the channels of a single image, and choose mode="bilinear".',
    ),
)
