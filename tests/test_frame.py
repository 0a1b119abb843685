"""The frame holds: a part defined here, and MaxViT's relatives, can all that MaxViT's parts can.

Nothing in the package knows `Neighborhood` or `PatchStem`, which are odd on purpose: a wide strided
depthwise convolution, a table and a scalar of their own, one query per group, and missing keys.
"""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from browser import alive, choose, hover, in_a_browser, text_of
from einops import rearrange
from explored import compare_fields
from helpers import noise, randomize
from torch import nn
from training_helpers import few_shapes

from minimaxvit import (
    CONFIGS,
    BlockAttention,
    MaxViT,
    MaxViTConfig,
    MBConv,
    load,
    register,
    save,
)
from minimaxvit.block import GroupAttention
from minimaxvit.pixels import normalize
from minimaxvit.relatives import (
    ClassAttention,
    CrossCovarianceAttention,
    GatedPositionalAttention,
    GlobalRelativeAttention,
    GroupNormUnit,
    ImageToTokens,
    MobileViTBlock,
    NeighborhoodAttention,
    PooledConvs,
    ResidualUnit,
    SpatialReductionAttention,
    StandAloneAttention,
    TokenPart,
    TokensToToken,
)
from minimaxvit.seeing import multiply_adds, record_attention, rollout, trace
from minimaxvit.seeing.explorer import explorer
from minimaxvit.seeing.measure.effective import run_to
from minimaxvit.seeing.measure.recording import attention_maps
from minimaxvit.steps import Add, Attend, Part, Taps
from minimaxvit.summary import count, summary
from minimaxvit.training import Recipe, fit
from minimaxvit.training.optimizers import first_convolution, parameter_groups
from minimaxvit.training.run import hold_out
from minimaxvit.training.whitening import whitening_filters


class PatchStem(Part):
    """Project each patch of an image: (b, 3, h, w) -> (b, c, h / stride, w / stride)."""

    def __init__(self, stem_dim, stem_stride):
        super().__init__()
        self.stride = self.divisor = stem_stride
        self.project = nn.Conv2d(3, stem_dim, stem_stride, stem_stride)

    def forward(self, images):
        return self.project(images)

    def steps(self):
        return (Taps(self.project),)


class Neighborhood(Part):
    """Mix 7x7 tokens channel by channel, then let each attend to those that touch it."""

    def __init__(self, in_dim, dim, stride=1):
        super().__init__()
        self.stride = self.divisor = stride
        self.depthwise = nn.Conv2d(in_dim, in_dim, 7, stride, 3, groups=in_dim)
        self.widen = nn.Conv2d(in_dim, dim, 1)
        self.norm = nn.LayerNorm(dim)
        self.query, self.value, self.output = (nn.Linear(dim, dim) for _ in range(3))
        self.key = nn.Linear(dim, dim, bias=False)
        self.table = nn.Parameter(torch.zeros(dim // 16, 9))  # (heads, s)
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x):
        x = self.widen(self.depthwise(x))
        scores, bias = self.scores_after(x)
        return x + self.gain * self.gather((scores + bias).softmax(-1), x)

    def gather(self, weights, x):
        keys = self.keys(*x.shape[2:]).to(x.device)
        values = self.heads(self.value(self.tokens(x))[:, keys.clamp(0)])
        out = rearrange(weights @ values, "b heads n 1 d -> b n (heads d)")
        return rearrange(self.output(out), "b (h w) c -> b c h w", h=x.shape[2])

    def scores(self, x):
        return self.scores_after(self.widen(self.depthwise(x)))

    def scores_after(self, x):
        tokens, keys = self.tokens(x), self.keys(*x.shape[2:]).to(x.device)
        query, key = self.heads(self.query(tokens)[:, :, None]), self.key(tokens)[:, keys.clamp(0)]
        bias = self.table[:, None, None].masked_fill(keys[:, None] < 0, -torch.inf)
        return query @ self.heads(key).mT / 4, bias  # (b, heads, n, 1, 9), (heads, n, 1, 9)

    def tokens(self, x):
        return self.norm(rearrange(x, "b c h w -> b (h w) c"))

    def heads(self, x):
        return rearrange(x, "b n t (heads d) -> b heads n t d", d=16)

    def keys(self, h, w):
        numbers = F.pad(torch.arange(h * w).view(h, w), (1, 1, 1, 1), value=-1)
        return numbers.unfold(0, 3, 1).unfold(1, 3, 1).reshape(h * w, 9)

    def steps(self):
        return Taps(self.depthwise), Add(((), (Attend(self.groups),)))

    def groups(self, numbers, extra):
        return numbers.view(-1, 1), self.keys(*numbers.shape[1:3])


register(PatchStem=PatchStem, Neighborhood=Neighborhood)
ODD = MaxViTConfig(
    dims=(32, 64),
    depths=(1, 1),
    stem_dim=16,
    stem_stride=2,
    window=4,
    parts=((Neighborhood,), (Neighborhood, BlockAttention)),
    stem=PatchStem,
    num_classes=10,
    image_size=32,
)
NAMED = [name for name, config in CONFIGS.items() if config.image_size == 32]
NETWORKS = {"odd": ODD} | {name: CONFIGS[name] for name in NAMED if name != "convolutions"}
CLASSES = [str(number) for number in range(10)]
ALL = pytest.mark.parametrize("name", NETWORKS)


def pictures(n):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8)


