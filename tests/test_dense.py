"""Images of any size have feature maps where that is asked for, and are refused elsewhere."""

from functools import cache

import pytest
import torch
from helpers import few
from hypothesis import given, strategies as st

from minimaxvit import MAXVIT_PARTS, MaxViT, MaxViTConfig, maxvit, padded_features

SMALL = MaxViTConfig(
    dims=(32, 32),
    depths=(1, 1),
    stem_dim=8,
    window=2,
    parts=2 * (MAXVIT_PARTS,),
    num_classes=3,
    image_size=16,
)
small = cache(lambda: MaxViT(SMALL).eval())


def up_to(side, multiple):
    return -(-side // multiple) * multiple


@pytest.mark.parametrize("h, w", [(512, 640), (224, 225), (224, 448), (1, 445)])
def test_maps_cover_the_image_at_each_stride(h, w):
    with torch.device("meta"):
        model, images = maxvit("tiny").eval(), torch.empty(2, 3, h, w)
    maps = padded_features(model, images)
    for x, c, stride in zip(maps, (64, 128, 256, 512), (4, 8, 16, 32), strict=True):
        assert x.shape == (2, c, -(-h // stride), -(-w // stride))
    if (h, w) != (224, 448):
        with pytest.raises(ValueError, match="the nearest sizes that work"):  # never silently
            model.features(images)


@few
@given(h=st.integers(1, 40), w=st.integers(1, 40))
def test_they_are_the_corners_of_the_maps_of_the_image_with_zeros_around_it(h, w):
    sides = [side if small().fits(side) else up_to(side, 16) for side in (h, w)]
    framed = torch.zeros(1, 3, *sides)
    framed[:, :, :h, :w] = images = torch.randn(1, 3, h, w)
    with torch.no_grad():
        maps, wholes = padded_features(small(), images), small().features(framed)
    for x, whole, stride in zip(maps, wholes, (4, 8), strict=True):
        rows, columns = -(-h // stride), -(-w // stride)
        torch.testing.assert_close(x, whole[:, :, :rows, :columns])


def test_a_size_that_fits_is_not_padded():
    assert small().fits(15) and not small().fits(17)
    images = torch.randn(1, 3, 15, 31)
    for x, whole in zip(padded_features(small(), images), small().features(images), strict=True):
        assert torch.equal(x, whole)


@pytest.mark.parametrize(
    "images, told",
    [
        (torch.zeros(1, 3, 40, 32), "40 x 32 tokens, which is not the 32 x 32 that positions are"),
        (torch.zeros(3, 40, 32), r"of shape \(b, 3, h, w\), got \(3, 40, 32\)"),
        (torch.zeros(1, 3, 32, 32).byte(), "images in -1..1, got torch.uint8"),
        (None, "images in a tensor, got a NoneType"),
    ],
)
def test_what_no_padding_makes_fit_is_refused(images, told):
    with pytest.raises(ValueError, match=told):
        padded_features(maxvit("vit"), images)


def test_an_image_without_rows_is_refused():
    with pytest.raises(ValueError, match="images of 0 x 32 give .* is not divisible"):
        padded_features(small(), torch.zeros(1, 3, 0, 32))
