"""Gradients are drawn beside what is reached, on one logarithmic scale."""

import numpy as np
import torch

from minimaxvit.seeing import draw_gradients

REACHED = torch.zeros(4, 4, dtype=torch.bool)
REACHED[:2] = True
UNREACHED = np.arange(16).reshape(4, 4) > 7


def drawn():
    sizes = 0.02 * REACHED.double()
    sizes[1, 2] = 2
    return draw_gradients((1, 2), REACHED, {"weak": sizes, "even": 3.0 * REACHED}, "A title")


def test_the_alt_text_says_how_many_are_reached_and_how_large_gradients_are():
    figure, alt = drawn()
    assert alt == (
        "A title. Each reaches 8 of 16 tokens. Gradients, the median of them in parts of the "
        "largest: weak 1/100; even 1/1."
    )
    assert [axes.get_title() for axes in figure.axes[:3]] == [
        "what each of them reaches\n8 of 16 tokens",
        "weak\ngradients: typically 1/100",
        "even\ngradients: typically 1/1",
    ]


def test_the_query_itself_does_not_make_a_gradient_typical_and_two_digits_will_do():
    reached = torch.eye(2, dtype=torch.bool)
    sizes = torch.tensor([[1.0, 0.0], [0.0, 1 / 1234]])
    _, alt = draw_gradients((0, 0), reached, {"two": sizes}, "A title")
    assert alt.endswith("two 1/1,200.")


def test_sizes_are_relative_to_the_largest_and_share_a_logarithmic_scale():
    figure, _ = drawn()
    boolean, weak, even = (axes.images[0] for axes in figure.axes[:3])
    for image in (boolean, weak, even):
        np.testing.assert_array_equal(image.get_array().mask, UNREACHED)  # hatched
    shown = weak.get_array()
    assert shown[1, 2] == 1 and shown[0, 0] == 0.01 and (even.get_array() == 1).all()
    assert weak.get_clim() == even.get_clim() == (1e-5, 1)
    np.testing.assert_allclose(weak.norm([1e-5, 1e-4, 1]), [0, 0.2, 1], atol=1e-12)


def test_every_map_frames_its_query():
    figure, _ = drawn()
    for axes in figure.axes[:3]:
        assert [patch.get_xy() for patch in axes.patches] == [(1.5, 0.5)]  # x is the column
