"""Visual tokens are what PyTorch's attention makes of the formulas, and read what steps say."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, randomize, said_reads
from relatives.proofs import reads
from torch.utils.flop_counter import FlopCounterMode

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.relatives import (
    VISUAL_TOKENS,
    FilterTokenizer,
    Projector,
    RecurrentTokenizer,
    TokenTransformer,
)

KINDS = (FilterTokenizer, RecurrentTokenizer, TokenTransformer, Projector)
EACH = pytest.mark.parametrize("kind", KINDS)
MAPS = pytest.mark.parametrize("h, w", [(4, 4), (3, 5)])
L = FilterTokenizer.count


def state_for(kind, h, w, dim=24, k=L, b=2):
    """A map, and tokens where the part takes any."""
    x, tokens = noise(b, dim, h, w), noise(b, k, dim, seed=2)
    return (x,) if kind is FilterTokenizer else (x, tokens)


def part_of(kind, dim=24):
    return randomize(kind(dim))


def same(found, expected):
    return torch.allclose(found, expected, rtol=0, atol=1e-9)


def by_pytorch(part, x, tokens=None):
    """The formula by way of `scaled_dot_product_attention`, without its scale."""
    h, places = x.shape[2], x.flatten(2).mT  # (b, h * w, c)
    attention = F.scaled_dot_product_attention
    match part:
        case FilterTokenizer():
            filters = part.filters.weight.expand(len(x), -1, -1)
            return x, attention(filters, places, places, scale=1.0)
        case RecurrentTokenizer():
            return x, attention(tokens @ part.guide.weight.T, places, places, scale=1.0)
        case TokenTransformer():
            query, key = tokens @ part.query.weight.T, tokens @ part.key.weight.T
            tokens = tokens + attention(query, key, tokens, scale=1.0)
            ffn = part.feed_forward
            return x, tokens + ffn.shrink(F.gelu(ffn.expand(tokens)))
        case Projector():
            query, key = places @ part.query.weight.T, tokens @ part.key.weight.T
            taken = attention(query, key, tokens, scale=1.0)
            return x + taken.mT.unflatten(2, (h, -1)), tokens


def softmax(scores):
    most = max(scores)
    shares = [(score - most).exp() for score in scores]
    return [share / sum(shares) for share in shares]


def mean_of(values, weights):
    return sum(weight * value for weight, value in zip(weights, values, strict=True))


def looped(part, x, tokens=None):
    """The formula, one query after the other, of one image: (c, h, w), (k, c)."""
    places = [x[:, i, j] for i in range(x.shape[1]) for j in range(x.shape[2])]
    match part:
        case FilterTokenizer():
            filters = part.filters.weight
            made = [
                mean_of(places, softmax([place @ each for place in places])) for each in filters
            ]
            return x, torch.stack(made)
        case RecurrentTokenizer():
            made = []
            for token in tokens:
                own = part.guide.weight @ token  # a column of W_R
                made.append(mean_of(places, softmax([place @ own for place in places])))
            return x, torch.stack(made)
        case TokenTransformer():
            made = []
            for token in tokens:
                query, keys = part.query(token), [part.key(each) for each in tokens]
                made.append(token + mean_of(tokens, softmax([query @ key for key in keys])))
            return x, torch.stack([each + part.feed_forward(each) for each in made])
        case Projector():
            out, keys = torch.zeros_like(x), [part.key(each) for each in tokens]
            for i in range(x.shape[1]):
                for j in range(x.shape[2]):
                    query = part.query(x[:, i, j])
                    taken = mean_of(tokens, softmax([query @ key for key in keys]))
                    out[:, i, j] = x[:, i, j] + taken
            return out, tokens


@EACH
@MAPS
def test_a_part_is_what_attention_of_pytorch_makes_of_its_formula(kind, h, w):
    part, state = part_of(kind), state_for(kind, h, w)
    for found, expected in zip(part.run(*state), by_pytorch(part, *state), strict=True):
        assert found.shape == expected.shape and same(found, expected)


@EACH
@MAPS
def test_a_part_is_its_formula_in_a_loop(kind, h, w):
    part, state = part_of(kind), state_for(kind, h, w, k=3)
    with torch.no_grad():
        found = part.run(*state)
        for image in range(2):
            expected = looped(part, *(each[image] for each in state))
            for ours, theirs in zip(found, expected, strict=True):
                assert same(ours[image], theirs)


@EACH
def test_scores_make_the_weights_that_forward_uses(kind):
    part, state = part_of(kind), state_for(kind, 3, 4)
    scores, bias = part.scores(*state)
    t, s = {
        FilterTokenizer: (L, 12),
        RecurrentTokenizer: (L, 12),
        TokenTransformer: (L, L),
        Projector: (12, L),
    }[kind]
    assert scores.shape == (2, 1, 1, t, s) and bias.shape == (1, 1, t, s) and not bias.any()
    x, *tokens = state
    x, *made = part.run(*state)
    read = tokens[0] if s == L else x.flatten(2).mT
    gathered = (scores + bias).softmax(-1)[:, 0, 0] @ read
    if kind is Projector:
        assert same(gathered, (x - state[0]).flatten(2).mT)
    elif kind is TokenTransformer:
        y = tokens[0] + gathered
        assert same(y + part.feed_forward(y), made[0])
    else:
        assert same(gathered, made[0])


class OverTokensFirst(FilterTokenizer):
    """Each place chooses among the filters, as if it were the projector's softmax."""

    def attend(self, x):
        return self.compare(x).softmax(-2) @ self.values(x)


