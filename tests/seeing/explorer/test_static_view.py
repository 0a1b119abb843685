"""Without a script there is still something to see and to read."""

import base64
import re
from dataclasses import replace
from io import BytesIO

import torch
from browser import in_a_browser
from explored import SMALL, images
from PIL import Image

from minimaxvit import MaxViT, MBConv
from minimaxvit.pixels import normalize
from minimaxvit.seeing import measure_heads, record_attention, trace
from minimaxvit.seeing.explorer import explorer_page
from minimaxvit.seeing.explorer.static_view import draw_looks, static_view
from minimaxvit.seeing.measure.recording import attention_maps


@in_a_browser
def test_without_javascript_figure_alt_text_and_table_are_there(small, open_page):
    page = open_page(explorer_page(small[2], "Look"), java_script_enabled=False)
    assert page.locator(".mmv-static img").is_visible()
    assert page.locator("details table tr").count() == 1 + 2  # one head in block and in grid
    assert "without JavaScript" in page.inner_text("body")


def test_as_an_untrusted_notebook_strips_it_the_numbers_remain(small):
    networks, pictures, fragment = small
    left = re.sub(r"<(script|iframe|svg|style).*?</\1>", "", fragment, flags=re.DOTALL)
    alt = re.search(r'<img alt="([^"]+)"', left)[1]
    with record_attention(networks["one"]) as maps, torch.no_grad():
        networks["one"](normalize(pictures[:1]))
    for name in ("1.1 BlockAttention", "1.1 GridAttention"):
        attention = maps[name]
        row = attention.row((2, 4), attention.weights())[0].mean(0)
        top = divmod(row.argmax().item(), 8)
        assert (
            f"{name} from row 2, column 4: 4 of 32 tokens, most ({row.max():.0%}) row {top[0]}, "
            f"column {top[1]}"
        ) in alt
        heads = measure_heads(attention, attention.weights())
        assert f"<td>{heads.entropy[0]:.2f}</td><td>{heads.distance[0]:.1f}</td>" in left
    assert "<table>" in left and "script" not in left


def test_without_attention_a_table_says_how_far_layers_see():
    model = MaxViT(replace(SMALL, parts=2 * ((MBConv,),)))
    html = static_view(model, images(1, 32, 32)[0], "a <name>")
    assert html.startswith("<p>a &lt;name&gt;: without JavaScript, the number of pixels that each")
    reached = (trace(model, 32, 32, "stem", (8, 8))["pixels"] > 0).sum()
    assert f"<tr><td>stem</td><td>16 x 16</td><td>{reached} of 1024</td></tr>" in html
    assert html.count("<tr>") == 1 + len(model.layers())


def test_where_no_token_of_the_map_asks_an_extra_one_does(odd):
    model, pictures, _ = odd
    attention = attention_maps(model, pictures)["1.1 ClassAttention"]
    figure, alt = draw_looks(pictures[0].permute(1, 2, 0).numpy(), {"class": attention})
    assert "class from place 64: 64 of 64 tokens, most (" in alt
    assert [bool(axes.images) for axes in figure.axes] == [True]


def test_the_first_two_attentions_of_a_block_are_shown(odd):
    assert "1.1 ReducedAttention" in odd[2].split("<script")[0]
    assert "1.1 BlockAttention" in odd[2].split("<script")[0]


def test_the_figure_says_its_scale_and_takes_few_bytes(small):
    networks, pictures, fragment = small
    png = base64.b64decode(re.search(r'base64,([^"]+)"', fragment)[1])
    assert Image.open(BytesIO(png)).mode == "P"  # of few colors
    maps = attention_maps(networks["one"], pictures[:1])
    chosen = {name: maps[name] for name in ("1.1 BlockAttention", "1.1 GridAttention")}
    figure, _ = draw_looks(pictures[0].permute(1, 2, 0).numpy(), chosen)
    most = max(
        each.row(query, each.weights())[0].mean(0).max()
        for each in chosen.values()
        for query in [(1, 2), (2, 4), (3, 3)]
    )
    assert f"white: 0%, black: {most:.0%};" in figure.get_suptitle()
