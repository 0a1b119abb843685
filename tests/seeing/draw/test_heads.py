"""Every head is a dot where it belongs, on a line of its own, and described in the alt text."""

from dataclasses import replace

import torch

from minimaxvit import BlockAttention
from minimaxvit.seeing import draw_heads, measure_heads, record_attention


def measured():
    torch.manual_seed(0)
    layer = BlockAttention(96, 4)
    with record_attention(layer) as maps, torch.no_grad():
        layer(torch.randn(2, 96, 8, 8))
    attention = maps[""]
    uniform = measure_heads(attention, attention.weights(scores=False, bias=False))
    return uniform, measure_heads(attention, (9 * attention.weights()).softmax(-1))


def drawn(axes):
    dots = [line for line in axes.lines if not line.get_label().startswith("_")]
    return [(dot.get_label(), *dot.get_xydata()[0].tolist()) for dot in dots]


def test_every_head_of_every_network_is_drawn_where_it_belongs():
    uniform, sharp = measured()
    layers = {name: {"before": uniform, "after": sharp} for name in ("block", "grid")}
    figure, _ = draw_heads(layers, "Heads")
    keys, distance = figure.axes
    lines = [1, 2, 3, 5, 6, 7]  # below the names of the layers
    networks = {"before": uniform, "after": sharp}
    for axes, values in (
        (keys, {name: heads.keys for name, heads in networks.items()}),
        (distance, {name: heads.distance / heads.even for name, heads in networks.items()}),
    ):
        wanted = {
            (name, round(float(value), 5), line)
            for name, numbers in values.items()
            for line, value in zip(lines, 2 * numbers.tolist(), strict=True)
        }
        assert {(name, round(x, 5), y) for name, x, y in drawn(axes)} == wanted
    names = [label.get_text() for label in keys.get_yticklabels()]
    assert names == ["block", *(f"head {n}" for n in (1, 2, 3)), "grid"] + names[1:4]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["before", "after"]


def test_no_two_texts_overlap_even_when_heads_are_alike():
    uniform, sharp = measured()
    alike = replace(sharp, keys=0 * sharp.keys + 5, distance=0 * sharp.distance + 7)
    figure, _ = draw_heads({"block": {"one": alike, "two": alike}, "grid": {"one": alike}}, "Alike")
    figure.draw_without_rendering()
    texts = [text for axes in figure.axes for text in (axes.xaxis.label, *axes.texts)]
    for axes in figure.axes:
        low, high = axes.get_xlim()  # ticks beyond are not drawn
        ticks = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        texts += [label for place, label in ticks if low <= place <= high]
    texts += figure.axes[0].get_yticklabels()
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[place + 1 :])


def test_both_measures_are_in_the_alt_text():
    uniform, sharp = measured()
    figure, alt = draw_heads({"block": {"before": uniform, "after": sharp}}, "Heads")
    assert figure.get_suptitle() == "Heads"
    assert alt.startswith("Heads. block, before: heads 1 to 3 attend to 16.0, 16.0, 16.0 keys, ")
    first = f"{sharp.keys[0]:.1f}"
    assert f"block, after: heads 1 to 3 attend to {first}, " in alt
    assert f"where uniform weights are {uniform.even:.1f} away" in alt
