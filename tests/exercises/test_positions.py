"""The bias exercise asks for more than the right values: the table must be able to learn."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from minimaxvit.exercises import READ_BIAS
from minimaxvit.exercises.checking import verdict


@pytest.mark.parametrize(
    "copy",
    [
        lambda table: table.detach(),
        lambda table: table.detach().requires_grad_(),
        lambda table: nn.Parameter(table),
        lambda table: deepcopy(table),
        lambda table: torch.tensor(table.tolist(), requires_grad=True),
    ],
)
def test_a_copy_of_the_table_is_not_enough(copy):
    said = verdict(READ_BIAS, lambda table, window: READ_BIAS.truth(copy(table), window))
    assert said.startswith("Not yet: the values are right, but the tables get no gradient")


def one_by_one(table, window):
    tokens, last = [divmod(token, window) for token in range(window * window)], window - 1
    rows = [
        torch.stack([table[:, k[0] - q[0] + last, k[1] - q[1] + last] for k in tokens], 1)
        for q in tokens
    ]
    return torch.stack(rows, 1)


@pytest.mark.parametrize(
    "answer",
    [
        lambda table, window: READ_BIAS.truth(table.clone() * 1, window),
        lambda table, window: torch.stack([READ_BIAS.truth(one[None], window)[0] for one in table]),
        lambda table, window: one_by_one(table.double(), window).float(),
    ],
)
def test_any_computation_with_the_table_itself_is_right(answer):
    assert verdict(READ_BIAS, answer) == f"Right, in all {len(READ_BIAS.cases())} cases."
