"""Lesson 7's bug hunt: a network with eight bugs of public versions planted in it, and suspects.

Spoilers! If you want to find the bugs yourself, read no further: `PLANTED` lists them.
"""

from functools import partial

import torch.nn.functional as F
from torch import nn

from ..block import MAX_SA, MAXVIT_PARTS, GridAttention
from ..layers import Conv3x3, StochasticDepth
from ..network import MaxViT, MaxViTConfig
from ..partition import block_partition, block_reverse
from ..position import RelativePositionBias

# Images of 64 x 64 give its stages maps of 16 x 16 and 8 x 8, on which block and grid differ.
PLANTED_CONFIG = MaxViTConfig(
    dims=(64, 128),
    depths=(1, 2),
    stem_dim=32,
    window=4,
    parts=2 * (MAXVIT_PARTS,),
    drop_path=0.3,
    num_classes=10,
    image_size=64,
)
# For each name: what the bug is, and how to tell whether it is there. Some are not.
SUSPECTS = {
    "drop_windows": (
        "stochastic depth drops windows, not images",
        "put the `drop` of an attention layer of the last block (the first block has rate 0) into "
        "training mode, and give it ones of shape (64, 16, 16, 1): is each image either kept "
        "whole or dropped whole?",
    ),
    "expansion": (
        "MBConv does not expand its channels",
        "look at the shape of a weight of `expand`, or count the parameters of an MBConv.",
    ),
    "gathered": (
        "the relative position bias is read once, when the network is built, and never learns",
        "which parameters have no gradient after loss.backward()?",
    ),
    "gelu": (
        "the feed-forward layers use the exact GELU, not the tanh form",
        "copy the weights of a feed_forward into a FeedForward of the package and compare the two "
        "in float64: the two forms of GELU differ by less than 0.001.",
    ),
    "grid": (
        "grid attention attends within windows of neighbors",
        "which input tokens have a gradient when you differentiate one output token of a "
        "GridAttention?",
    ),
    "head_tanh": (
        "the tanh in the head of the network is missing",
        "write the head in plain steps with its own layers, and compare the two in float64; use a "
        "map of large numbers, because tanh hardly changes small ones.",
    ),
    "heads": (
        "attention has 32 heads, instead of heads of dimension 32",
        "how many heads does a bias table, (heads, 2p-1, 2p-1), have? How many should it have?",
    ),
    "height": (
        "the number of windows across is computed from the height",
        "give the network an image that is not square.",
    ),
    "mirrored": (
        "the bias is read at query minus key, not at key minus query",
        "where bias is the `bias` part of an attention, compare bias() with "
        "bias.table.flatten(1)[:, relative_position_index(4)] (import it from minimaxvit), and "
        "with that in which the last two axes are swapped (.mT). Use a new network, not a "
        "randomized one: a bias that was read once no longer follows its table.",
    ),
    "momentum": (
        "the running averages of batch norm take 99% of each new batch, not 1%",
        "reset a batch norm's running averages, feed it fives in training mode, and see how far "
        "running_mean moves from 0.",
    ),
    "padding": (
        "convolutions of stride 2 pad with zeros at both ends, not only after the end",
        "copy the weights of the stem into a new Stem (minimaxvit.network), and compare the two in "
        "float64 and in evaluation mode.",
    ),
    "scale": (
        "scores are scaled by the channels of the layer, not by the dimension of a head",
        "build a RelativeAttention with the suspect's head_dim, load the suspect's weights, give "
        "it the suspect's own `bias` part, and compare the two in float64; use tokens of large "
        "numbers, because the scores of a new network are almost 0.",
    ),
    "times": (
        "a shortcut of the attention layers multiplies where it should add",
        "set all parameters of a layer to zero, in a copy: is it the identity now?",
    ),
}
ACCUSED = set()  # innocent suspects that `found` was given since this module was imported


def planted(names=None):
    """Build a small MaxViT with all the bugs planted in it, or only with those of these names."""
    model = MaxViT(PLANTED_CONFIG)
    for name, plant in PLANTED.items():
        if names is None or name in names:
            plant(model)
    return model


def clue(name):
    """Print how to tell whether this suspect is in the network, but not whether it is."""
    print(f"{name}: {SUSPECTS[name][1]}" if name in SUSPECTS else _unknown(name))


