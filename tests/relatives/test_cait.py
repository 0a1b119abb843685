"""CaiT's class attention is timm's, and reads, costs and follows what it says."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, randomize, said_reads
from relatives.proofs import multiply_adds, reads
from timm.models.cait import ClassAttn, LayerScaleBlockClassAttn
from timm.models.xcit import ClassAttentionBlock
from torch import nn

from minimaxvit.relatives import ClassAttention, ClassTokenStem

MAPS = pytest.mark.parametrize("h, w", [(4, 4), (3, 5), (1, 1)])
NORM = partial(nn.LayerNorm, eps=1e-6)


def layer(kind=ClassAttention, dim=64, expansion=2):
    ours = randomize(kind(dim, expansion))
    nn.init.normal_(ours.scales, mean=1)  # which `randomize` does not know
    return ours


def state_for(h, w, dim=64, images=2):
    return noise(images, dim, h, w), noise(images, 1, dim, seed=2)


def same(found, expected):
    return torch.allclose(found, expected, rtol=0, atol=1e-9)


def attention_weights(ours):
    found = {}
    for name, theirs in {"query": "q", "key": "k", "value": "v", "output": "proj"}.items():
        for kind, tensor in getattr(ours.attention, name).state_dict().items():
            found[f"{theirs}.{kind}"] = tensor
    return found


def by_timm(ours, x, class_token, block=LayerScaleBlockClassAttn, gamma="gamma_"):
    """What timm's layer makes of the same weights; its class token stands first."""
    theirs = block(64, 2, mlp_ratio=2, qkv_bias=True, norm_layer=NORM).double().eval()
    modules = {"norm1": ours.attention_norm, "norm2": ours.feed_forward_norm}
    modules |= {"mlp.fc1": ours.feed_forward.expand, "mlp.fc2": ours.feed_forward.shrink}
    state = {f"attn.{name}": tensor for name, tensor in attention_weights(ours).items()}
    for name, module in modules.items():
        state |= {f"{name}.{kind}": tensor for kind, tensor in module.state_dict().items()}
    theirs.load_state_dict(state | {f"{gamma}{i + 1}": ours.scales[i] for i in (0, 1)})
    if block is LayerScaleBlockClassAttn:
        return theirs(x.flatten(2).mT, class_token)
    return theirs(torch.cat([class_token, x.flatten(2).mT], 1))


@MAPS
def test_a_layer_is_that_of_timm_and_leaves_the_map_as_it_is(h, w):
    ours, state = layer(), state_for(h, w)
    x, class_token = ours.run(*state)
    assert same(class_token, by_timm(ours, *state)) and torch.equal(x, state[0])


@MAPS
def test_attention_is_that_of_timm(h, w):
    ours, (x, class_token) = layer(), state_for(h, w)
    theirs = ClassAttn(64, 2, qkv_bias=True).double().eval()
    theirs.load_state_dict(attention_weights(ours))
    both = torch.cat([class_token, x.flatten(2).mT], 1)
    assert same(ours.attend(x, class_token)[:, 0], theirs(ours.attention_norm(both)))


@MAPS
def test_a_layer_is_its_loop_over_keys(h, w):
    ours, (x, class_token) = layer(), state_for(h, w)
    attention, weight, bias = ours.attention, ours.attention_norm.weight, ours.attention_norm.bias

    def norm(y):
        mean, var = y.mean(-1, keepdim=True), y.var(-1, False, keepdim=True)
        return (y - mean) / (var + 1e-6).sqrt() * weight + bias

    keys = [norm(x[:, :, row, column]) for row in range(h) for column in range(w)]
    keys.append(norm(class_token[:, 0]))  # the class token attends to itself, too
    query = attention.query(keys[-1]).unflatten(1, (2, 32))
    logits = [(query * attention.key(k).unflatten(1, (2, 32))).sum(-1) / 32**0.5 for k in keys]
    shares = torch.stack(logits).softmax(0)  # (t, b, heads)
    values = [attention.value(k).unflatten(1, (2, 32)) for k in keys]
    out = sum(share[..., None] * value for share, value in zip(shares, values, strict=True))
    y = class_token[:, 0] + ours.scales[0] * attention.output(out.flatten(1))
    ffn, weight, bias = (
        ours.feed_forward,
        ours.feed_forward_norm.weight,
        ours.feed_forward_norm.bias,
    )
    y = y + ours.scales[1] * ffn.shrink(F.gelu(ffn.expand(norm(y))))
    assert same(ours(x, class_token)[1][:, 0], y)


class AttendsToPatchesAlone(ClassAttention):
    def scores(self, x, class_token):
        scores, bias = super().scores(x, class_token)
        scores[..., -1] = -torch.inf
        return scores, bias


class ScalesByModelWidth(ClassAttention):
    def scores(self, x, class_token):
        scores, bias = super().scores(x, class_token)
        return scores * (32 / 64) ** 0.5, bias


