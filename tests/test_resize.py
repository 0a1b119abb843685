"""A network for another image size: the same weights, larger windows, and tables resized alike."""

from dataclasses import replace

import pytest
import timm
import torch
from helpers import few, noise, randomize
from hypothesis import given, strategies as st
from timm.layers import resize_rel_pos_bias_table
from timm.models.maxxvit import checkpoint_filter_fn

from minimaxvit import CONFIGS, MAXVIT_PARTS, MaxViT, MaxViTConfig, load_timm, maxvit, to_timm
from minimaxvit.resize import bilinear, resize

# Like tiny, but narrow: at 224 the last map is 7 tokens wide.
NARROW = replace(CONFIGS["tiny"], dims=(32, 32, 32, 64), depths=(1, 1, 1, 1), stem_dim=16)
SMALL = MaxViTConfig(dims=(32,), depths=(1,), stem_dim=8, window=2, parts=(MAXVIT_PARTS,))


def by_loops(table, side):
    """Resize (p, p) as TensorFlow's images: pixels have centers, and beyond the edge it repeats."""
    p, resized = len(table), torch.empty(side, side, dtype=table.dtype)
    for row in range(side):
        for column in range(side):
            value = 0
            places = [(each + 0.5) * p / side - 0.5 for each in (row, column)]
            for y in range(p):
                for x in range(p):
                    near = [max(0.0, min(p - 1.0, place)) for place in places]
                    weight = max(0, 1 - abs(near[0] - y)) * max(0, 1 - abs(near[1] - x))
                    value = value + weight * table[y, x]
            resized[row, column] = value
    return resized


@few
@given(p=st.integers(1, 6), side=st.integers(1, 9))
def test_a_table_is_resized_as_images_are(p, side):
    table = noise(2, p, p)
    expected = torch.stack([by_loops(head, side) for head in table])
    torch.testing.assert_close(bilinear(table, side), expected)
    torch.testing.assert_close(bilinear(table[None], side), expected[None])  # one axis more


@pytest.mark.parametrize("size, window", [(224, 7), (384, 12), (512, 16), (192, 6)])
def test_windows_grow_as_those_of_the_official_networks(size, window):
    small = randomize(MaxViT(NARROW))
    resized = resize(small, size)
    assert (resized.config.window, resized.config.image_size) == (window, size)
    before, after = small.state_dict(), resized.state_dict()
    for name, tensor in after.items():
        wanted = bilinear(before[name], 2 * window - 1) if name.endswith("table") else before[name]
        assert torch.equal(tensor, wanted), name
    assert resized(noise(1, 3, size, size)).shape == (1, 1000)


def test_at_384_it_is_what_timm_loads_from_weights_of_224():
    # timm takes table entries at distances that grow, so its way of resizing is handed over.
    def as_timm(table, side):
        window = (side + 1) // 2
        return resize_rel_pos_bias_table(table, (window, window), (len(table), side, side))

    small = timm.create_model("maxvit_tiny_tf_224").double().eval()
    ours = randomize(load_timm(maxvit("tiny"), small.state_dict()))
    theirs = timm.create_model("maxvit_tiny_tf_384").double().eval()
    theirs.load_state_dict(checkpoint_filter_fn(to_timm(ours), theirs))
    images = noise(1, 3, 384, 384)
    with torch.no_grad():
        expected = theirs(images)
        assert expected.abs().max() > 0.1
        off = [
            (model(images) - expected).abs().max() / expected.abs().max()
            for model in (resize(ours, 384, as_timm), resize(ours, 384))
        ]
    print(f"off by {off[0]:.1e} of the largest logit, and {off[1]:.1e} with bilinear tables")
    assert off[0] < 1e-9 < off[1]


def test_a_wrapped_model_its_mode_and_precision_are_kept_and_it_stays_as_it_was():
    model = MaxViT(SMALL).half().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    resized = resize(torch.nn.DataParallel(model), 448)
    assert torch.equal(torch.get_rng_state(), state)
    assert resized.training and {p.dtype for p in resized.parameters()} == {torch.float16}
    assert not resize(model.eval(), 448).training
    with torch.no_grad():
        for parameter in resized.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_positions_of_a_vit_are_resized_too():
    model = randomize(maxvit("vit"))
    resized = resize(model, 48)
    assert torch.equal(resized.stem.positions, bilinear(model.stem.positions, 12))
    assert resized(noise(1, 3, 48, 48)).shape == (1, 10)
    with pytest.raises(ValueError, match="patches of 4 pixels do not divide an image of 50"):
        resize(model, 50)


def test_a_size_whose_windows_are_not_whole_is_refused():
    with pytest.raises(ValueError, match="image_size must be a multiple of 32, got 250"):
        resize(MaxViT(NARROW), 250)
