"""Fields of influence, within what can be reached at all."""

import pytest
import torch
from helpers import randomise

from minimaxvit import MAXVIT, MaxViT, MaxViTConfig, maxvit
from minimaxvit.seeing import effective_field
from minimaxvit.seeing.field import layers, trace

SMALL = MaxViTConfig((1, 1), (32, 32), 8, window=2, num_classes=3, parts=2 * (MAXVIT,))


def pictures(n, h, w, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 3, h, w), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("query", [(0, 0), (1, 3)])
def test_what_matters_is_what_can_be_reached(query):
    model = randomise(MaxViT(SMALL)).float()
    for part in model.modules():
        if hasattr(part, "squeeze_excite"):
            part.squeeze_excite = torch.nn.Identity()
    for layer in ("1.1 MBConv", "1.1 BlockAttention"):
        field = effective_field(model, pictures(6, 16, 32), layer, query, batch=4)
        reached = trace(model, 16, 32, layer, query, excite=False)["pixels"] > 0
        assert torch.equal(field > 0, reached)
        assert field.sum() == pytest.approx(1)


def test_it_is_the_mean_of_the_gradients():
    model, images = randomise(MaxViT(SMALL)).float(), pictures(1, 16, 16)
    layer = list(layers(model))[-1]
    some = effective_field(model, images, layer, (0, 0))
    again = effective_field(model, images.expand(3, -1, -1, -1), layer, (0, 0))
    assert not torch.allclose(some, again, rtol=1e-3)  # each picture has its own signs
    assert torch.equal(some, effective_field(model, images, layer, (0, 0)))


def test_the_model_is_given_back_as_it_was():
    model = maxvit("compact")
    statistics = {name: value.clone() for name, value in model.named_buffers()}
    effective_field(model, pictures(2, 32, 32), "stem", (0, 0))
    assert model.training and all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(value, statistics[name]) for name, value in model.named_buffers())


@pytest.mark.parametrize(
    "layer, query, said",
    [
        ("3.1 GridAttention", (0, 0), "no layer '3.1 GridAttention'; did you mean '2.1 GridAtt"),
        ("stem", (32, 0), "outside the map of 'stem', which has 32 x 32 tokens"),
    ],
)
def test_what_is_not_there_is_named(layer, query, said):
    model = maxvit("compact")
    with pytest.raises(ValueError, match=said):
        effective_field(model, pictures(1, 32, 32), layer, query)
    assert model.training


def test_a_token_to_which_nothing_matters_is_told():
    model = maxvit("compact")
    torch.nn.init.zeros_(model.stem.conv1.weight)
    with pytest.raises(ValueError, match="no pixel matters to 'stem' at"):
        effective_field(model, pictures(1, 32, 32), "stem", (0, 0))
