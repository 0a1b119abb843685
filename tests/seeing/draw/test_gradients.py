"""Gradients are drawn beside what is reached, on one logarithmic scale."""

import numpy as np
import torch

from minimaxvit.seeing import draw_gradients


def panels():
    reached = torch.zeros(4, 4, dtype=torch.bool)
    reached[:2] = True
    sizes = 0.02 * reached.double()
    sizes[1, 2] = 2
    return [("near", (1, 2), reached, sizes), ("all", (1, 2), reached | True, 0 * sizes + 3)]


def test_the_alt_text_says_how_many_are_reached_and_how_large_gradients_are():
    figure, alt = draw_gradients(panels(), "A title")
    assert alt == (
        "A title. Reached: near: 8 of 16 tokens, with gradients of 1/100 of the largest in the "
        "median; all: 16 of 16 tokens, with gradients of 1/1 of the largest in the median."
    )
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles[:2] == ["near\n8 of 16 tokens", "size of the gradient\ntypically 1/100"]


def test_the_query_itself_does_not_make_a_gradient_typical():
    reached = torch.eye(2, dtype=torch.bool)
    sizes = torch.tensor([[1.0, 0.0], [0.0, 0.001]])
    _, alt = draw_gradients([("two", (0, 0), reached, sizes)], "A title")
    assert "2 of 4 tokens, with gradients of 1/1,000 of" in alt


def test_sizes_are_relative_to_the_largest_and_share_a_logarithmic_scale():
    figure, _ = draw_gradients(panels(), "A title")
    near, everything = figure.axes[1].images[0], figure.axes[3].images[0]
    shown = near.get_array()
    np.testing.assert_array_equal(shown.mask, np.arange(16).reshape(4, 4) > 7)  # hatched
    assert shown[1, 2] == 1 and shown[0, 0] == 0.01 and (everything.get_array() == 1).all()
    assert near.get_clim() == everything.get_clim() == (1e-5, 1)
    np.testing.assert_allclose(near.norm([1e-5, 1e-4, 1]), [0, 0.2, 1], atol=1e-12)
    mask = figure.axes[0].images[0].get_array().mask
    np.testing.assert_array_equal(mask, np.arange(16).reshape(4, 4) > 7)


def test_every_map_frames_its_query():
    figure, _ = draw_gradients(panels(), "A title")
    for axes in figure.axes[:4]:
        assert [patch.get_xy() for patch in axes.patches] == [(1.5, 0.5)]  # x is the column
