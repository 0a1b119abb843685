"""Parameters and multiply-adds against formulas written out, and against the paper's table."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import minimaxvit.summary as module
from minimaxvit import CONFIGS, MAXVIT_PARTS, BlockAttention, GridAttention, MaxViT, MBConv
from minimaxvit.summary import PAPER, summary

count = cache(module.count)  # it takes a second for the larger networks
SIDES = {name: 32 if name == "compact" else 224 for name in CONFIGS}


@pytest.fixture(autouse=True)
def count_once(monkeypatch):
    monkeypatch.setattr(module, "count", count)


def total(rows, column):
    return sum(row[column] for row in rows)


def mbconv(c, width, expansion, before, after):
    """Multiply-adds by hand; `before` and `after` are the places of the map it reads and makes."""
    inner = expansion * width
    shortcut = c * width * after if c != width else 0
    excite = 2 * inner * (width // 4)
    return shortcut + c * inner * before + 9 * inner * after + excite + inner * width * after


def attention(c, expansion, places, tokens):
    projections, products = 4 * c * c * places, 2 * tokens * c * places
    return projections + products + 2 * expansion * c * c * places


def stage(config, number, places):
    """Multiply-adds of a stage whose maps have `places`; blocks of all three parts."""
    c, width = (config.stem_dim, *config.dims)[number - 1 : number + 1]
    every = 2 * attention(width, config.expansion, places, config.window**2)
    first = mbconv(c, width, config.expansion, 4 * places, places)
    other = mbconv(width, width, config.expansion, places, places)
    return first + (config.depths[number - 1] - 1) * other + config.depths[number - 1] * every


@pytest.mark.parametrize("name", ["tiny", "small"])  # only small projects in its first stage
def test_multiply_adds_are_those_of_the_formulas(name):
    config = CONFIGS[name]
    macs = {row[0]: row[3] for row in count(config, 224, 448)}
    stem, last = config.stem_dim, config.dims[-1]
    assert macs["stem"] == 112 * 224 * 9 * (3 * stem + stem * stem)
    for number, places in enumerate((56 * 112, 28 * 56, 14 * 28, 7 * 14), start=1):
        assert macs[f"stage {number}"] == stage(config, number, places)
    assert macs["head"] == last * last + last * 1000


def test_multiply_adds_of_compact_by_hand():
    config = CONFIGS["compact"]
    stem, *stages, head = (row[3] for row in count(config, 32, 32))
    dims, expansion, p = (config.stem_dim, *config.dims), config.expansion, config.window
    assert stem == 256 * 9 * dims[0] * (3 + dims[0])  # a map of 16 x 16
    before = 256
    for number, places in enumerate((256, 64, 16), start=1):
        expected = mbconv(*dims[number - 1 : number + 1], expansion, before, places)
        attentions = len(config.parts[number - 1]) - 1
        expected += attentions * attention(dims[number], expansion, places, p * p)
        assert stages[number - 1] == expected
        before = places
    assert head == dims[-1] ** 2 + dims[-1] * 10


@pytest.mark.parametrize("name", ["tiny", "small", "compact"])
def test_stages_add_up_to_the_whole_network(name):
    side = SIDES[name]
    with torch.device("meta"):
        model, picture = MaxViT(CONFIGS[name]).eval(), torch.empty(1, 3, side, side)
    with FlopCounterMode(display=False) as counter:
        model(picture)
    rows = count(CONFIGS[name], side, side)
    assert total(rows, 3) == counter.get_total_flops() // 2
    assert total(rows, 2) == sum(parameter.numel() for parameter in model.parameters())


def test_rows_are_named_and_carry_the_maps_that_are_handed_on():
    rows = count(CONFIGS["tiny"], 224, 448)
    assert [row[0] for row in rows] == ["stem", *(f"stage {n}" for n in (1, 2, 3, 4)), "head"]
    maps = [(64, 112, 224), (64, 56, 112), (128, 28, 56), (256, 14, 28), (512, 7, 14), (1000,)]
    assert [row[1] for row in rows] == maps


@pytest.mark.parametrize("name", PAPER)
def test_counts_agree_with_the_paper_to_a_percent_or_the_text_says_how_far_off(name):
    macs = total(count(CONFIGS[name], 224, 224), 3)
    off = macs / 1e9 / PAPER[name] - 1
    print(f"{name}: {macs / 1e9:.2f} G, {off:+.2%} off")
    text = summary(name, CONFIGS[name], 224, 224)
    assert f"The paper says {PAPER[name]} G" in text and f"{off:+.1%} off" in text
    between_its_two_tables = 23.4e9 < macs < 24.2e9 and "table 2 says 23.4 G" in text
    assert abs(off) < 0.0105 or (name == "base" and between_its_two_tables)


@pytest.mark.parametrize("name", ["tiny", "compact"])
def test_table_shows_every_row_and_the_sums(name):
    config, side = CONFIGS[name], SIDES[name]
    lines = summary(name, config, side, side).splitlines()
    rows = count(config, side, side)
    for line, (part, shape, parameters, macs) in zip(lines[2:], rows, strict=False):
        assert line.startswith(part) and " x ".join(map(str, shape)) in line
        assert line.split()[-2:] == [f"{parameters:,}", f"{macs:,}"]
    blocks = [line.split()[2] for line in lines if line.startswith("stage")]
    assert blocks == list(map(str, config.depths))
    assert lines[2 + len(rows)].split() == ["total", f"{total(rows, 2):,}", f"{total(rows, 3):,}"]


@pytest.mark.parametrize(
    "change, h, w", [({}, 224, 448), ({"num_classes": 10}, 224, 224), ({"expansion": 2}, 224, 224)]
)
def test_only_the_network_of_the_paper_is_compared_with_it(change, h, w):
    assert "paper" not in summary("tiny", replace(CONFIGS["tiny"], **change), h, w)
    assert "paper" not in summary("compact", CONFIGS["compact"], 32, 32)


def test_other_orders_of_the_parts_are_counted_too():
    parts = (MBConv,), MAXVIT_PARTS[::-1], (GridAttention, BlockAttention)
    config = replace(CONFIGS["compact"], parts=parts)
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in MaxViT(config).parameters())
    assert MBConv not in config.parts[2]
    assert total(count(config, 32, 32), 2) == parameters


@pytest.mark.parametrize(
    "h, w",
    [
        (230, 224),
        (224, 100),
        (33, 32),
        (0, 224),
        (-224, 224),
    ],
)
def test_sizes_that_do_not_fit_are_refused(h, w):
    with pytest.raises(ValueError, match=f"{h} x {w}"):
        count(CONFIGS["tiny"], h, w)