@pytest.fixture
def model(name):
    torch.manual_seed(0)
    return randomize(MaxViT(NETWORKS[name]))


def test_a_part_that_says_no_steps_is_named_and_its_stride_shown():
    class Silent(Part):
        """Says nothing."""

    with pytest.raises(NotImplementedError) as refused:
        Silent().steps()
    assert str(refused.value) == "Silent must say its steps: see minimaxvit.steps"
    part = Silent()
    assert repr(part) == "Silent()"
    part.stride = 2
    assert repr(part) == "Silent(stride=2)"


@ALL
def test_it_runs(model):
    assert model.float()(normalize(pictures(2))).shape == (2, 10)


@pytest.mark.parametrize(
    "name, side, said",
    [
        ("odd", 33, "give stem a map of 33 x 32 tokens, which is not divisible by 2"),
        ("odd", 34, "give 1.1 Neighborhood a map of 17 x 16 tokens, which is not divisible by 2"),
        ("odd", 40, "give 2.1 BlockAttention a map of 5 x 4 tokens, .* are height 32 or 64 and"),
        ("vit", 36, "give stem a map of 36 x 32 tokens"),
        ("swin", 34, "give 1.1 BlockAttention a map of 17 x 16 tokens"),
        ("coatnet", 40, "give 2.1 GlobalRelativeAttention a map of 20 x 16 tokens"),
        ("compact", 40, "give 1.1 BlockAttention a map of 20 x 16|give 2.1 BlockAttention a map"),
        ("hybrid", 36, "give 2.1 BlockAttention a map of 9 x 8 tokens"),
    ],
)
def test_a_wrong_size_is_refused_by_name(model, side, said):
    with pytest.raises(ValueError, match=said):
        model(noise(1, 3, side, 32))


@ALL
def test_every_trainable_parameter_is_in_one_group(model):
    grouped = [p for group in parameter_groups(model).values() for p in group]
    assert len(grouped) == len(set(grouped)) == len(list(model.parameters()))


@ALL
def test_three_steps_move_every_weight_and_the_result_can_be_kept(name, tmp_path):
    training, test = few_shapes(16 + 3 * 16)
    # Without decay, which would move weights that no gradient reaches.
    recipe = Recipe(steps=3, batch_size=16, val_size=16, whiten=False, ema=0.1, weight_decay=0)
    torch.manual_seed(recipe.seed)
    before = MaxViT(NETWORKS[name]).state_dict()
    record = fit(NETWORKS[name], training, test, recipe, tmp_path)
    model = load(tmp_path / "model.safetensors")
    assert record["history"][-1]["step"] == 3 and model.config == NETWORKS[name]
    for key, parameter in model.named_parameters():
        assert not torch.equal(parameter, before[key]), key
    save(model, tmp_path / "again.safetensors")
    images = normalize(test.images)
    assert torch.equal(load(tmp_path / "again.safetensors")(images), model(images))


