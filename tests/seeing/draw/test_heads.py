"""Every head is a dot where it belongs, and described in the alt text."""

import torch

from minimaxvit import BlockAttention
from minimaxvit.seeing import draw_heads, measure_heads, record_attention


def recorded():
    torch.manual_seed(0)
    layer = BlockAttention(64, 4)
    with record_attention(layer) as maps, torch.no_grad():
        layer(torch.randn(2, 64, 8, 8))
    return maps[""]


def test_more_layers_than_marks_are_all_drawn():
    attention = recorded()
    heads = measure_heads(attention, attention.weights())
    figure, alt = draw_heads({f"layer {i}": (heads, 16) for i in range(7)}, "Many")
    assert (
        len(figure.axes[0].lines) == 7 + 2
        and len(figure.axes[0].texts) == 14
        and "layer 6: heads" in alt
    )


def test_every_head_is_drawn_and_described():
    attention = recorded()
    heads = measure_heads(attention, attention.weights(scores=False, bias=False))
    figure, alt = draw_heads({"block": (heads, 16), "grid": (heads, 16)}, "Alike")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["1, 2", "1, 2"]  # they share a place
    above, below = (text.xyann[1] for text in axes.texts)
    assert above > 0 > below
    for line in axes.lines[:2]:
        torch.testing.assert_close(torch.tensor(line.get_xydata()), torch.ones(2, 2).double())
    assert figure.get_suptitle() == "Alike"
    assert alt.startswith("Alike. block: heads 1 to 2 attend to 16.0, 16.0 of 16 keys, ")
    assert f"uniform weights are {heads.even:.1f} away" in alt
