"""CoAtNet's attention is timm's, and reads, costs and follows what it says."""

from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, randomize, said_reads
from relatives.proofs import follows, multiply_adds, reads
from timm.layers import RelPosBias
from timm.models.maxxvit import (
    Attention2d,
    MaxxVit,
    MaxxVitCfg,
    MaxxVitConvCfg,
    MaxxVitTransformerCfg,
    TransformerBlock2d,
)

from minimaxvit import (
    CONFIGS,
    BlockAttention,
    MaxViT,
    MBConv,
    RelativeAttention,
    load,
    maxvit,
    save,
)
from minimaxvit.relatives import COATNET, GlobalRelativeAttention
from minimaxvit.timm_weights import TIMM_NAMES

TIMMS_SIZES = [(64, 64, 1), (64, 64, 2), (32, 96, 2)]  # it changes channels where it strides
SIZES = pytest.mark.parametrize("in_dim, dim, stride", [*TIMMS_SIZES, (96, 64, 1)])
WINDOW = 4  # of the maps here, after the stride
TIMM = {"expand_ratio": 2, "norm_eps": 1e-5}


def layer(in_dim=64, dim=64, stride=1, kind=GlobalRelativeAttention, window=WINDOW):
    return randomize(kind(in_dim, dim, window, stride, expansion=2, activation=F.gelu))


def map_for(in_dim, stride):
    return noise(2, in_dim, stride * WINDOW, stride * WINDOW)


def same(found, expected):
    return torch.allclose(found, expected, rtol=0, atol=1e-9)


def packed(attention, head_first):
    """Query, key and value as timm packs them: by head, the three of each together, or in turn."""
    found = {}
    for kind in ("weight", "bias"):
        three = [getattr(each, kind) for each in (attention.query, attention.key, attention.value)]
        if head_first:
            three = [torch.stack([each.unflatten(0, (-1, 32)) for each in three], 1).flatten(0, 2)]
        found[kind] = torch.cat(three)
    found["weight"] = found["weight"][..., None, None]  # of a 1x1 convolution
    return found


def timm_attention(ours, head_first, packed=packed):
    """Our weights in timm's attention over a map; its table goes by query minus key."""
    c_in, c = ours.query.in_features, ours.query.out_features
    bias = partial(RelPosBias, window_size=(WINDOW, WINDOW))
    theirs = Attention2d(c_in, c, head_first=head_first, rel_pos_cls=bias).double().eval()
    output = ours.output.state_dict()
    theirs.proj.load_state_dict(
        {"weight": output["weight"][..., None, None]} | {"bias": output["bias"]}
    )
    theirs.qkv.load_state_dict(packed(ours, head_first))
    table = ours.bias.table.flip(1, 2).flatten(1).T
    theirs.rel_pos.load_state_dict({"relative_position_bias_table": table})
    return theirs


def timm_block(ours, in_dim, dim, stride):
    cfg = MaxxVitTransformerCfg(**TIMM)
    theirs = TransformerBlock2d(
        in_dim, dim, stride, partial(RelPosBias, window_size=(WINDOW, WINDOW)), cfg
    )
    theirs = theirs.double().eval()
    theirs.attn = timm_attention(ours.attention, head_first=True)  # as all its blocks
    norm = theirs.norm1.norm if stride > 1 else theirs.norm1
    norm.load_state_dict(ours.attention_norm.state_dict())
    theirs.norm2.load_state_dict(ours.feed_forward_norm.state_dict())
    linear = {"fc1": ours.feed_forward.expand, "fc2": ours.feed_forward.shrink}
    for name, each in linear.items():
        weights = {"weight": each.weight[..., None, None], "bias": each.bias}
        getattr(theirs.mlp, name).load_state_dict(weights)
    if in_dim != dim:
        theirs.shortcut.expand.load_state_dict(ours.shortcut.project.state_dict())
    return theirs


@pytest.mark.parametrize("in_dim, dim, stride", TIMMS_SIZES)
def test_a_layer_is_that_of_timm(in_dim, dim, stride):
    ours, x = layer(in_dim, dim, stride), map_for(in_dim, stride)
    assert same(ours(x), timm_block(ours, in_dim, dim, stride)(x))