@ALL
def test_the_first_convolution_can_whiten(name, tmp_path):
    training, test = few_shapes(16 + 32)
    recipe = Recipe(steps=1, batch_size=16, val_size=16)
    fit(NETWORKS[name], training, test, recipe, tmp_path)
    conv = first_convolution(load(tmp_path / "model.safetensors"))
    if conv is None:
        return  # a stem without one is trained as it is
    left, _ = hold_out(training, recipe.val_size, recipe.seed)
    filters = whitening_filters(normalize(left.images), conv.kernel_size)
    kept = conv.weight[: len(filters)].flatten(1)
    if 2 * len(filters) < len(conv.weight):
        assert not torch.equal(kept, filters[: len(kept)])  # not frozen: it goes on learning
    else:
        torch.testing.assert_close(kept, filters[: len(kept)], rtol=1e-3, atol=1e-3)


def smooth(model):
    """Take out what depends on the image: gates, held constant, ReLUs and max-pools."""
    for part in model.modules():
        if isinstance(part, MBConv):
            part.squeeze_excite = nn.Identity()
        if isinstance(part, CrossCovarianceAttention):
            part.channel_weights = lambda x, f=part.channel_weights: f(x).detach()
        if isinstance(part, ResidualUnit):
            part.activation = F.gelu
        if isinstance(part, GroupNormUnit):
            part.norm1 = part.norm2 = nn.Identity()
        if isinstance(part, ImageToTokens):
            part.pool = nn.AvgPool2d(3, stride=2, padding=1)
        if isinstance(part, PooledConvs) and isinstance(part.pool, nn.MaxPool2d):
            part.pool = nn.AvgPool2d(part.pool.kernel_size, ceil_mode=True)
    return model


def seen_by(model, layer, query, images):
    """Which pixels have a gradient, of any of the images: bool (h, w)."""
    images.requires_grad_()
    x, *extra = run_to(layer, model, images)
    tokens = torch.cat([x.flatten(2).mT, *extra], 1)  # (b, places, c)
    token = tokens[:, query if isinstance(query, int) else query[0] * x.shape[3] + query[1]]
    mixed = (token @ noise(token.shape[1])).sum()
    (gradient,) = torch.autograd.grad(mixed, images, materialize_grads=True)  # 0 if nothing is read
    return (gradient != 0).any(1).any(0)


