"""Lesson 1: the cost of attention in windows, and the size of each stage's map."""

import torch

from .checking import Exercise


def window_cost(h, w, c, window):
    """Count the multiply-adds of attention in windows: linear layers, and products of pairs."""
    tokens, t = h * w, window * window
    return torch.tensor(4 * tokens * c * c + 2 * tokens * t * c)


def maps():
    return [(8, 8, 32, 4), (56, 56, 64, 7), (14, 28, 256, 7)]


def everyone_meets(h, w, c, window):
    return window_cost(h, w, c, 1) + 2 * (h * w) ** 2 * c - 2 * h * w * c


def products_alone(h, w, c, window):
    return window_cost(h, w, c, window) - 4 * h * w * c * c


def projections_alone(h, w, c, window):
    return torch.tensor(4 * h * w * c * c)


def one_product(h, w, c, window):
    return window_cost(h, w, c, window) - h * w * window**2 * c


def three_projections(h, w, c, window):
    return window_cost(h, w, c, window) - h * w * c * c


def c_per_layer(h, w, c, window):
    return window_cost(h, w, c, window) - 4 * h * w * c * (c - 1)


def square_map(h, w, c, window):
    return window_cost(h, h, c, window)


def side_for_tokens(h, w, c, window):
    return torch.tensor(4 * h * w * c * c + 2 * h * w * window * c)


def counted_twice(h, w, c, window):
    return 2 * window_cost(h, w, c, window)


def with_feed_forward(h, w, c, window):
    return window_cost(h, w, c, window) + 8 * h * w * c * c


def one_token(h, w, c, window):
    return window_cost(1, 1, c, window)


def one_window(h, w, c, window):
    return window_cost(window, window, c, window)


WINDOW_COST = Exercise(
    truth=window_cost,
    cases=maps,
    mistakes=(
        (
            everyone_meets,
            "a token meets only the window * window tokens of its window, not the whole map.",
        ),
        (products_alone, "the four linear layers are missing: they cost c * c each."),
        (projections_alone, "the pairs are missing: the comparisons and the weighted sum."),
        (one_product, "each pair costs two products: one for the comparison and one for the sum."),
        (three_projections, "there are four linear layers from c to c, not three."),
        (c_per_layer, "a linear layer from c to c numbers costs c * c for each token, not c."),
        (square_map, "it only works on square maps: there are h * w tokens."),
        (side_for_tokens, "a window holds window * window tokens, not `window`."),
        (counted_twice, "a multiply-add counts as one here, not as two operations."),
        (with_feed_forward, "you counted the two wider layers, too; only four count, c * c each."),
        (one_token, "this is the cost of one token, but the map has h * w of them."),
        (one_window, "this is the cost of one window, but all windows together hold h * w tokens."),
    ),
    hints=(
        "count for one token first, then multiply by the number of tokens, h * w.",
        "a linear layer costs c * c for each token, and there are four of them.",
        "a window has window * window tokens; a token meets each of them twice, once to be "
        "compared with it and once in the weighted sum, and both times it costs c.",
    ),
)


def stage_sides(side, stages):
    """List the sides of the stages' maps: each is half of the one before, rounded up."""
    sides = []
    side = -(-side // 2)  # the stem
    for _ in range(stages):
        side = -(-side // 2)
        sides.append(side)
    return torch.tensor(sides)


def images():
    return [(224, 4), (32, 2), (445, 4), (61, 3), (63, 3), (42, 3)]


def without_stem(side, stages):
    return stage_sides(2 * side, stages)


def rounded_down(side, stages):
    return torch.tensor([side // 2 ** (stage + 2) for stage in range(stages)])


def stem_rounded_down(side, stages):
    return stage_sides(side - side % 2, stages)


def stages_rounded_down(side, stages):
    return rounded_down(side + side % 2, stages)


def rounded_to_nearest(side, stages):
    return torch.tensor([round(side / 2 ** (stage + 2)) for stage in range(stages)])


def halves_rounded_to_nearest(side, stages):
    """Round each half as Python does: 30.5 to 30, and 31.5 to 32."""
    sides = [round(side / 2)]
    for _ in range(stages):
        sides.append(round(sides[-1] / 2))
    return torch.tensor(sides[1:])


def half_up_at_the_end(side, stages):
    """Round once, and a half up: 30.5 to 31."""
    return torch.tensor([int(side / 2 ** (stage + 2) + 0.5) for stage in range(stages)])


def stem_included(side, stages):
    return torch.cat([torch.tensor([-(-side // 2)]), stage_sides(side, stages)])


def quarters(side, stages):
    return torch.tensor([-(-side // 4 ** (stage + 1)) for stage in range(stages)])


def tokens(side, stages):
    return stage_sides(side, stages) ** 2


def coarsest_first(side, stages):
    return stage_sides(side, stages).flip(0)


NEAREST = "you round to the nearest whole number; always round up, so that 8.25 becomes 9."

STAGE_SIDES = Exercise(
    truth=stage_sides,
    cases=images,
    mistakes=(
        (without_stem, "the stem halves the image before the first stage does."),
        (rounded_down, "round an odd side up: no part of the image is dropped."),
        (stem_rounded_down, "the stem rounds an odd side up, too."),
        (stages_rounded_down, "the stages round an odd side up, too, not only the stem."),
        (rounded_to_nearest, NEAREST),
        (halves_rounded_to_nearest, "`round` takes 30.5 to 30 and 31.5 to 32; always round up."),
        (half_up_at_the_end, NEAREST),
        (stem_included, "list only the stages, without the stem's map."),
        (quarters, "a stage halves each side; it is the number of *tokens* that is quartered."),
        (tokens, "these are numbers of tokens; return the side of each map."),
        (coarsest_first, "the order is reversed: the finest map comes first."),
    ),
    hints=(
        "the stem halves the side, and so does each stage.",
        "// rounds down, and so -(-7 // 2) rounds up: it is 4.",
        "keep the side in a variable, halve it once for the stem and then once for each stage.",
    ),
)