class TakesThePatchesAsTheyAre(ClassAttention):
    def scores(self, x, class_token):
        attention, y = self.attention, self.join(x, class_token)
        query = attention.split_heads(attention.query(self.attention_norm(y[:, :, -1:])))
        return query @ attention.split_heads(attention.key(y)).mT * 32**-0.5, None


@pytest.mark.parametrize("wrong", ClassAttention.__subclasses__())
def test_what_ports_get_wrong_is_caught(wrong):
    ours, planted, state = layer(), layer(wrong), state_for(3, 5)
    theirs = by_timm(ours, *state)
    assert same(ours(*state)[1], theirs)
    assert (planted(*state)[1] - theirs).abs().max() > 1e-2


def test_xcits_published_layer_doubles_the_map_which_is_caught():
    ours, (x, class_token) = layer(), state_for(3, 5)
    theirs = by_timm(ours, x, class_token, ClassAttentionBlock, "gamma")
    patches = x.flatten(2).mT
    doubled = 2 * (patches + ours.scales[0] * ours.attention_norm(patches))
    assert same(theirs[:, 1:], doubled)  # and in ours it stays
    assert (theirs[:, :1] - ours(x, class_token)[1]).abs().max() > 1e-2  # norms its shortcut, too


@MAPS
def test_the_class_token_reads_all_and_every_other_token_itself(h, w):
    found = reads(layer(dim=32), 32, h, w, k=1)
    expected = torch.eye(h * w + 1).bool()
    expected[-1] = True
    assert torch.equal(found, expected)
    (add,) = layer().steps()
    assert () in add.branches
    queries, keys = layer().groups(torch.arange(h * w).view(1, h, w, 1), torch.tensor([h * w]))
    assert queries.tolist() == [[h * w]] and keys.tolist() == [list(range(h * w + 1))]


def test_one_layer_makes_a_map_of_16_by_16_whole_for_the_class_token():
    assert said_reads(layer().steps(), 16, 16, 1)[-1].all()


def test_the_stem_begins_a_class_token_that_has_read_nothing_and_is_alike_for_all_images():
    stem = randomize(ClassTokenStem(8, 4))
    x, class_token = stem.run(noise(2, 3, 8, 12))
    assert x.shape == (2, 8, 2, 3) and torch.equal(class_token, stem.class_token.expand(2, 1, 8))
    assert reads(stem, 3, 8, 12).sum(1).tolist() == 6 * [16] + [0]
    assert stem.class_token.std() < 0.05


@pytest.mark.parametrize("h, w", [(8, 8), (16, 16), (5, 7)])
def test_multiply_adds_grow_with_the_tokens_alone(h, w):
    t, c = h * w + 1, 64
    ours = layer()
    once = 2 * c**2 + 2 * 2 * c**2  # the class token's query, output and feed-forward
    for_all = 2 * t * c**2 + 2 * t * c  # keys and values, and two products with one row
    counted = multiply_adds(lambda x: ours(x, noise(1, 1, c)), c, h, w)
    assert counted == once + for_all


def test_the_class_token_does_not_know_where_tokens_are():
    ours, (x, class_token) = layer(), state_for(3, 5)
    order = torch.randperm(15, generator=torch.Generator().manual_seed(0))
    moved = x.flatten(2)[:, :, order].view_as(x)
    assert same(ours(moved, class_token)[1], ours(x, class_token)[1])
    scores, bias = ours.scores(x, class_token)
    assert scores.shape == (2, 2, 1, 1, 16) and bias.shape == (2, 1, 1, 16) and not bias.any()
    assert same(ours.scores(moved, class_token)[0][..., :-1], scores[..., :-1][..., order])


def test_every_image_has_a_class_token_of_its_own():
    ours, (x, class_token) = layer(), state_for(3, 5, images=3)
    alone = [ours(x[i : i + 1], class_token[i : i + 1])[1] for i in range(3)]
    assert same(ours(x, class_token)[1], torch.cat(alone))


def test_heads_that_do_not_fit_are_refused_and_patches_that_do_not_are_a_misfit():
    with pytest.raises(ValueError, match="48 channels do not divide into heads of dimension 32"):
        ClassAttention(48)
    assert ClassTokenStem(8, 4).misfit(30) == "is not divisible by 4"


def test_scales_begin_at_one_and_learn():
    torch.manual_seed(0)
    ours = ClassAttention(32)
    assert (ours.scales == 1).all()
    ours(torch.randn(2, 32, 2, 2), torch.randn(2, 1, 32))[1].square().sum().backward()
    for name, parameter in ours.named_parameters():  # a key's bias adds the same to all logits
        assert (parameter.grad != 0).any() or name == "attention.key.bias", name


def test_a_dropped_branch_leaves_the_shortcut():
    ours = ClassAttention(32, drop_path=1 - 1e-6).train()
    state = torch.randn(2, 32, 2, 2), torch.randn(2, 1, 32)
    assert all(map(torch.equal, ours.run(*state), state))
