"""The strip draws what was traced, each map at its own size."""

import numpy as np

from minimaxvit import maxvit
from minimaxvit.seeing import draw_strip, trace


def test_every_layer_is_drawn_at_its_size_with_what_is_reached():
    counts = trace(maxvit("compact"), 32, 32, "2.1 GridAttention", (3, 4))
    figure, alt = draw_strip(counts, "Down to the pixels")
    assert len(figure.axes) == len(counts) == 8
    for axes, (name, paths) in zip(figure.axes, counts.items(), strict=True):
        drawn = axes.images[0].get_array().filled(0)
        np.testing.assert_array_equal(drawn, paths > 0)
        said = f"{(paths > 0).sum()} of {paths.numel()}"
        assert axes.get_title() == f"{name}\n{said}" and f"{name}: {said}" in alt
        assert axes.patch.get_hatch()
    assert figure.get_suptitle() == "Down to the pixels"
    assert alt.startswith("Down to the pixels. Reached: pixels: 1024 of 1024; stem: ")
