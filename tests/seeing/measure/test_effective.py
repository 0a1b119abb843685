"""Fields of influence, within what can be reached at all."""

import pytest
import torch
from helpers import randomize

from minimaxvit import MAXVIT_PARTS, MaxViT, MaxViTConfig, maxvit
from minimaxvit.seeing import effective_field, trace
from minimaxvit.seeing.measure.effective import effective_fields

SMALL = MaxViTConfig(
    depths=(1, 1), dims=(32, 32), stem_dim=8, window=2, num_classes=3, parts=2 * (MAXVIT_PARTS,)
)


def pictures(n, h, w, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 3, h, w), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("query", [(0, 0), (1, 3)])
def test_what_matters_is_what_can_be_reached(query):
    model = randomize(MaxViT(SMALL)).float()
    for part in model.modules():
        if hasattr(part, "squeeze_excite"):
            part.squeeze_excite = torch.nn.Identity()
    for layer in ("1.1 MBConv", "1.1 BlockAttention"):
        field = effective_field(model, pictures(6, 16, 32), layer, query, batch=4)
        reached = trace(model, 16, 32, layer, query, gates=False)["pixels"] > 0
        assert torch.equal(field > 0, reached)
        assert field.sum() == pytest.approx(1)


@pytest.mark.parametrize("batch", [50, 2])
def test_it_is_the_mean_of_the_sizes_of_the_gradients(batch):
    model, some, layer, query = randomize(MaxViT(SMALL)), pictures(5, 16, 32), "1.1 MBConv", (2, 7)
    generator, known = torch.Generator().manual_seed(0), torch.zeros(16, 32).double()
    for few in some.split(batch):
        signs = torch.randn(len(few), 32, generator=generator).sign().double()
        for image, sign in zip(few, signs, strict=True):
            pixels = (image[None].double() / 127.5 - 1).requires_grad_()
            x = model.layers()[layer](model.layers()["stem"](pixels))
            x[0, :, 2, 7].dot(sign).backward()
            known += pixels.grad[0].abs().sum(0)
    found = effective_field(model, some, layer, query, batch)
    torch.testing.assert_close(found, known / known.sum())


def test_all_fields_are_the_single_ones():
    model, some = randomize(MaxViT(SMALL)).train(), pictures(5, 16, 32)
    before = {name: value.clone() for name, value in model.named_buffers()}
    found = effective_fields(model, some, "2.1 BlockAttention", batch=2)
    assert found.shape == (2, 4, 16, 32)
    for query in [(0, 0), (1, 2)]:
        one = effective_field(model, some, "2.1 BlockAttention", query, batch=2)
        assert torch.equal(found[query], one)
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    with pytest.raises(ValueError, match="no layer 'typo'; did you mean"):
        effective_fields(model, some, "typo")


def test_the_model_is_given_back_as_it_was():
    model = maxvit("compact")
    model.stem.norm.eval()  # a frozen part stays frozen
    statistics = {name: value.clone() for name, value in model.named_buffers()}
    effective_field(model, pictures(2, 32, 32), "stem", (0, 0))
    assert model.training and model.head.training and not model.stem.norm.training
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(value, statistics[name]) for name, value in model.named_buffers())


@pytest.mark.parametrize(
    "layer, query, said",
    [
        ("3.1 GridAttention", (0, 0), "no layer '3.1 GridAttention'; did you mean '"),
        ("stem", (16, 0), "outside the map of 'stem', which has 16 x 16 tokens"),
    ],
)
def test_what_is_not_there_is_named(layer, query, said):
    model = maxvit("compact")
    with pytest.raises(ValueError, match=said):
        effective_field(model, pictures(1, 32, 32), layer, query)
    assert model.training


def test_a_token_to_which_nothing_matters_is_an_error():
    model = maxvit("compact")
    torch.nn.init.zeros_(model.stem.conv1.weight)
    with pytest.raises(ValueError, match="no pixel matters to 'stem' at"):
        effective_field(model, pictures(1, 32, 32), "stem", (0, 0))


def test_of_a_class_token_it_is_what_reaches_it():
    model, some = randomize(maxvit("vit")).float(), pictures(1, 32, 32)
    field = effective_field(model, some, "1.1 GlobalAttention", 64)
    assert (field > 0).all() and field.sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="no pixel matters to 'stem' at 64: all gradients are"):
        effective_field(model, some, "stem", 64)
