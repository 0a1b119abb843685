"""Names of layers, images that a network takes, and configurations that no network can have."""

from dataclasses import replace

import pytest
import torch

from minimaxvit import MAXVIT_PARTS, BlockAttention, MaxViT, MaxViTConfig, MBConv, maxvit
from minimaxvit.sizes import with_image_size

SMALL = MaxViTConfig(
    dims=(32,),
    depths=(1,),
    stem_dim=8,
    window=2,
    num_classes=3,
    image_size=16,
    parts=(MAXVIT_PARTS,),
)


def test_a_part_that_comes_again_in_its_block_is_named_so():
    parts = (MBConv, BlockAttention, BlockAttention, BlockAttention)
    names = list(MaxViT(replace(SMALL, parts=(parts,))).layers())
    kinds = ["BlockAttention", "BlockAttention, again", "BlockAttention, again, again"]
    assert names == ["stem", "1.1 MBConv", *(f"1.1 {kind}" for kind in kinds)]


def test_images_elsewhere_than_the_weights_are_refused():
    elsewhere = torch.zeros(1, 3, 16, 16, device="meta")
    with pytest.raises(ValueError) as refused:
        MaxViT(SMALL)(elsewhere)
    assert str(refused.value) == (
        "the images are on meta and the weights on cpu: move either with .to()"
    )


def test_a_head_that_does_not_fit_is_named():
    model = MaxViT(SMALL)
    model.head.divisor = 3  # as of a head for a fixed number of tokens
    with pytest.raises(ValueError, match="give head a map of 4 x 4 tokens, which is not divisible"):
        model(torch.zeros(1, 3, 16, 16))


def test_where_no_size_is_near_it_says_so():
    far = MaxViT(replace(SMALL, window=8, image_size=1))  # looks two images farther, not more
    with pytest.raises(ValueError, match="are height unknown and width unknown$"):
        far.check_size(3, 3)
    with pytest.raises(ValueError, match="are height 15 and width 16 or 29$"):
        MaxViT(replace(SMALL, window=4)).check_size(15, 18)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"dims": None}, "dims must be a whole number of at least 1 or a tuple of such, got None"),
        ({"window": (None, 0)}, "window must be a whole number of at least 1 or a tuple of such, "),
        ({"num_classes": 0}, "num_classes must be a whole number of at least 1, got 0"),
        ({"image_size": True}, "image_size must be a whole number of at least 1, got True"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_a_number_that_no_network_can_have_is_named(changes, message):
    with pytest.raises(ValueError) as refused:
        MaxViT(replace(SMALL, **changes))
    assert str(refused.value).startswith(message)


def test_a_window_of_none_is_the_whole_map():
    model = MaxViT(replace(SMALL, parts=((MBConv,),), window=None))
    assert model(torch.zeros(2, 3, 16, 16)).shape == (2, 3)


def test_windows_scale_with_the_image_and_stay_whole():
    tiny = maxvit("tiny", image_size=384).config
    assert (tiny.window, tiny.image_size) == (12, 384)
    several = replace(
        SMALL,
        dims=(32, 32),
        depths=(1, 1),
        window=(4, None),
        image_size=32,
        parts=2 * (MAXVIT_PARTS,),
    )
    scaled = with_image_size(several, 64)
    assert (scaled.window, scaled.image_size) == ((8, None), 64)
    uneven = replace(SMALL, window=4, image_size=6)  # 9 pixels give a window of 6, 8 none
    assert with_image_size(uneven, 9).window == 6
    with pytest.raises(ValueError, match="image_size must be a multiple of 3, got 8"):
        with_image_size(uneven, 8)
    assert with_image_size(replace(SMALL, window=4, image_size=2), 1).window == 2
    for size in (0, -6, 6.0, None):
        with pytest.raises(ValueError, match=f"multiple of 3, got {size}"):
            with_image_size(uneven, size)