def found(*names):
    """Print how many of the planted bugs are among the names, and which of the names are wrong.

    Accused innocents are counted from call to call, so that guessing costs more than testing.
    """
    print(verdict(names))
    ACCUSED.update(name for name in names if name in SUSPECTS and name not in PLANTED)
    if ACCUSED:
        innocent = len(SUSPECTS) - len(PLANTED)
        print(f"You have accused {len(ACCUSED)} of the {innocent} innocent suspects so far.")


def verdict(names):
    """Say in one to three lines which names are right, and give away none that was not named."""
    unknown = [name for name in dict.fromkeys(names) if name not in SUSPECTS]
    absent = [name for name in dict.fromkeys(names) if name in SUSPECTS and name not in PLANTED]
    right = [name for name in PLANTED if name in names]
    if not names:
        return "Not attempted yet: name the bugs that you have found, and run this cell again."
    if len(right) == len(PLANTED) and not unknown + absent:
        return f"Right: these are all {len(PLANTED)} of them."
    lines = [f"{len(right)} of the {len(PLANTED)} found."]
    lines += [f"Not in this network: {', '.join(absent)}."] * bool(absent)
    return "\n".join(lines + [_unknown(name) for name in unknown])


def _unknown(name):
    return f"No suspect is called {name!r}; the suspects are {', '.join(SUSPECTS)}."


def _parts(model, kind):
    return [part for part in model.modules() if isinstance(part, kind)]


# ChristophReich1996/MaxViT, after the paper's "attention head size 32".
def _heads(model):
    for layer in _parts(model, MAX_SA):
        attention = layer.attention
        attention.head_dim = attention.query.out_features // 32
        attention.bias = RelativePositionBias(32, layer.window)


# Reported of google-research/maxvit itself, in its issue 7.
def _gathered(model):
    def forward(bias):
        return bias.read

    for layer in _parts(model, MAX_SA):
        bias = layer.attention.bias
        bias.register_buffer("read", bias().detach(), persistent=False)
        bias.forward = partial(forward, bias)


# ChristophReich1996/MaxViT issue 2, which an author of the paper opened.
def _grid(model):
    for layer in _parts(model, GridAttention):
        layer.partition, layer.reverse = block_partition, block_reverse


# torchvision, which counts the windows of a map along one side.
def _height(model):
    def paste(reverse, groups, window, h, w):
        return reverse(groups, window, h, h)

    for layer in _parts(model, MAX_SA):
        layer.reverse = partial(paste, layer.reverse)


# ChristophReich1996/MaxViT issue 8.
def _times(model):
    def forward(layer, x):
        x = x.permute(0, 2, 3, 1)
        x = x + layer.drop(layer.attend(layer.attention_norm(x)))
        x = x * layer.drop(layer.feed_forward(layer.feed_forward_norm(x)))
        return x.permute(0, 3, 1, 2)

    for layer in _parts(model, MAX_SA):
        layer.forward = partial(forward, layer)


# ChristophReich1996/MaxViT, where windows stood in the batch axis.
def _drop_windows(model):
    def forward(drop, window, x):
        windows = block_partition(x, window)  # (b, h, w, c) -> (b, n, t, c)
        dropped = StochasticDepth.forward(drop, windows.flatten(0, 1)[:, None])  # ((b n), 1, t, c)
        return block_reverse(dropped.view_as(windows), window, *x.shape[1:3])

    for layer in _parts(model, MAX_SA):
        layer.drop.forward = partial(forward, layer.drop, layer.window)


# torchvision, until its pull request 8312: Keras counts momentum from the other end.
def _momentum(model):
    for norm in _parts(model, nn.BatchNorm2d):
        norm.momentum = 0.99


# torchvision, lucidrains/vit-pytorch, ChristophReich1996/MaxViT and timm's maxvit_*_rw_*.
def _padding(model):
    def forward(conv, x):
        return nn.Conv2d.forward(conv, F.pad(x, (1, 1, 1, 1)))

    for conv in _parts(model, Conv3x3):
        if conv.stride == (2, 2):
            conv.forward = partial(forward, conv)


PLANTED = {
    "heads": _heads,
    "gathered": _gathered,  # after `heads`: it keeps the tables that it finds
    "grid": _grid,
    "height": _height,  # after `grid`: it wraps the partition that it finds
    "times": _times,
    "drop_windows": _drop_windows,
    "momentum": _momentum,
    "padding": _padding,
}