@ALL
def test_paths_lead_where_gradients_do(name, model):
    smooth(model)
    for layer in model.layers():
        h, w = trace(model, 32, 32, layer, (0, 0))[layer].shape
        token = [h * w] * (len(run_to(layer, model, noise(1, 3, 32, 32))) > 1)
        for query in [(0, 0), (h // 2, w - 1), *token]:
            reached = trace(model, 32, 32, layer, query, gates=False)["pixels"] > 0
            seen = seen_by(model, layer, query, noise(1, 3, 32, 32))
            assert torch.equal(reached, seen), (layer, query)


@ALL
def test_a_rollout_sums_to_one(model):
    images = pictures(2)
    ones = torch.ones(2, dtype=torch.float64)
    for layer, query in ((None, None), (list(model.layers())[-1], (1, 2)), ("stem", None)):
        found = rollout(model.float(), images, layer, query)
        assert (found >= 0).all()
        torch.testing.assert_close(found.sum((1, 2)), ones)


GATHERED = "b heads n t d -> b n t (heads d)"


def gathered(part, state, weights):
    """What attention weights gather, by the part's own values, and what its attention returns."""
    if isinstance(part, MobileViTBlock):
        part, state = part.transformer, (part.look_near(*state),)
    if isinstance(part, Neighborhood):
        x = part.widen(part.depthwise(*state))
        return part.gather(weights, x) * part.gain, part(*state) - x
    if isinstance(part, TokensToToken):
        value, known = part.attend(*state)
        return part.output(rearrange(weights @ value[:, None, None], GATHERED)), known[:, None]
    if isinstance(part, TokenPart):  # whose only head has neither projection nor output
        value = part.values(*state)[:, None, None]
        return rearrange(weights @ value, GATHERED), part.attend(*state)[:, None]
    attention = part.attention
    if isinstance(part, GroupAttention):
        y = part.attention_norm(state[0].permute(0, 2, 3, 1))
        if isinstance(part, NeighborhoodAttention | StandAloneAttention):
            owner = part if isinstance(part, NeighborhoodAttention) else attention
            value, known = owner.neighbors(attention.value(y)), part.attend(y).flatten(1, 2)
            out = rearrange(weights @ value, GATHERED)
            return getattr(attention, "output", nn.Identity())(out), known[:, :, None]
        if isinstance(part, SpatialReductionAttention):
            value = attention.split_heads(attention.value(attention.summarize(y)))
            known = rearrange(part.attend(y), "b h w c -> b 1 (h w) c")
            return attention.output(rearrange(weights @ value, GATHERED)), known
        x, known = (part.partition(each, part.window) for each in (y, part.attend(y)))
        weights = weights.reshape(*weights.shape[:2], *x.shape[1:3], -1)  # one query a group or all
    elif isinstance(part, GatedPositionalAttention):
        x = part.attention_norm(part.join(state[0]))
        known = attention(x, *state[0].shape[2:])
    else:
        relative = isinstance(part, GlobalRelativeAttention)
        x = part.tokens(*state) if relative else part.attention_norm(part.join(*state))
        known = part.attend(*state) if isinstance(part, ClassAttention) else attention(x)
    out = rearrange(weights @ attention.split_heads(attention.value(x)), GATHERED)
    return attention.output(out), known


ATTENDING = [
    name
    for name in NETWORKS
    if any(hasattr(part, "scores") for stage in NETWORKS[name].parts for part in stage)
]


@pytest.mark.parametrize("name", ATTENDING)
def test_recorded_weights_gather_what_forward_does(model):
    with record_attention(model) as maps, torch.no_grad():
        model(noise(2, 3, 32, 32))
        state = (noise(2, 3, 32, 32),)
        for layer, part in model.layers().items():
            if layer in maps:
                weights = maps[layer].weights()
                torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
                found, known = gathered(part, state, weights)
                torch.testing.assert_close(found, known)
            state = part.run(*state)
    assert len(maps) == sum(hasattr(part, "scores") for part in model.layers().values())


@ALL
def test_summary_and_costs_agree(name):
    config = NETWORKS[name]
    rows, costs = count(config, 32, 32), multiply_adds(config, 32, 32)
    assert sum(costs.values()) == sum(macs for *_, macs in rows)
    parameters = sum(parameter.numel() for parameter in MaxViT(config).parameters())
    assert f"{parameters:,}" in summary(name, config, 32, 32).splitlines()[-1]
    assert name != "odd" or set(costs) == {
        "convolutions: dense 2x2",
        "convolutions: depthwise 7x7",
        "convolutions: 1x1",
        "linear: attention",
        "linear: feed-forward",
        "linear: head",
        "attention: products of pairs",
    }


@in_a_browser
@ALL
def test_it_opens_in_the_explorer(model, open_page):
    model, images = model.float(), pictures(1)
    maps = attention_maps(model, images)
    page = alive(open_page, explorer({"random": model}, images, ["noise"], CLASSES))
    for layer, attention in maps.items():
        choose(page, "layer", layer)
        has_table = any(kind in layer for kind in ("BlockAtt", "GridAtt", "GlobalRelativeAtt"))
        table = page.locator(f"[data-layer='{layer}'] canvas[data-of=table]")
        assert table.count() == has_table
        hover(page, layer, (1, 3), attention.size)
        (h, w), queries = attention.size, attention.queries.flatten().tolist()
        asks = w + 3 if w + 3 in queries else h * w  # there may be none but extra tokens
        known = "row 1, column 3;" if asks < h * w else "extra token 1"
        assert text_of(page, layer, "query").startswith(known)
        compare_strongest(page, layer, attention, asks)
        if h * w in queries:
            choose(page, "query", 0)
            assert text_of(page, layer, "query") == "extra token 1"
            compare_strongest(page, layer, attention, h * w)
            choose(page, "query", "")
    choose(page, "view", "fields")
    last_of_each_kind = {type(part): layer for layer, part in model.layers().items()}
    compare_fields(page, model, images, layers=last_of_each_kind.values())


def compare_strongest(page, layer, attention, query):
    said = re.findall(r": ([\d.]+)", text_of(page, layer, "strongest"))
    weights = attention.weights()
    row = attention.lift(weights)[0].mean(0)[query]
    known = row.topk(len(said)).values
    assert np.abs(np.array(said, dtype=float) - known.numpy()).max() <= 0.002
    whole = row.sum().item()  # less than 1 where padding takes weight
    said, *rest = text_of(page, layer, "sum").split("; ")
    assert float(said) == pytest.approx(whole, abs=0.002)
    assert rest == (["padding around the map has the rest"] if whole < 0.9995 else [])
    keys = attention.lift(torch.ones_like(weights))[0, 0, query].count_nonzero().item()
    assert text_of(page, layer, "keys").split()[0] == str(keys)
