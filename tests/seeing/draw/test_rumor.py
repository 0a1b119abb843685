"""The rumor's input is drawn with its one token in color, and accuracies in percent beside it."""

import numpy as np
import torch

from minimaxvit.experiments.rumor import begin
from minimaxvit.seeing import draw_rumor


def drawn():
    generator = torch.Generator().manual_seed(0)
    given = begin(torch.tensor([1]), torch.tensor([2 * 4 + 3]), 4, generator)[0]
    knows = np.full((4, 4), 0.25)
    knows[2] = 0.994
    panels = {"One": knows, "Other": np.ones((4, 4))}
    return given, panels, *draw_rumor(given, panels, "A title")


def test_the_input_is_gray_but_for_one_token_in_its_color():
    given, _, figure, alt = drawn()
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), given[0])
    colored, *_ = axes.patches
    assert colored.get_xy() == (2.5, 1.5)
    assert colored.get_facecolor() == (0, 114 / 255, 178 / 255, 1)
    assert "blue" in axes.get_title()
    assert "The blue token is in row 2, column 3" in alt


def test_accuracies_are_drawn_on_one_scale_and_written_in_percent():
    _, panels, figure, alt = drawn()
    for axes, (label, accuracies) in zip(figure.axes[1:], panels.items(), strict=True):
        assert label in axes.get_title()
        (image,) = axes.images
        assert image.get_clim() == (0, 1)
        np.testing.assert_array_equal(image.get_array(), accuracies)
        texts = [text.get_text() for text in axes.texts]
        assert texts == [f"{100 * accuracy:.0f}" for accuracy in accuracies.flat]
        (frame,) = axes.patches
        assert frame.get_xy() == (2.5, 1.5), "the colored token is framed"
    assert alt.startswith("A title. ")
    assert "One: 4 of 16 tokens know it" in alt and "Other: 16 of 16 tokens know it" in alt
