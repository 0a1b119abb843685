"""ConViT's gated attention is timm's, weight for weight, and at first much like a convolution."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, randomize, said_reads
from relatives.proofs import follows, multiply_adds, reads
from timm.models.convit import GPSA, ConVit
from torch import nn

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.relatives import (
    CONVIT,
    GatedMultiHeadAttention,
    GatedPositionalAttention,
    GlobalAttention,
    offsets,
)

SMALL = replace(CONVIT, depths=(2, 1), image_size=16, num_classes=5)


def randomized(module):
    """`randomize` knows no bare positions and gates, nor tokens."""
    randomize(module)
    for name, parameter in module.named_parameters():
        last = name.split(".")[-1]
        if last in ("position", "gate", "positions", "class_token", "class_position"):
            nn.init.normal_(parameter)
    return module


def halves(function):
    """What timm keeps of our projections in one place."""
    return {
        kind: torch.cat([getattr(each, kind) for each in function]) for kind in ("weight", "bias")
    }


def gpsa_weights(ours):
    """Our state under timm's names. It has right before down, and a bias that a softmax ignores."""
    theirs = {"gating_param": ours.gate, "pos_proj.weight": ours.position[:, [1, 0, 2]]}
    theirs["pos_proj.bias"] = noise(len(ours.gate))
    for kind, packed in halves((ours.query, ours.key)).items():
        theirs[f"qk.{kind}"] = packed
        theirs |= {f"v.{kind}": getattr(ours.value, kind)}
        theirs |= {f"proj.{kind}": getattr(ours.output, kind)}
    return theirs


def gpsa_of(ours, dim):
    theirs = GPSA(dim, len(ours.gate), qkv_bias=True).double().eval()
    theirs.load_state_dict(gpsa_weights(ours))
    return theirs


def looped(ours, x, h, w):
    """The formula, one query of one head after the other: (t, c) -> (t, c)."""
    query, key, value = (f(x).unflatten(1, (-1, 32)) for f in (ours.query, ours.key, ours.value))
    out = torch.zeros_like(query)
    for head, gate in enumerate(torch.sigmoid(ours.gate)):
        for i in range(h * w):
            content, position = [], []
            for j in range(h * w):
                down, right = j // w - i // w, j % w - i % w
                r = torch.tensor([down, right, down**2 + right**2], dtype=x.dtype)
                content.append(query[i, head] @ key[j, head] / 32**0.5)
                position.append(ours.position[head] @ r)
            content, position = torch.stack(content).softmax(0), torch.stack(position).softmax(0)
            out[i, head] = ((1 - gate) * content + gate * position) @ value[:, head]
    return ours.output(out.flatten(1))


def test_attention_is_that_of_timm():
    ours, x = randomized(GatedMultiHeadAttention(128)), noise(2, 1, 25, 128)
    theirs = gpsa_of(ours, 128)
    torch.testing.assert_close(ours(x, 5, 5)[:, 0], theirs(x[:, 0]), rtol=0, atol=1e-9)
    torch.testing.assert_close(ours.weights(x, 5, 5)[:, :, 0], theirs.get_attention(x[:, 0]))


@pytest.mark.parametrize("heads", [4, 9])
def test_attention_begins_as_that_of_timm(heads):
    theirs, dim = GPSA(32 * heads, heads, qkv_bias=True).double().eval(), 32 * heads
    theirs.local_init()
    layer = GatedPositionalAttention(dim).double()
    layer.initialize()
    ours = layer.attention
    with torch.no_grad():
        ours.query.weight.copy_(theirs.qk.weight[:dim])
        ours.key.weight.copy_(theirs.qk.weight[dim:])
        ours.query.bias.copy_(theirs.qk.bias[:dim])
        ours.key.bias.copy_(theirs.qk.bias[dim:])
    assert torch.equal(ours.gate, theirs.gating_param) and ours.gate.sigmoid()[0] > 0.73
    assert torch.equal(ours.value.weight, theirs.v.weight)
    # It numbers the places of heads column by column, we row by row.
    side = int(heads**0.5)
    order = torch.arange(heads).view(side, side).T.flatten()
    position = theirs.pos_proj.weight[order][:, [1, 0, 2]]
    torch.testing.assert_close(ours.position, position, rtol=0, atol=0)


@pytest.mark.parametrize("h, w", [(3, 3), (2, 5)])
def test_attention_is_the_formula_in_a_loop(h, w):
    ours, x = randomized(GatedMultiHeadAttention(128)), noise(h * w, 128)
    found = ours(x[None, None], h, w)[0, 0]
    torch.testing.assert_close(found, looped(ours, x, h, w), rtol=0, atol=1e-9)


