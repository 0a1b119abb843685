"""An MBConv is drawn to scale, from the shapes that it has when it runs."""

import pytest

from minimaxvit import MBConv
from minimaxvit.seeing import draw_mbconv, mbconv_shapes

SIZES = [(64, 128, 2), (64, 64, 2), (8, 8, 1), (32, 16, 1, 2)]


@pytest.mark.parametrize("sizes", SIZES)
def test_boxes_are_as_wide_as_channels_and_as_high_as_rows(sizes):
    shapes = mbconv_shapes(MBConv(*sizes), 12, 20)
    figure, alt = draw_mbconv(shapes, "Inside")
    boxes = {box.get_gid(): box for box in figure.axes[0].patches if box.get_gid()}
    assert set(boxes) == set(shapes)
    c, h, _ = shapes["expand"]
    per_channel = boxes["expand"].get_width() / c
    per_row = boxes["expand"].get_height() / h
    for name, (channels, rows, columns) in shapes.items():
        assert boxes[name].get_width() == pytest.approx(per_channel * channels)
        assert boxes[name].get_height() == pytest.approx(per_row * rows)
        assert f"{name} {channels} x {rows} x {columns}" in alt
    assert figure.get_suptitle() == "Inside" and alt.startswith("Inside, channels x rows x columns")


@pytest.mark.parametrize("sizes", SIZES)
def test_each_box_has_its_shape_beside_it_and_none_touches_another(sizes):
    shapes = mbconv_shapes(MBConv(*sizes), 12, 20)
    axes = draw_mbconv(shapes, "Inside")[0].axes[0]
    labels = {text.get_text(): text.get_position()[1] for text in axes.texts if text.get_text()}
    boxes = {box.get_gid(): box for box in axes.patches if box.get_gid()}
    route = [name for name in shapes if name not in ("pool", "project")]
    lines = [label.splitlines()[1] for label in labels]
    assert lines[: len(route)] == [" x ".join(map(str, shapes[name])) for name in route]
    ends = [boxes[name].get_y() + boxes[name].get_height() for name in route]
    starts = [boxes[name].get_y() for name in route]
    assert all(end < start for end, start in zip(ends[:-1], starts[1:], strict=True))
    for name in {"pool", "project"} & set(shapes):  # the label of the shortcut's is below it
        c, h, w = shapes[name]
        assert labels[f"{name}\n{c} x {h} x {w}"] > boxes[name].get_y()
