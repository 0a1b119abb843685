"""Lesson 1: the cost of attention in windows, and the size of each stage's map."""

import torch

from .checking import Exercise

INTEGERS = ((lambda counts: not counts.is_floating_point(), "return integers, not floats."),)


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
        (side_for_tokens, "a window holds window * window tokens, not `window`."),
        (counted_twice, "a multiply-add counts as one here, not as two operations."),
        (with_feed_forward, "you counted the two wider layers, too; only four count, c * c each."),
        (one_token, "this is the cost of one token, but the map has h * w of them."),
        (one_window, "this is the cost of one window, but all windows together hold h * w tokens."),
    ),
    demands=INTEGERS,
    hints=(
        "count for one token first, then multiply by the number of tokens, h * w.",
        "each token costs c * c in each of four layers, and c twice per token of its window.",
        "h * w * (4 * c * c + 2 * window * window * c)",
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
    return [(224, 4), (32, 2), (445, 4), (61, 3)]


def without_stem(side, stages):
    return stage_sides(2 * side, stages)


def rounded_down(side, stages):
    return torch.tensor([side // 2 ** (stage + 2) for stage in range(stages)])


def rounded_at_the_end(side, stages):
    return torch.tensor([round(side / 2 ** (stage + 2)) for stage in range(stages)])


def stem_included(side, stages):
    return torch.cat([torch.tensor([-(-side // 2)]), stage_sides(side, stages)])


def quarters(side, stages):
    return torch.tensor([-(-side // 4 ** (stage + 1)) for stage in range(stages)])


def coarsest_first(side, stages):
    return stage_sides(side, stages).flip(0)


STAGE_SIDES = Exercise(
    truth=stage_sides,
    cases=images,
    mistakes=(
        (without_stem, "the stem halves the image before the first stage does."),
        (rounded_down, "round an odd side up: no part of the image is dropped."),
        (rounded_at_the_end, "round up after every halving, not only once at the end."),
        (stem_included, "list only the stages, without the stem's map."),
        (quarters, "a stage halves each side; it is the number of *tokens* that is quartered."),
        (coarsest_first, "the order is reversed: the finest map comes first."),
    ),
    demands=INTEGERS,
    hints=(
        "the stem halves the side, and so does each stage.",
        "-(-side // 2) is half of a side, rounded up.",
        "start with the stem's -(-side // 2); in a loop, halve again and append.",
    ),
)
