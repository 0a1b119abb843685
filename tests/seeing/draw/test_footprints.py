"""Footprints are drawn as they are, hatched where nothing matters."""

import numpy as np
import torch

from minimaxvit.seeing import draw_footprints


def test_footprints_are_drawn_with_titles_and_alt_text():
    sizes = torch.zeros(4, 4)
    sizes[1, :3] = 0.5
    figure, alt = draw_footprints([("one", (1, 1), sizes), ("all", (0, 0), sizes + 1)], "Far")
    assert [axes.get_title() for axes in figure.axes] == [
        "one\n3 of 16 tokens",
        "all\n16 of 16 tokens",
    ]
    assert figure.axes[0].get_xlabel() == "column" and figure.axes[0].get_ylabel() == "row"
    assert figure.get_suptitle() == "Far\n(framed: the query; hatched: not seen)"
    assert alt == "Far. Tokens seen: one: 3 of 16; all: 16 of 16."
    (drawn,) = figure.axes[0].images
    np.testing.assert_array_equal(drawn.get_array().filled(0), sizes.numpy() > 0)
