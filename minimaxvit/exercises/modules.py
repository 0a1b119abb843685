"""Lessons 2, 3, 5, 6 and 7: whole modules, which together make a MaxViT of the learner's own."""

from copy import deepcopy
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from .. import block
from ..attention import RelativeAttention
from ..block import MAXVIT_PARTS
from ..layers import FeedForward, gelu
from ..mbconv import Downsample, MBConv
from ..network import MaxViT, MaxViTConfig
from ..partition import block_reverse
from ..position import RelativePositionBias


@dataclass(frozen=True)
class ModuleExercise:
    """A class to write, with the package's as the truth; like `Exercise`, but for modules.

    `cases()` lists pairs: the constructor's arguments by name, and arguments of a call. `mistakes`
    are pairs of a function, called with the package's module and the arguments of a call, that
    makes a mistake, and a sentence that names it.
    """

    lesson: int
    truth: type
    cases: object
    mistakes: tuple
    hints: tuple

    @property
    def name(self):
        return self.truth.__name__


class MaxViTBlock(block.MaxViTBlock):
    """The package's block, built with the arguments of the learner's."""

    def __init__(self, in_dim, dim, stride=1, window=7, expansion=4, activation=gelu, grid=True):
        parts = MAXVIT_PARTS if grid else MAXVIT_PARTS[:2]
        options = {"window": window, "expansion": expansion, "activation": activation}
        super().__init__(in_dim, dim, stride, parts, **options)


