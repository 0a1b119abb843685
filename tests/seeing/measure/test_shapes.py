"""The shapes inside an MBConv are those of a real run, and the run leaves no trace."""

import pytest
import torch

from minimaxvit import MBConv
from minimaxvit.seeing import mbconv_shapes


def test_each_map_and_vector_has_the_shape_that_it_has_in_the_run():
    assert mbconv_shapes(MBConv(8, 16, stride=2), 6, 9) == {
        "input": (8, 6, 9),
        "expand": (64, 6, 9),
        "depthwise": (64, 3, 5),
        "mean": (64, 1, 1),
        "squeeze": (4, 1, 1),
        "excite": (64, 1, 1),
        "squeeze_excite": (64, 3, 5),
        "shrink": (16, 3, 5),
        "pool": (8, 3, 5),
        "project": (16, 3, 5),
        "output": (16, 3, 5),
    }


def test_they_are_noted_from_the_run_and_not_computed_from_the_arguments():
    mbconv = MBConv(8, 8, expansion=2)
    mbconv.depthwise = torch.nn.Conv2d(16, 16, 3, stride=3, groups=16)
    mbconv.shortcut.pool = torch.nn.AvgPool2d(3)
    shapes = mbconv_shapes(mbconv, 9, 9)
    assert shapes["expand"] == (16, 9, 9) and shapes["depthwise"] == (16, 3, 3)
    assert shapes["pool"] == (8, 3, 3)


@pytest.mark.parametrize(
    "sizes, has", [((8, 8, 1), []), ((8, 8, 2), ["pool"]), ((8, 16, 1), ["project"])]
)
def test_a_shortcut_is_noted_only_for_what_it_does(sizes, has):
    shapes = mbconv_shapes(MBConv(*sizes), 4, 4)
    assert [name for name in ("pool", "project") if name in shapes] == has


def test_nothing_is_left_behind():
    mbconv = MBConv(8, 8).train()
    before = {name: numbers.clone() for name, numbers in mbconv.state_dict().items()}
    mbconv_shapes(mbconv, 4, 4)
    assert mbconv.training and mbconv.squeeze_excite.training
    assert not [part for part in mbconv.modules() if part._forward_hooks]
    assert not [part for part in mbconv.modules() if part._forward_pre_hooks]
    for name, numbers in mbconv.state_dict().items():
        torch.testing.assert_close(numbers, before[name])