@pytest.mark.parametrize("head_first", [True, False])
@SIZES
def test_attention_is_that_of_timm(in_dim, dim, stride, head_first):
    attention, x = layer(in_dim, dim, stride).attention, noise(2, in_dim, WINDOW, WINDOW)
    ours = attention(x.flatten(2).mT[:, None])[:, 0].mT.unflatten(2, (WINDOW, WINDOW))
    assert same(ours, timm_attention(attention, head_first)(x))


@SIZES
def test_a_layer_is_its_loop_over_tokens(in_dim, dim, stride):
    """As the paper has it: to each query and key their dot product, and a number for the offset."""
    ours, x = layer(in_dim, dim, stride), map_for(in_dim, stride)
    attention, table = ours.attention, ours.attention.bias.table
    y = F.avg_pool2d(ours.attention_norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), stride)
    y = y.permute(0, 2, 3, 1)
    query, key, value = (
        f(y).unflatten(3, (-1, 32)) for f in (attention.query, attention.key, attention.value)
    )
    out = torch.zeros_like(value)
    places = torch.cartesian_prod(torch.arange(WINDOW), torch.arange(WINDOW)).tolist()
    for row, column in places:
        logits = [
            (query[:, row, column] * key[:, i, j]).sum(-1) / 32**0.5
            + table[:, i - row + WINDOW - 1, j - column + WINDOW - 1]
            for i, j in places
        ]
        weights = torch.stack(logits).softmax(0)  # (keys, b, heads)
        for weight, (i, j) in zip(weights, places, strict=True):
            out[:, row, column] += weight[..., None] * value[:, i, j]
    shortcut = F.avg_pool2d(x, stride).permute(0, 2, 3, 1)
    if in_dim != dim:
        shortcut = (
            shortcut @ ours.shortcut.project.weight[:, :, 0, 0].T + ours.shortcut.project.bias
        )
    z = shortcut + attention.output(out.flatten(3))
    ffn = ours.feed_forward
    z = z + ffn.shrink(F.gelu(ffn.expand(ours.feed_forward_norm(z))))
    assert same(ours(x), z.permute(0, 3, 1, 2))


def test_a_layer_that_keeps_its_map_is_block_attention_with_one_block():
    ours = layer()
    block = BlockAttention(64, WINDOW, 2, activation=F.gelu).double().eval()
    block.load_state_dict(ours.state_dict())
    assert same(ours(map_for(64, 1)), block(map_for(64, 1)))


def timm_name(ours, name):
    """The name of one of our tensors in timm's network, of which stage 1 convolves alone."""
    module, _, kind = name.rpartition(".")
    kind = "relative_position_bias_table" if kind == "table" else kind
    if not module.startswith("stages."):
        return f"{TIMM_NAMES[module]}.{kind}"
    _, stage, block, _, part, inside = module.split(".", 5)
    inside = TIMM_NAMES[inside]
    attends = isinstance(
        ours.stages[int(stage)][int(block)].parts[int(part)], GlobalRelativeAttention
    )
    if attends and block == "0" and inside == "norm1":
        inside = "norm1.norm"  # timm pools in the same module
    return f"stages.{stage}.blocks.{block}.{inside}.{kind}"


def timm_network(ours, classes):
    conv = MaxxVitConvCfg(expand_ratio=2, norm_eps=1e-3, padding="same")
    theirs = MaxxVit(
        MaxxVitCfg(
            embed_dim=ours.config.dims,
            depths=ours.config.depths,
            block_type=("C", "T", "T"),
            stem_width=ours.config.stem_dim,
            stem_bias=True,
            conv_cfg=conv,
            transformer_cfg=MaxxVitTransformerCfg(**TIMM),
            head_hidden_size=ours.config.dims[-1],
        ),
        img_size=64,
        num_classes=classes,
    )
    shapes, found = theirs.state_dict(), {}
    for name, tensor in ours.state_dict().items():
        tensor = tensor.flip(1, 2).flatten(1).T if name.endswith("table") else tensor
        found[timm_name(ours, name)] = tensor
    for name, module in ours.named_modules():
        if isinstance(module, RelativeAttention):  # instead of query, key and value, one by one
            for kind, tensor in packed(module, head_first=True).items():
                found[timm_name(ours, f"{name}.query.{kind}")] = tensor
    found = {name: tensor.view_as(shapes[name]) for name, tensor in found.items()}
    theirs.double().eval().load_state_dict(found)
    return theirs