def random(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def changed(change):
    """Make the mistake of a module that differs from the package's by one change."""

    def run(module, *inputs):
        other = deepcopy(module)
        change(other)
        return other(*inputs)

    return run


def each(module, kind):
    return [part for part in module.modules() if isinstance(part, kind)]


def with_small_eps(module):
    for norm in each(module, nn.BatchNorm2d):
        norm.eps = 1e-5


def with_padding_of_one(module):
    for conv in each(module, nn.Conv2d):
        if conv.kernel_size == (3, 3):
            conv.forward = lambda x, conv=conv: F.conv2d(
                x, conv.weight, conv.bias, conv.stride, 1, groups=conv.groups
            )


def with_activation(activation, kind=nn.Module):
    def change(module):
        for part in each(module, kind):
            if hasattr(part, "activation"):
                part.activation = activation

    return changed(change)


def without(name):
    return changed(lambda module: setattr(module, name, nn.Identity()))


def strided_early(module, x):
    """Leave out every second place before the expansion, where the depthwise kernel still looks."""
    inner = deepcopy(module)
    if module.stride == 2:
        inner.depthwise.stride, inner.depthwise.padding = (1, 1), (1, 1)
    y = inner.norm(x)[..., :: module.stride, :: module.stride]
    y = module.activation(inner.expand_norm(inner.expand(y)))
    y = module.activation(inner.depthwise_norm(inner.depthwise(y)))
    return module.shortcut(x) + inner.shrink(inner.squeeze_excite(y))


def activated_before_its_norm(module, x):
    gelu = module.activation
    y = module.expand_norm(gelu(module.expand(module.norm(x))))
    y = module.depthwise_norm(gelu(module.depthwise(y)))
    return module.shortcut(x) + module.shrink(module.squeeze_excite(y))


def excited_too_early(module, x):
    gelu = module.activation
    y = gelu(module.expand_norm(module.expand(module.norm(x))))
    y = module.squeeze_excite(module.depthwise(y))
    return module.shortcut(x) + module.shrink(gelu(module.depthwise_norm(y)))


def activated_where(expanded, mixed, last=False):
    """Run an MBConv whose activations stand only where asked."""

    def run(module, x):
        gelu, linear = module.activation, nn.Identity()
        y = module.expand_norm(module.expand(module.norm(x)))
        y = module.depthwise_norm(module.depthwise((gelu if expanded else linear)(y)))
        y = module.shrink(module.squeeze_excite((gelu if mixed else linear)(y)))
        return module.shortcut(x) + (gelu if last else linear)(y)

    return run


MBCONV = ModuleExercise(
    lesson=2,
    truth=MBConv,
    cases=lambda: [
        ({"in_dim": 8, "dim": 8}, (random(2, 8, 5, 6),)),
        ({"in_dim": 8, "dim": 16, "stride": 2}, (random(2, 8, 6, 8),)),
        ({"in_dim": 8, "dim": 8, "stride": 2}, (random(1, 8, 7, 5),)),
        ({"in_dim": 16, "dim": 8, "expansion": 2, "activation": F.gelu}, (random(2, 16, 4, 4),)),
    ],
    mistakes=(
        (
            lambda module, x: module(x) - module.shortcut(x),
            "the shortcut is missing: add `self.shortcut(x)` to what the branch returns.",
        ),
        (
            lambda module, x: module(x) - module.shortcut(x) + module.shortcut(module.norm(x)),
            "the shortcut takes x as it came; only the branch begins with the norm.",
        ),
        (without("norm"), "the norm that opens the branch is missing."),
        (without("expand_norm"), "the norm after the expansion is missing."),
        (without("depthwise_norm"), "the norm after the depthwise convolution is missing."),
        (without("squeeze_excite"), "squeeze-excitation is missing, before the shrinking."),
        (activated_where(False, True), "GELU is missing after the first of the inner norms."),
        (activated_where(True, False), "GELU is missing after the second of the inner norms."),
        (activated_where(False, False), "both inner norms are followed by GELU."),
        (activated_before_its_norm, "GELU follows the inner norms; yours comes before them."),
        (excited_too_early, "squeeze-excitation comes after the second inner norm and its GELU."),
        (activated_where(True, True, True), "nothing follows the shrinking: no GELU, no norm."),
        (
            changed(with_small_eps),
            "the norms have PyTorch's eps of 1e-5; the official one is 1e-3: use `BatchNorm`.",
        ),
        (
            changed(with_padding_of_one),
            "at stride 2 you pad as PyTorch does; the official padding is 'SAME': use `Conv3x3`.",
        ),
        (strided_early, "the stride belongs in the depthwise convolution, after the expansion."),
        (with_activation(gelu), "use the activation that the constructor was given."),
        (with_activation(F.gelu), "the default activation is `gelu`, the tanh form."),
    ),
    hints=(
        "the branch in order: norm, expand, norm, GELU, depthwise, norm, GELU, squeeze-excite, "
        "shrink.",
        "in `__init__`: `inner = expansion * dim`; `Downsample(in_dim, dim, stride)` is the "
        "shortcut; squeeze to `dim // 4`; the two convolutions before a norm have no bias.",
        "in `forward`, keep x for the shortcut and call the branch y: five lines: norm; "
        "expansion; depthwise; squeeze-excitation and shrink together; and the sum.",
    ),
)


def attended(
    scale=lambda module, x: module.head_dim**-0.5,
    axis=-1,
    pattern="b n t (heads d) -> b heads n t d",
    biased=lambda scores, bias: (scores + bias).softmax(-1),
    output=True,
    bias_scale=lambda module: 1.0,
    joined=None,
    reshaped=False,
):
    """Attend with another scale, softmax, order of channels or place of the bias."""

    def run(module, x):
        def split(each):
            if reshaped:
                b, n, t, c = each.shape
                return each.reshape(b, c // module.head_dim, n, t, module.head_dim)
            return rearrange(each, pattern, d=module.head_dim)

        query, key, value = (split(f(x)) for f in (module.query, module.key, module.value))
        scores = query @ key.mT * scale(module, x)
        bias = bias_scale(module) * module.bias()[:, None]
        weights = (scores + bias).softmax(axis) if axis != -1 else biased(scores, bias)
        back = pattern.split(" -> ")
        out = weights @ value  # (b, heads, n, t, d)
        out = joined(out, x.shape) if joined else rearrange(out, f"{back[1]} -> {back[0]}")
        return module.output(out) if output else out

    return run


def across_groups(module, x):
    """Attend among the tokens of all groups at once."""

    def split(each):
        return rearrange(each, "b n t (heads d) -> b heads (n t) d", d=module.head_dim)

    n = x.shape[1]
    query, key, value = (split(f(x)) for f in (module.query, module.key, module.value))
    scores = query @ key.mT * module.head_dim**-0.5 + module.bias().repeat(1, n, n)
    out = rearrange(scores.softmax(-1) @ value, "b heads (n t) d -> b n t (heads d)", n=n)
    return module.output(out)


RELATIVE_ATTENTION = ModuleExercise(
    lesson=3,
    truth=RelativeAttention,
    cases=lambda: [
        ({"dim": 64, "window": 3}, (random(2, 3, 9, 64),)),
        ({"dim": 32, "window": 2}, (random(1, 4, 4, 32),)),
        ({"dim": 24, "window": 2, "head_dim": 8}, (random(2, 2, 4, 24),)),
    ],
    mistakes=(
        (attended(lambda *_: 1.0), "the scale is missing: multiply the scores by d ** -0.5."),
        (
            attended(lambda module, x: x.shape[-1] ** -0.5),
            "you scaled by the number of all channels; take d, the channels of one head.",
        ),
        (attended(lambda module, x: 1 / module.head_dim), "divide by the square root of d."),
        (attended(lambda *_: 32**-0.5), "heads may have another dimension than 32: `head_dim`."),
        (attended(axis=-2), "softmax runs over the keys, the last axis."),
        (attended(axis=1), "softmax runs over the keys, the last axis, not over the heads."),
        (
            attended(pattern="b n t (d heads) -> b heads n t d"),
            "your heads interleave: each head takes neighboring channels.",
        ),
        (attended(biased=lambda scores, bias: scores.softmax(-1)), "the bias is missing."),
        (
            attended(biased=lambda scores, bias: scores.softmax(-1) + bias),
            "the bias is added to the scores, before the softmax.",
        ),
        (
            attended(biased=lambda scores, bias: (scores + bias.mT).softmax(-1)),
            "the bias is transposed: its rows are queries, as those of the scores.",
        ),
        (
            attended(bias_scale=lambda module: module.head_dim**-0.5),
            "the bias is added after the scale: only the scores are divided.",
        ),
        *(
            (
                attended(joined=joined),
                "before you flatten, move the heads back behind the tokens: (b, n, t, heads, d).",
            )
            for joined in (torch.reshape, lambda out, shape: out.transpose(1, 2).reshape(shape))
        ),
        *(
            (
                attended(reshaped=True, joined=joined),
                "a reshape moves nothing: split the channels first, (b, n, t, heads, d), and then "
                "move the heads before the groups.",
            )
            for joined in (torch.reshape, None)
        ),
        (
            across_groups,
            "groups never see one another: the softmax runs over the t tokens of one group.",
        ),
        (attended(output=False), "the last layer, `output`, is missing."),
    ),
    hints=(
        "four linear layers from dim to dim, and `self.bias`, with dim // head_dim heads.",
        "the bias is (heads, t, t): it fits scores of shape (b, n, heads, t, t) as it is; for "
        "(b, heads, n, t, t), give it an axis for n.",
        "split query, key and value into heads; score, scale, add the bias, softmax; take the "
        "weighted mean of the values; put the heads side by side again, and end with `output`.",
    ),
)


def through_index(change):
    """Read the table through another index."""
    return changed(lambda module: setattr(module, "index", change(module.index)))


POSITION_BIAS = ModuleExercise(
    lesson=5,
    truth=RelativePositionBias,
    cases=lambda: [
        ({"heads": 2, "window": 3}, ()),
        ({"heads": 1, "window": 2}, ()),
        ({"heads": 3, "window": 4}, ()),
    ],
    mistakes=(
        (
            through_index(lambda index: index.mT),
            "you read at query minus key: rows are queries, and an offset is key minus query.",
        ),
        (
            lambda module: module.table.mT.flatten(1)[:, module.index],
            "down and right are swapped: the rows of the table are the steps down.",
        ),
        (
            lambda module: module.table.mT.flatten(1)[:, module.index.mT],
            "down and right are swapped, and so are query and key.",
        ),
        (
            lambda module: torch.zeros(len(module.table), *module.index.shape).double(),
            "your bias is zero, whatever the table holds: read it in `forward`.",
        ),
    ),
    hints=(
        "the table is an `nn.Parameter` of shape (heads, 2 * window - 1, 2 * window - 1).",
        "`relative_position_index(window)` is the same at every call: compute it once, and keep "
        "it by `self.register_buffer(name, index, persistent=False)`.",
        "in `forward`, flatten the two last axes of the table, and take the places that the "
        "index names.",
    ),
)


def reordered(module, x):
    for number in (0, 2, 1)[: len(module.parts)] if len(module.parts) == 3 else (0, 1):
        x = module.parts[number](x)
    return x


def with_partitions_swapped(module, x):
    """Cut a grid in the first layer and blocks in the second, as in [conv, grid, block]."""
    other = deepcopy(module)
    if len(other.parts) == 3:
        block, grid = other.parts[1:]
        block.partition, grid.partition = grid.partition, block.partition
        block.reverse, grid.reverse = grid.reverse, block.reverse
    return other(x)


def on_blocks_alone(module, x):
    other = deepcopy(module)
    for part in other.parts[1:]:
        part.partition, part.reverse = other.parts[1].partition, other.parts[1].reverse
    return other(x)


def pasted_as_blocks(module):
    for part in module.parts[1:]:
        part.reverse = block_reverse


def layers_by(step):
    """Run a block whose attention layers are written otherwise."""

    def run(module, x):
        x = module.parts[0](x)
        for part in module.parts[1:]:
            x = step(part, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x

    return run


def one_norm(part, x):
    x = x + part.attend(part.attention_norm(x))
    return x + part.feed_forward(part.attention_norm(x))


def without_attention_shortcut(part, x):
    x = part.attend(part.attention_norm(x))
    return x + part.feed_forward(part.feed_forward_norm(x))


def without_second_shortcut(part, x):
    x = x + part.attend(part.attention_norm(x))
    return part.feed_forward(part.feed_forward_norm(x))


def without_feed_forward(part, x):
    return x + part.attend(part.attention_norm(x))


def post_norm(part, x):
    x = part.attention_norm(x + part.attend(x))
    return part.feed_forward_norm(x + part.feed_forward(x))


def norm_at_the_end(part, x):
    x = x + part.attention_norm(part.attend(x))
    return x + part.feed_forward_norm(part.feed_forward(x))


def old_x_around_feed_forward(part, x):
    y = x + part.attend(part.attention_norm(x))
    return x + part.feed_forward(part.feed_forward_norm(y))


def side_by_side(part, x):
    y = part.feed_forward(part.feed_forward_norm(x))
    return x + part.attend(part.attention_norm(x)) + y


MAXVIT_BLOCK = ModuleExercise(
    lesson=6,
    truth=MaxViTBlock,
    cases=lambda: [
        ({"in_dim": 32, "dim": 32, "window": 2}, (random(2, 32, 4, 8),)),
        ({"in_dim": 32, "dim": 64, "stride": 2, "window": 4}, (random(1, 32, 16, 16),)),
        (
            {"in_dim": 32, "dim": 32, "window": 2, "expansion": 2}
            | {"activation": F.gelu, "grid": False},
            (random(2, 32, 4, 6),),
        ),
    ],
    mistakes=(
        (reordered, "block attention comes before grid attention."),
        (with_partitions_swapped, "block attention comes before grid attention, in `parts` too."),
        (on_blocks_alone, "your grid attention cuts windows: give it the two grid functions."),
        (
            changed(pasted_as_blocks),
            "you cut a grid, but paste blocks: the shapes agree, and the map is scrambled.",
        ),
        (layers_by(one_norm), "each half of a layer has a norm of its own."),
        (layers_by(without_attention_shortcut), "the shortcut around the attention is missing."),
        (
            layers_by(without_second_shortcut),
            "the shortcut around the feed-forward layer is missing.",
        ),
        (layers_by(without_feed_forward), "the feed-forward layer is missing, with its shortcut."),
        (layers_by(post_norm), "MaxViT is pre-norm: a norm opens each branch, none follows the +."),
        (layers_by(norm_at_the_end), "a norm opens each branch; yours stands at its end."),
        (
            layers_by(old_x_around_feed_forward),
            "the second shortcut takes the sum after the attention, not the old x.",
        ),
        (layers_by(side_by_side), "the feed-forward layer gets the sum after the attention."),
        (with_activation(gelu), "hand the activation on to MBConv and the feed-forward layers."),
        (with_activation(gelu, MBConv), "hand the activation on to MBConv, too."),
        (with_activation(gelu, FeedForward), "hand the activation on to the feed-forward layers."),
        (with_activation(F.gelu), "the default activation is `gelu`, the tanh form."),
    ),
    hints=(
        "write one class for both kinds of attention, which is given its partition and reverse.",
        "`self.parts` is an `nn.ModuleList`: MBConv, which strides and widens, then the one or "
        "two attention layers, which keep the shape.",
        "inside a layer, permute to (b, h, w, c) first and back at the end; each half is "
        "x = x + branch(norm(x)).",
    ),
)


def configurations():
    parts = (MAXVIT_PARTS, MAXVIT_PARTS[:2])
    small = MaxViTConfig(
        dims=(32, 64), depths=(1, 2), stem_dim=16, window=2, parts=parts, num_classes=5
    )
    other = replace(
        small, strides=(1, 2), window=(4, 2), expansion=2, activation=F.gelu, parts=parts[::-1]
    )
    deep = replace(small, dims=(32, 32, 64), depths=(2, 1, 1), parts=(*parts, parts[1]))
    return [
        ({"config": small}, (random(2, 3, 32, 64),)),  # large enough for a stride too many
        ({"config": other}, (random(1, 3, 16, 16),)),
        ({"config": deep}, (random(1, 3, 64, 64),)),
    ]


def without_stem_activation(module):
    module.stem.activation = nn.Identity()


def stride_by(conv, stride):
    """Let an MBConv have another stride, with the weights that it has."""
    conv.depthwise.stride, conv.depthwise.padding = 2 * (stride,), 2 * (int(stride == 1),)
    shortcut = Downsample(1, 1, stride)
    shortcut.project = conv.shortcut.project
    conv.shortcut = shortcut


def with_a_stride_in_every_block(module):
    for first, *others in module.stages:
        for other in others:
            stride_by(other.parts[0], first.parts[0].stride)


def with_stride_two_in_every_stage(module):
    for first, *_ in module.stages:
        stride_by(first.parts[0], 2)


MAXVIT = ModuleExercise(
    lesson=7,
    truth=MaxViT,
    cases=configurations,
    mistakes=(
        (with_activation(gelu), "hand `config.activation` on to the stem and to the blocks."),
        (
            with_activation(gelu, MBConv | FeedForward),
            "hand `config.activation` on to the blocks, too.",
        ),
        (with_activation(F.gelu), "the activation is the configuration's: it may be another one."),
        (
            lambda module, images: module.head.classify(
                module.head.norm(module.features(images)[-1].mean((2, 3)))
            ),
            "the hidden layer of the head, and its tanh, are missing: use `Head`.",
        ),
        (
            lambda module, images: module(images).softmax(-1),
            "return logits: the loss takes the softmax itself.",
        ),
        (
            changed(with_a_stride_in_every_block),
            "only the first block of a stage strides; after it, the stride is 1.",
        ),
        (
            changed(with_stride_two_in_every_stage),
            'a stage begins with the stride `config.stage(i)["strides"]`, which may be 1.',
        ),
        (changed(without_stem_activation), "the activation in the stem is missing: use `Stem`."),
    ),
    hints=(
        "`config.stage(i)` says what holds for a stage: dims, strides, window, parts.",
        "only the first block of a stage strides and changes the channels; after it, in_dim is "
        "dim, and the stride is 1.",
        "the stages are an `nn.ModuleList` of `nn.Sequential`s of blocks; a stage has grid "
        'attention if `GridAttention in config.stage(i)["parts"]`.',
    ),
)

MODULES = MBCONV, RELATIVE_ATTENTION, POSITION_BIAS, MAXVIT_BLOCK, MAXVIT
