"""Path counts are drawn on one scale, with the lattice if asked for."""

import numpy as np
from groups import PAIR

from minimaxvit import grid_partition
from minimaxvit.seeing import count_paths, draw_reach, group_map


def titles(figure):
    return [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]


def test_reach_is_drawn_on_one_scale_with_titles_and_alt_text():
    panels = [
        (f"map {side}", (1, 2), count_paths(PAIR, side, side, 4, (1, 2))) for side in (8, 16, 32)
    ]
    figure, alt = draw_reach(panels)
    assert all(titles(figure)) and len(figure.axes) == 3
    for axes, (label, _, paths) in zip(figure.axes, panels, strict=True):
        numbers = f"{label}: {(paths > 0).sum()} of {paths.size} seen"
        assert numbers in axes.get_title().replace("\n", " ") and numbers in alt
        (image,) = axes.images
        assert image.get_clim() == (0, 4)
        np.testing.assert_array_equal(image.get_array().filled(0), paths)
    texts = [[int(text.get_text()) for text in axes.texts] for axes in figure.axes]
    assert texts == [[4] * 64, [1] * 256, []]
    assert "4 paths each" in alt and "1 path each" in alt


def test_reach_frames_the_tokens_of_a_lattice():
    groups = group_map(grid_partition, 8, 8, 4)
    lattice = groups == groups[1, 2]
    panels = [("one", (1, 2), count_paths(PAIR, 8, 8, 4, (1, 2)))]
    plain, marked = (draw_reach(panels, *more)[0] for more in [(), ([lattice],)])
    thick, thin = plain.axes[0].patches, marked.axes[0].patches[:-1]  # the last frames the query
    assert [frame.get_xy() for frame in thick] == [(1.5, 0.5)]
    corners = [(column - 0.5, row - 0.5) for row, column in np.argwhere(lattice)]
    assert [frame.get_xy() for frame in thin] == corners
    assert "lattice" in marked.get_suptitle() and "lattice" not in plain.get_suptitle()