def test_the_network_is_that_of_timm():
    config = replace(
        COATNET, dims=(32, 64, 96), depths=(2, 2, 1), strides=2, stem_stride=2, num_classes=5
    )
    ours, images = randomize(MaxViT(replace(config, image_size=64))), noise(2, 3, 64, 64)
    assert same(ours(images), timm_network(ours, 5)(images))


def test_scores_and_bias_are_the_weights_that_forward_uses():
    for in_dim, dim, stride in ((64, 64, 1), (32, 96, 2)):
        ours, x = layer(in_dim, dim, stride), map_for(in_dim, stride)
        scores, bias = ours.scores(x)
        assert scores.shape == (2, dim // 32, 1, 16, 16) and bias.shape == (dim // 32, 1, 16, 16)
        value = ours.attention.split_heads(ours.attention.value(ours.tokens(x)))
        out = ((scores + bias).softmax(-1) @ value)[:, :, 0].permute(0, 2, 1, 3).flatten(2)
        assert same(ours.attend(x), ours.attention.output(out).mT.unflatten(2, (4, 4)))


class QueryMinusKey(GlobalRelativeAttention):
    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.attention.bias.index = self.attention.bias.index.T


class PoolsBeforeTheNorm(GlobalRelativeAttention):
    def tokens(self, x):
        pooled = self.shortcut.pool(x).flatten(2).mT[:, None]
        return self.attention_norm(pooled)


class NormsTheShortcut(GlobalRelativeAttention):
    def forward(self, x):
        normed = self.attention_norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = (self.shortcut(normed) + self.attend(x)).permute(0, 2, 3, 1)
        return (x + self.feed_forward(self.feed_forward_norm(x))).permute(0, 3, 1, 2)


@pytest.mark.parametrize("wrong", [QueryMinusKey, PoolsBeforeTheNorm, NormsTheShortcut])
def test_what_ports_get_wrong_is_caught(wrong):
    ours, planted, x = layer(32, 64, 2), layer(32, 64, 2, wrong), map_for(32, 2)
    theirs = timm_block(ours, 32, 64, 2)(x)
    assert same(ours(x), theirs)
    assert (planted(x) - theirs).abs().max() > 1e-2


def test_timm_packs_by_head_unless_told_and_taking_it_otherwise_is_caught():
    attention, x = layer().attention, noise(2, 64, WINDOW, WINDOW)
    right = timm_attention(attention, head_first=True)(x)
    wrong = timm_attention(attention, True, packed=lambda ours, _: packed(ours, head_first=False))(
        x
    )
    assert Attention2d(64).head_first and (right - wrong).abs().max() > 1e-2


@pytest.mark.parametrize("in_dim, dim, stride, window", [(32, 32, 1, 3), (8, 32, 2, 2)])
def test_every_token_reads_the_whole_map_in_one_layer(in_dim, dim, stride, window):
    part = layer(in_dim, dim, stride, window=window)
    found = reads(part, in_dim, stride * window, stride * window)
    assert found.all() and found.shape == (window**2, (stride * window) ** 2)
    (*taps, add) = part.steps()
    assert () in add.branches and len(taps) == 1  # the shortcut and the pool, which `all` hides


def test_one_layer_makes_a_map_of_16_by_16_whole():
    part = layer(32, 32, window=16)
    corner = noise(1, 32, 16, 16).requires_grad_()
    (gradient,) = torch.autograd.grad(part(corner)[0, :, 0, 0] @ noise(32), corner)
    assert (gradient.abs().amax(1) > 0).all() and said_reads(part.steps(), 16, 16).all()


@pytest.mark.parametrize("side, millions", [(8, 1.57), (16, 12.58), (32, 151.0)])
def test_multiply_adds_grow_with_the_square_of_the_tokens(side, millions):
    n, c = side**2, 64
    attention = 4 * n * c**2 + 2 * n**2 * c  # four projections, two products of all pairs
    feed_forward = 2 * 2 * n * c**2  # twice as wide inside
    assert multiply_adds(layer(window=side), c, side, side) == attention + feed_forward
    assert attention / 1e6 == pytest.approx(millions, rel=2e-3)


def test_multiply_adds_of_a_strided_layer_are_those_on_the_pooled_map():
    n, c_in, c = WINDOW**2, 32, 96
    attention = 3 * n * c_in * c + n * c**2 + 2 * n**2 * c
    shortcut, feed_forward = n * c_in * c, 4 * n * c**2
    expected = attention + shortcut + feed_forward
    assert multiply_adds(layer(c_in, c, 2), c_in, 2 * WINDOW, 2 * WINDOW) == expected


def permuted(part, x, order):
    return part(x.flatten(2)[:, :, order].view_as(x)), part(x).flatten(2)[:, :, order].view_as(x)


def test_its_bias_alone_tells_where_tokens_are():
    part, order = layer(), torch.randperm(16, generator=torch.Generator().manual_seed(0))
    for down, right in ((1, 0), (0, 1), (2, 2)):
        assert not follows(part, 64, 4, 4, down, right)
    assert not same(*permuted(part, map_for(64, 1), order))
    part.attention.bias.table.data.zero_()
    for down, right in ((1, 0), (0, 1), (2, 3)):
        assert follows(part, 64, 4, 4, down, right)
    assert same(*permuted(part, map_for(64, 1), order))


def test_bad_sizes_are_refused_by_name():
    model = maxvit("coatnet")
    for h, w in ((40, 32), (32, 64), (30, 32), (64, 64)):
        told = f"{h} x {w} give 2.1 GlobalRelativeAttention .* is not the 16 x 16 that its table"
        with pytest.raises(ValueError, match=f"{told}.* are height 3"):
            model(torch.zeros(1, 3, h, w))
    with pytest.raises(ValueError, match="48 channels do not divide into heads of dimension 32"):
        GlobalRelativeAttention(32, 48, 4)
    assert maxvit("coatnet", image_size=64)(torch.zeros(1, 3, 64, 64)).shape == (1, 10)


def test_the_named_network_is_compact_but_for_its_parts_and_depths():
    model = maxvit("coatnet").eval()
    assert CONFIGS["coatnet"] is COATNET and sum(p.numel() for p in model.parameters()) == 830_575
    compact = CONFIGS["compact"]
    differs = {name: getattr(compact, name) for name in ("depths", "window", "parts")}
    assert replace(COATNET, **differs) == compact
    maps = [tuple(x.shape[1:]) for x in model.features(torch.zeros(2, 3, 32, 32))]
    assert maps == [(32, 16, 16), (96, 8, 8), (192, 4, 4)]
    kinds = [type(part) for part in list(model.layers().values())[1:]]
    assert kinds == 2 * [MBConv] + 5 * [GlobalRelativeAttention]
    assert sum(isinstance(each, RelativeAttention) for each in model.modules()) == 5
    assert [part.stride for part in model.layers().values()][1:] == [1, 1, 2, 1, 1, 2, 1]


def test_a_saved_network_comes_back(tmp_path):
    config = replace(
        COATNET, dims=(32, 32, 64), depths=(1, 1, 2), window=(None, 4, 2), image_size=16
    )
    model, images = randomize(MaxViT(config)).float(), noise(2, 3, 16, 16).float()
    save(model, tmp_path / "coatnet")
    loaded = load(tmp_path / "coatnet")
    assert loaded.config == config and torch.equal(loaded(images), model(images))


@pytest.mark.parametrize("in_dim, stride", [(64, 1), (32, 2)])
def test_a_dropped_branch_leaves_the_shortcut(in_dim, stride):
    part = GlobalRelativeAttention(in_dim, 64, 4, stride, drop_path=1 - 1e-6).train()
    x = torch.randn(4, in_dim, stride * 4, stride * 4)
    assert torch.equal(part(x), part.shortcut(x))