def test_a_layer_norms_attends_and_transforms():
    layer, x = randomized(GatedPositionalAttention(32, expansion=3)), noise(1, 32, 3, 4)
    y = x[0].flatten(1).T
    y = y + looped(layer.attention, layer.attention_norm(y), 3, 4)
    y = y + layer.feed_forward(layer.feed_forward_norm(y))
    torch.testing.assert_close(layer(x)[0].flatten(1).T, y, rtol=0, atol=1e-9)


def test_the_network_is_that_of_timm():
    ours = randomized(MaxViT(SMALL))
    theirs = ConVit(
        img_size=16,
        patch_size=4,
        num_classes=5,
        embed_dim=32,  # of a head
        depth=3,
        num_heads=4,
        mlp_ratio=2,
        qkv_bias=True,
        local_up_to_layer=2,
    )
    stem, head = ours.stem, ours.head
    weights = {
        "cls_token": stem.class_token + stem.class_position,
        "pos_embed": stem.positions.flatten(2).mT,
    }
    for kind in ("weight", "bias"):
        weights[f"patch_embed.proj.{kind}"] = getattr(stem.project, kind)
        weights |= {f"norm.{kind}": getattr(head.norm, kind)}
        weights |= {f"head.{kind}": getattr(head.classify, kind)}
    for number, layer in enumerate(list(ours.layers().values())[1:]):
        attention = layer.attention
        if isinstance(layer, GatedPositionalAttention):
            inside = gpsa_weights(attention)
        else:
            packed = halves((attention.query, attention.key, attention.value))
            inside = {f"qkv.{kind}": each for kind, each in packed.items()}
            inside |= {f"proj.{name}": each for name, each in attention.output.named_parameters()}
        weights |= {f"blocks.{number}.attn.{name}": each for name, each in inside.items()}
        for kind in ("weight", "bias"):
            weights |= {
                f"blocks.{number}.norm1.{kind}": getattr(layer.attention_norm, kind),
                f"blocks.{number}.norm2.{kind}": getattr(layer.feed_forward_norm, kind),
                f"blocks.{number}.mlp.fc1.{kind}": getattr(layer.feed_forward.expand, kind),
                f"blocks.{number}.mlp.fc2.{kind}": getattr(layer.feed_forward.shrink, kind),
            }
    theirs.double().eval().load_state_dict(weights)
    images = noise(3, 3, 16, 16)
    torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-9)


@pytest.mark.parametrize("h, w", [(3, 3), (2, 4)])
def test_a_layer_reads_the_whole_map_and_lets_extra_tokens_pass(h, w):
    layer = randomized(GatedPositionalAttention(32, expansion=1))
    assert reads(layer, 32, h, w).all() and said_reads(layer.steps(), 16, 16).all()
    class_token = noise(1, 1, 32, seed=2)
    x, passed = layer.run(noise(1, 32, h, w), class_token)
    assert torch.equal(passed, class_token) and torch.equal(x, layer(noise(1, 32, h, w)))


@pytest.mark.parametrize("side, millions", [(8, 1.62), (16, 13.4), (32, 164)])
def test_the_cost_grows_with_the_square_of_the_number_of_tokens(side, millions):
    class NarrowHeads(GatedPositionalAttention):
        head_dim = 16  # so that 64 channels make four heads

    n, c, heads = side**2, 64, 4
    attention = 4 * n * c**2 + 2 * n**2 * c + 3 * n**2 * heads
    feed_forward = 2 * n * c * (2 * c)
    layer = NarrowHeads(64, expansion=2).double()
    assert multiply_adds(layer, c, side, side) == attention + feed_forward
    assert attention / 1e6 == pytest.approx(millions, rel=5e-3)


def test_the_scores_are_of_the_mixture():
    layer, x = randomized(GatedPositionalAttention(128)), noise(2, 128, 3, 4)
    scores, bias = layer.scores(x)
    y = layer.attention_norm(x.flatten(2).mT[:, None])
    torch.testing.assert_close((scores + bias).softmax(-1), layer.attention.weights(y, 3, 4))
    assert scores.shape == (2, 4, 1, 12, 12) and bias.shape == (4, 1, 12, 12) and not bias.any()