class SumOfTheMap(FilterTokenizer):
    def attend(self, x):
        return self.compare(x).sigmoid() @ self.values(x)


class Divided(FilterTokenizer):
    def compare(self, x):
        return super().compare(x) / x.shape[1] ** 0.5


class FixedFilters(RecurrentTokenizer):
    """W in place of T W: the same filters for all tokens, whatever they hold."""

    def compare(self, x, tokens):
        return super().compare(x, torch.ones_like(tokens))


class GuidedBackwards(RecurrentTokenizer):
    """W T for T W."""

    def compare(self, x, tokens):
        return tokens @ self.guide.weight @ x.flatten(2)


class OverPlaces(Projector):
    """Each token spreads over the map, as if it were the tokenizer's softmax."""

    def attend(self, x, tokens):
        return self.compare(x, tokens).softmax(-2) @ tokens


class ProjectedValues(Projector):
    def values(self, x, tokens):
        return self.key(tokens)


class NoShortcut(Projector):
    def forward(self, x, tokens):
        return super().forward(x, tokens)[0] - x, tokens


class KeysAsk(TokenTransformer):
    def compare(self, x, tokens):
        return super().compare(x, tokens).mT


class OverQueries(TokenTransformer):
    def attend(self, x, tokens):
        return self.compare(x, tokens).softmax(-2) @ tokens


WRONG = (
    OverTokensFirst,
    SumOfTheMap,
    Divided,
    FixedFilters,
    GuidedBackwards,
    OverPlaces,
    ProjectedValues,
    NoShortcut,
    KeysAsk,
    OverQueries,
)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_what_ports_get_wrong_is_caught(wrong):
    kind = next(kind for kind in KINDS if issubclass(wrong, kind))
    ours, planted, state = part_of(kind), part_of(wrong), state_for(kind, 3, 4)
    planted.load_state_dict(ours.state_dict())
    expected = by_pytorch(ours, *state)
    assert all(map(same, ours.run(*state), expected))
    pairs = zip(planted.run(*state), expected, strict=True)
    assert max((found - known).abs().max() for found, known in pairs) > 1e-2


@EACH
@MAPS
def test_a_part_reads_what_its_steps_say(kind, h, w):
    k = 0 if kind is FilterTokenizer else 5
    found = reads(part_of(kind), 24, h, w, k)
    of_map, of_tokens = found[: h * w], found[h * w :]
    own = torch.eye(h * w).bool()
    if kind is FilterTokenizer:
        assert torch.equal(of_map, own) and of_tokens.shape == (L, h * w) and of_tokens.all()
    elif kind is RecurrentTokenizer:  # a token says where it looks, and no other does
        assert torch.equal(of_map[:, : h * w], own) and not of_map[:, h * w :].any()
        assert of_tokens[:, : h * w].all()
        assert torch.equal(of_tokens[:, h * w :], torch.eye(k).bool())
    elif kind is TokenTransformer:
        assert torch.equal(of_map[:, : h * w], own)
        assert of_tokens[:, h * w :].all() and not of_tokens[:, : h * w].any()
    else:
        assert torch.equal(of_map[:, : h * w], own) and of_map[:, h * w :].all()
        assert torch.equal(of_tokens, torch.eye(h * w + k)[h * w :].bool())


def layer_of(dim=24):
    return [part_of(kind, dim) for kind in (FilterTokenizer, TokenTransformer, Projector)]


