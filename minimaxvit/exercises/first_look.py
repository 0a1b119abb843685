"""Lesson 1: what attention in windows costs, and how fine each stage's map is."""

import torch

from .checking import Exercise

INTEGERS = ((lambda counts: not counts.is_floating_point(), "counts must be integers, no floats."),)


def window_cost(h, w, c, window):
    """Multiply-adds of attention in windows: four linear layers, and two products of pairs."""
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
        (everyone_meets, "every token meets the whole map: in a window it meets window * window."),
        (products_alone, "the four linear layers are missing: c * c each."),
        (projections_alone, "the pairs are missing: comparing, and summing over the group."),
        (one_product, "each pair costs two products: one to compare, and one for the sum."),
        (three_projections, "there are four linear layers from c to c, not three."),
        (side_for_tokens, "a window holds window * window tokens, not `window`."),
        (counted_twice, "a multiply-add counts once here, not as two operations."),
        (with_feed_forward, "you counted the two wider layers too: here, only four, c * c each."),
        (one_token, "this is the cost of one token; the map has h * w of them."),
        (one_window, "this is the cost of one window; together they hold h * w tokens."),
    ),
    demands=INTEGERS,
    hints=(
        "count for one token first; then multiply by the number of tokens, h * w.",
        "a token goes through four layers, c * c each, and meets window * window tokens twice.",
        "h * w * (4 * c * c + 2 * window * window * c)",
    ),
)


def stage_sides(side, stages):
    """The sides of the maps of the stages, coarser by half each time, rounded up."""
    sides = []
    side = -(-side // 2)  # the stem
    for _ in range(stages):
        side = -(-side // 2)
        sides.append(side)
    return torch.tensor(sides)


def pictures():
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
    cases=pictures,
    mistakes=(
        (without_stem, "the stem halves the picture before the first stage does."),
        (rounded_down, "an odd side rounds up: nothing of the picture is dropped."),
        (rounded_at_the_end, "halve and round up at every step; rounding once at the end differs."),
        (stem_included, "list the stages alone, without the stem's map."),
        (quarters, "a stage halves each side; a quarter is left of the *tokens*."),
        (coarsest_first, "the finest map comes first."),
    ),
    demands=INTEGERS,
    hints=(
        "the stem halves the side, and so does each stage.",
        "-(-side // 2) is half of a side, rounded up.",
        "start with the stem's -(-side // 2); in a loop, halve again and append.",
    ),
)
