"""What the page carries, without a browser."""

from dataclasses import replace
from itertools import count

import numpy as np
import torch
from explored import CLASSES, SMALL, carried, decoded, decoded_places, images
from helpers import randomize
from torch import nn

from minimaxvit import MaxViT, maxvit
from minimaxvit.layers import Conv3x3
from minimaxvit.seeing.explorer import explorer
from minimaxvit.seeing.explorer.payload import describe_reads
from minimaxvit.seeing.measure.reads import Places, lower
from minimaxvit.seeing.measure.windows import window_keys
from minimaxvit.steps import Taps


def test_of_compact_it_carries_less_than_three_quarters_of_a_megabyte():
    networks = {"trained": maxvit("compact"), "random": maxvit("compact")}
    names = [str(number) for number in range(10)]
    assert len(explorer(networks, images(4, 32, 32), names[:4], names)) < 750_000


def test_sides_may_be_odd():
    model, classes = maxvit("hybrid").double(), [str(number) for number in range(10)]
    data = carried(explorer({"a": model}, images(1, 13, 16), ["odd"], classes))
    sizes = [layer["size"] for layer in data["layers"]]
    assert sizes == [[13, 16], [7, 8], [4, 4], [4, 4], [4, 4], [2, 2]]
    strides = [layer["attention"] and layer["attention"]["stride"] for layer in data["layers"]]
    assert strides == [None, None, None, 4, 4, None]


def test_a_filter_may_be_dead():
    model = randomize(MaxViT(SMALL))
    torch.nn.init.zeros_(model.layers()["1.1 MBConv"].depthwise.weight)
    data = carried(explorer({"a": model}, images(1, 16, 16), ["x"], CLASSES))
    assert data["networks"][0]["kernels"]["1.1 MBConv"] == [9 * [0.111111]]


def test_places_are_carried_once_for_all_networks_in_two_bytes():
    model = MaxViT(SMALL)
    one, two = (
        carried(explorer(dict(each), images(1, 16, 16), ["x"], CLASSES))
        for each in ({"a": model}, {"a": model, "b": model})
    )
    assert one["layers"] == two["layers"]
    (convolution,) = one["layers"][1]["reads"][0]["sum"][1][:1]
    assert convolution["queries"] is None and convolution["amounts"] == 0  # all tokens, in order
    keys = decoded_places(convolution["keys"], np.int16, 9)
    layer = model.layers()["1.1 MBConv"].depthwise
    assert keys.tolist() == window_keys(layer, 8, 8).view(16, 9).tolist()
    attention = one["layers"][2]["reads"][0]["sum"][1][0]
    assert attention["keys"] is None and attention["amounts"] == "attention"  # the queries


def test_a_large_map_takes_four_bytes():
    reads = describe_reads(lower((Taps(Conv3x3(1, 1)),), Places(1, 2**15))[0], count())
    keys = decoded_places(reads[0]["keys"], np.int32, 9)
    assert keys.max() == 2**15 - 1 and keys.min() == -1


def test_a_bias_that_no_table_says_is_carried_whole(odd):
    data = carried(odd[2])
    attention = data["networks"][0]["attention"]
    assert attention["1.1 BlockAttention"]["bias"] is None
    assert attention["1.1 ReducedAttention"]["bias"] is None  # all are zero
    row = attention["1.1 RowAttention"]
    offsets = odd[0].layers()["1.1 RowAttention"].offsets.detach().half().numpy()
    assert row["table"] is None
    assert (decoded(row["bias"], np.float16) == offsets).all()


def test_scores_too_large_for_half_precision_stay_numbers():
    model = randomize(MaxViT(SMALL))
    nn.init.constant_(model.layers()["1.1 BlockAttention"].attention.query.bias, 1e6)
    data = carried(explorer({"a": model}, images(1, 16, 16), ["x"], CLASSES))
    (scores,) = data["networks"][0]["attention"]["1.1 BlockAttention"]["scores"]
    scores = decoded(scores, np.float16)
    assert (np.abs(scores) <= 65504).all() and np.abs(scores).max() == 65504


def test_a_few_classes_are_listed_and_many_are_not():
    for number in (20, 21):
        classes = [str(each) for each in range(number)]
        model = MaxViT(replace(SMALL, num_classes=number))
        data = carried(explorer({"a": model}, images(1, 16, 16), ["x"], classes, "CIFAR-20"))
        assert data["answers"] == f"one of {number} CIFAR-20 classes"
        assert data["classes"] == (classes if number == 20 else None)


def test_scripts_and_style_leave_comments_and_indentation_behind(small):
    script = small[2].split("<script>")[1].split("</script>")[0]
    lines = script.splitlines()[1:]
    assert len(lines) > 100 and all(line == line.strip() and line for line in lines)
    assert not any(line.startswith("//") for line in lines)