def test_one_layer_and_no_less_makes_a_map_of_16_x_16_whole_through_its_tokens():
    layer = layer_of(8)
    for depth, whole in ((1, False), (2, False), (3, True)):
        steps = [step for part in layer[:depth] for step in part.steps()]
        assert said_reads(steps, 16, 16)[: 16 * 16].all() == whole
    x = noise(1, 8, 16, 16).requires_grad_()
    state = (x,)
    for part in layer:
        state = part.run(*state)
    (gradient,) = torch.autograd.grad(state[0][0, :, 0, 0] @ noise(8), x)
    assert (gradient[0].abs() > 0).any(0).all()


def cost(kind, n, c, k=L):
    """Multiply-adds of n places and k tokens of c channels; all but projections are k n c."""
    return {
        FilterTokenizer: n * c * k + k * n * c,
        RecurrentTokenizer: k * c**2 + 2 * k * n * c,
        TokenTransformer: 2 * k * c**2 + 2 * k**2 * c + 2 * 4 * k * c**2,
        Projector: n * c**2 + k * c**2 + 2 * n * k * c,
    }[kind]


@EACH
@pytest.mark.parametrize("h, w", [(8, 8), (16, 16), (4, 12)])
def test_a_part_costs_what_its_formula_says(kind, h, w):
    part = part_of(kind, 64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        part.run(*state_for(kind, h, w, dim=64, b=1))
    assert counter.get_total_flops() // 2 == cost(kind, h * w, 64)


def test_cost_is_linear_in_the_map():
    for kind in KINDS:
        (a, b, c) = (cost(kind, n, 64) for n in (100, 200, 300))
        assert c - b == b - a


def test_tokens_do_not_care_where_things_are_and_places_take_the_same_wherever_they_move():
    layer, x = layer_of(), noise(2, 24, 3, 4)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))

    def moved(x):
        return x.flatten(2)[:, :, order].unflatten(2, (3, 4))

    state, other = (x,), (moved(x),)
    for part in layer:
        state, other = part.run(*state), part.run(*other)
    assert same(other[1], state[1]) and same(other[0], moved(state[0]))
    assert not same(other[0], state[0])


def test_tokens_that_change_places_stay_themselves():
    x, tokens = state_for(Projector, 3, 4, k=5)
    for kind in KINDS[1:]:
        part = part_of(kind)
        known, found = part.run(x, tokens), part.run(x, tokens.flip(1))
        assert same(found[0], known[0]) and same(found[1], known[1].flip(1))


def test_every_image_has_tokens_of_its_own():
    model, images = randomize(MaxViT(VISUAL_TOKENS)), noise(3, 3, 32, 32)
    together = model(images)
    assert same(together, torch.cat([model(each[None]) for each in images]))
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_a_subclass_states_another_number_of_tokens():
    class Eight(FilterTokenizer):
        count = 8

    _, tokens = Eight(24).run(torch.zeros(2, 24, 3, 3))
    assert tokens.shape == (2, 8, 24)


def test_tokens_that_nobody_made_are_missed_and_maps_of_any_size_fit():
    without = replace(VISUAL_TOKENS, parts=VISUAL_TOKENS.parts[:2] + 2 * ((Projector,),))
    with pytest.raises(TypeError, match="tokens"):
        MaxViT(without)(torch.zeros(1, 3, 32, 32))
    assert maxvit("visual_tokens").eval()(torch.zeros(1, 3, 36, 50)).shape == (1, 10)
    with pytest.raises(ValueError, match="images of 0 x 32"):
        maxvit("visual_tokens")(torch.zeros(1, 3, 0, 32))


def test_the_named_network_has_its_size_and_its_tokens():
    model = maxvit("visual_tokens").eval()
    assert CONFIGS["visual_tokens"] is VISUAL_TOKENS
    assert sum(p.numel() for p in model.parameters()) == 1_132_618
    maps = [tuple(x.shape[1:]) for x in model.features(torch.zeros(2, 3, 32, 32))]
    assert maps == [(32, 16, 16), (96, 8, 8), (192, 8, 8), (192, 8, 8)]
    kinds = [name.split()[1] for name in model.layers() if name[0] in "34"]
    layer = ["TokenTransformer", "Projector"]
    assert kinds == ["Downsample", "FilterTokenizer", *layer, *2 * ["RecurrentTokenizer", *layer]]
    assert VISUAL_TOKENS.dims[:3] == CONFIGS["compact"].dims


def test_a_saved_network_comes_back(tmp_path):
    model, images = randomize(MaxViT(VISUAL_TOKENS)).float(), noise(2, 3, 32, 32).float()
    save(model, tmp_path / "visual_tokens")
    loaded = load(tmp_path / "visual_tokens")
    assert loaded.config == VISUAL_TOKENS and torch.equal(loaded(images), model(images))
