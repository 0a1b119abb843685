"""Lesson 5: the relative position index, and the bias that is read through it."""

import torch

from ..position import relative_position_index
from .checking import Exercise


def windows():
    return [(2,), (3,), (5,)]


def index_of(window, down, right, row_step=None, first=None):
    """Build an index from offsets; `down` and `right` take the places of query and key."""
    row, column = torch.cartesian_prod(torch.arange(window), torch.arange(window)).T
    places = row[:, None], column[:, None], row[None, :], column[None, :]
    step = 2 * window - 1 if row_step is None else row_step(window)
    first = (window - 1) * (step + 1) if first is None else first
    return down(*places) * step + right(*places) + first


def key_minus_query_rows(query_row, query_column, key_row, key_column):
    return key_row - query_row


def key_minus_query_columns(query_row, query_column, key_row, key_column):
    return key_column - query_column


def query_minus_key(window):
    return relative_position_index(window).T


def columns_first(window):
    return index_of(window, key_minus_query_columns, key_minus_query_rows)


def rows_of(step):
    return lambda window: index_of(
        window, key_minus_query_rows, key_minus_query_columns, row_step=step
    )


def from_the_middle(window):
    return index_of(window, key_minus_query_rows, key_minus_query_columns, first=0)


def from_the_middle_on_one_axis(shift):
    def mistake(window):
        return index_of(window, key_minus_query_rows, key_minus_query_columns, first=shift(window))

    return mistake


def distances(window):
    return index_of(
        window,
        lambda qr, qc, kr, kc: (kr - qr).abs(),
        lambda qr, qc, kr, kc: (kc - qc).abs(),
        first=0,
    )


RELATIVE_INDEX = Exercise(
    truth=relative_position_index,
    cases=windows,
    mistakes=(
        (
            query_minus_key,
            "you took query minus key, so left is right and up is down; take key minus query.",
        ),
        (columns_first, "rows and columns are swapped: the offset down must vary slowest."),
        (rows_of(lambda p: p), "a row of the table has 2 * window - 1 numbers, not `window`."),
        (
            rows_of(lambda p: 2 * p),
            "a row of the table has 2 * window - 1 numbers, not 2 * window.",
        ),
        (
            from_the_middle,
            "offsets start at -(window - 1): add window - 1 to count from 0.",
        ),
        (
            from_the_middle_on_one_axis(lambda p: (p - 1) * (2 * p - 1)),
            "the offset right starts at -(window - 1), too: add window - 1 to both offsets.",
        ),
        (
            from_the_middle_on_one_axis(lambda p: p - 1),
            "add window - 1 to the offset down as well, before you multiply it.",
        ),
        (distances, "left and right must differ: an offset has a sign, so do not take abs."),
    ),
    demands=((lambda index: index.dtype == torch.long, "the indices must be `long`."),),
    hints=(
        "start with the row and column of each token: torch.arange(t) // window, and % window.",
        "down = row[None, :] - row[:, None] is (t, t), key minus query; right is similar.",
        "add window - 1 to both, to count from 0. They are the two digits of the index: each row "
        "of the table holds 2 * window - 1 numbers.",
    ),
)


def read_bias(table, window):
    """Look up every pair of a window: (heads, 2p-1, 2p-1) -> (heads, t, t)."""
    return table.flatten(1)[:, relative_position_index(window)]


def tables():
    generator = torch.Generator().manual_seed(0)
    cases = []
    for heads, window in ((1, 2), (2, 3), (4, 4)):
        side = 2 * window - 1
        table = torch.randn(heads, side, side, generator=generator, requires_grad=True)
        table.given_as = id(table)  # a copy may have the attribute, but not the id
        cases.append((table, window))
    return cases


def depends_on_the_given_table(bias):
    """Follow the computation of a bias back to where it began."""
    nodes = [bias.grad_fn]
    while nodes:
        node = nodes.pop()
        start = getattr(node, "variable", None)  # only a node that collects a gradient has one
        if getattr(start, "given_as", None) == id(start):
            return True
        nodes += [before for before, _ in getattr(node, "next_functions", ())]
    return False


def read_query_minus_key(table, window):
    return read_bias(table, window).mT


def read_transposed(table, window):
    return read_bias(table.mT, window)


def read_transposed_query_minus_key(table, window):
    return read_query_minus_key(table.mT, window)


def one_head(table, window):
    return read_bias(table[:1], window).expand(len(table), -1, -1)


def heads_last(table, window):
    return read_bias(table, window).permute(1, 2, 0)


READ_BIAS = Exercise(
    truth=read_bias,
    cases=tables,
    mistakes=(
        (
            read_query_minus_key,
            "you read the bias at query minus key; read it at key minus query.",
        ),
        (
            read_transposed,
            "the table is transposed: its rows are offsets down, its columns offsets right.",
        ),
        (
            read_transposed_query_minus_key,
            "the table is transposed, and you read it at query minus key: rows of the table are "
            "offsets down, and an offset is key minus query.",
        ),
        (one_head, "every head reads the table of the first head; each has its own."),
        (heads_last, "heads come first, as in the scores: (heads, t, t)."),
    ),
    demands=(
        (
            depends_on_the_given_table,
            "the tables get no gradient: keep them in the computation, or they never learn.",
        ),
    ),
    hints=(
        "the index counts places in one row of numbers, so flatten the two offset axes of the "
        "table into one, and keep the axis of the heads.",
        "indexing with a matrix gives a matrix: if `numbers` has one axis, numbers[index] has the "
        "shape of the index.",
        "the heads come first and stay as they are, which is what a `:` says in the brackets.",
    ),
)