def test_with_the_gate_at_content_it_is_plain_attention_and_knows_no_positions():
    layer, plain = randomized(GatedPositionalAttention(128)), GlobalAttention(128).double().eval()
    nn.init.constant_(layer.attention.gate, -100)
    plain.load_state_dict(layer.state_dict(), strict=False)
    x, order = noise(1, 128, 3, 3), torch.randperm(9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x), plain(x)[0], rtol=0, atol=1e-9)
    moved = x.flatten(2)[..., order].view_as(x)
    expected = layer(x).flatten(2)[..., order].view_as(x)
    torch.testing.assert_close(layer(moved), expected, rtol=0, atol=1e-9)


def test_with_the_gate_at_position_and_a_sharp_look_it_is_a_convolution():
    attention = randomized(GatedMultiHeadAttention(9 * 32))
    with torch.no_grad():
        attention.gate.fill_(100)
        attention.position.copy_(50 * GatedMultiHeadAttention(9 * 32).position)
        attention.value.bias.zero_()
    x = noise(1, 288, 6, 5)
    found = attention(x.flatten(2).mT[:, None], 6, 5)[0, 0].T.view(1, 288, 6, 5)
    output = attention.output.weight.unflatten(1, (9, 32))
    value = attention.value.weight.unflatten(0, (9, 32))
    kernel = torch.einsum("ohd,hdi->oih", output, value).unflatten(2, (3, 3))
    expected = F.conv2d(x, kernel, attention.output.bias)
    torch.testing.assert_close(found[..., 1:-1, 1:-1], expected, rtol=0, atol=1e-9)


def test_it_does_not_follow_shifts_as_positions_end_with_the_map():
    layer = randomized(GatedPositionalAttention(128))
    assert not follows(layer, 128, 4, 4, 1, 0) and not follows(layer, 128, 4, 4, 2, 2)


def test_the_formula_of_the_paper_without_scaling_is_another_thing_than_its_code():
    class Unscaled(GatedMultiHeadAttention):
        def scores(self, x):
            return super().scores(x) * self.head_dim**0.5

    wrong, x = randomized(Unscaled(128)), noise(1, 1, 9, 128)
    assert (wrong(x, 3, 3)[:, 0] - gpsa_of(wrong, 128)(x[:, 0])).abs().max() > 1e-3


def test_one_softmax_over_the_sum_of_content_and_position_is_another_thing():
    class OneSoftmax(GatedMultiHeadAttention):
        """The positional attention before ConViT, which lets content drown positions."""

        def weights(self, x, h, w):
            by_position = (offsets(h, w).to(x) @ self.position.T).permute(2, 0, 1)[:, None]
            return (self.scores(x) + by_position).softmax(-1)

    wrong, x = randomized(OneSoftmax(128)), noise(1, 1, 9, 128)
    assert (wrong(x, 3, 3)[:, 0] - gpsa_of(wrong, 128)(x[:, 0])).abs().max() > 1e-3


def test_offsets_lead_from_the_query_to_the_key():
    found = offsets(2, 3)
    assert found.shape == (6, 6, 3)
    assert found[0, 5].tolist() == [1, 2, 5] and found[4, 0].tolist() == [-1, -1, 2]


def test_heads_that_form_no_square_are_refused_and_every_map_fits():
    with pytest.raises(ValueError, match="2 heads do not form a square: 1, 4, 9, 16, ... do"):
        GatedPositionalAttention(64)
    with pytest.raises(ValueError, match="48 channels do not divide into heads of dimension 32"):
        GatedPositionalAttention(48)
    with pytest.raises(ValueError, match="28 x 32 give stem .* not the 32 x 32 .* height 32 and"):
        maxvit("convit")(torch.zeros(1, 3, 28, 32))
    assert maxvit("convit", image_size=48)(torch.zeros(1, 3, 48, 48)).shape == (1, 10)
    assert GatedPositionalAttention(32)(torch.zeros(1, 32, 5, 3)).shape == (1, 32, 5, 3)


def test_the_named_network_has_its_size_and_begins_at_the_taps_of_a_convolution():
    model = maxvit("convit").eval()
    assert CONFIGS["convit"] is CONVIT and sum(p.numel() for p in model.parameters()) == 811_210
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    for layer in list(model.layers().values())[1:5]:
        assert torch.equal(layer.attention.value.weight, torch.eye(128))
        centers = [[-1, -1, -1], [-1, 1, -1], [1, -1, -1], [1, 1, -1]]  # half a token away
        assert layer.attention.position.tolist() == centers


def test_a_saved_network_comes_back(tmp_path):
    model, images = randomized(MaxViT(SMALL)).float(), noise(2, 3, 16, 16).float()
    save(model, tmp_path / "convit")
    loaded = load(tmp_path / "convit")
    assert loaded.config == SMALL and torch.equal(loaded(images), model(images))
