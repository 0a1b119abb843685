"""Augmentation against naive loops: what a picture may become, and that chance is spread evenly."""

from itertools import product

import pytest
import torch
from helpers import few
from hypothesis import given, strategies as st

from minimaxvit.training.augmentation import (
    alternating_flip,
    augment,
    random_cutout,
    random_translate,
)

sides = st.integers(3, 6)
GREY = 128


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(b, h, w, c=3):
    """Pictures of random bytes, none of them gray, so that a hole can be told from what it hid."""
    return torch.randint(GREY, (b, c, h, w), generator=seeded(1), dtype=torch.uint8)


def moved(image, down, right):
    """Look at `image` through a frame moved so far, pixel by pixel, mirroring at the edge."""

    def mirror(place, side):
        return side - 1 - abs(side - 1 - abs(place))

    c, h, w = image.shape
    result = torch.empty_like(image)
    for y, x in product(range(h), range(w)):
        result[:, y, x] = image[:, mirror(y + down, h), mirror(x + right, w)]
    return result


def test_each_image_shows_its_other_side_in_the_next_epoch():
    first, second, third = (alternating_flip(epoch, 2000, seed=3) for epoch in range(3))
    assert 900 < first.sum() < 1100
    assert torch.equal(second, ~first) and torch.equal(third, first)
    assert not torch.equal(first, alternating_flip(0, 2000, seed=4))


def test_only_the_images_chosen_are_flipped():
    images, told = pictures(4, 3, 5), torch.tensor([True, False, False, True])
    result = augment(images, told, seeded(), translate=0, cutout=0)
    for image, flipped, turned in zip(images, told, result, strict=True):
        assert torch.equal(turned, image.flip(2) if flipped else image)


@given(sides, sides, st.integers(1, 2))
@few
def test_a_translated_image_is_one_of_its_views(h, w, translate):
    images = pictures(3, h, w)
    reach = range(-translate, translate + 1)
    for image, result in zip(images, random_translate(images, seeded(), translate), strict=True):
        assert any(torch.equal(result, moved(image, *by)) for by in product(reach, reach))


def test_every_shift_comes_about_equally_often():
    image = pictures(1, 7, 6)
    results = random_translate(image.expand(2500, -1, -1, -1), seeded(), 2)
    for down, right in product(range(-2, 3), repeat=2):
        count = (results == moved(image[0], down, right)).flatten(1).all(1).sum()
        assert 60 < count < 140, f"{count} of 2500 moved by {down}, {right}"


@given(sides, sides, st.integers(1, 3))
@few
def test_a_cutout_is_a_gray_square_and_the_rest_stays(h, w, cutout):
    images = pictures(4, h, w)
    holed = random_cutout(images, seeded(), cutout)
    gray = holed == GREY
    assert (gray.sum((2, 3)) == cutout * cutout).all()
    assert (gray.any(2).sum(2) == cutout).all() and (gray.any(3).sum(2) == cutout).all()
    assert torch.equal(holed[~gray], images[~gray])
    assert (gray == gray[:, :1]).all()  # the same place in every channel


def test_a_cutout_may_be_anywhere_inside():
    gray = random_cutout(pictures(2000, 4, 5), seeded(), 2)[:, 0] == GREY
    corners = {tuple(place.nonzero()[0].tolist()) for place in gray}
    assert corners == set(product(range(3), range(4)))


@given(sides, sides, st.integers(0, 2), st.integers(0, 3), st.sampled_from([1, 3]))
@few
def test_type_and_shape_stay(h, w, translate, cutout, c):
    images = pictures(5, h, w, c)
    before = images.clone()
    result = augment(images, alternating_flip(0, len(images), 0), seeded(), translate, cutout)
    assert result.dtype == torch.uint8 and result.shape == images.shape
    assert torch.equal(images, before)  # the data set itself must never change


def test_the_seed_alone_decides():
    images, told = pictures(50, 8, 8), alternating_flip(0, 50, seed=0)
    first, again, other = (augment(images, told, seeded(seed), 2, 3) for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_images_of_a_batch_are_augmented_independently():
    images = pictures(1, 8, 8).expand(200, -1, -1, -1)
    for step in (lambda x, g: random_translate(x, g, 2), lambda x, g: random_cutout(x, g, 3)):
        assert len(step(images, seeded()).unique(dim=0)) > 1


@pytest.mark.parametrize("translate, cutout", [(0, 0), (2, 0), (0, 3), (2, 3)])
def test_zero_leaves_a_step_out_and_steps_come_in_order(translate, cutout):
    images, generator, told = pictures(20, 8, 8), seeded(), alternating_flip(0, 20, seed=0)
    expected = torch.where(told.view(-1, 1, 1, 1), images.flip(3), images)
    expected = random_translate(expected, generator, translate) if translate else expected
    expected = random_cutout(expected, generator, cutout) if cutout else expected
    assert torch.equal(augment(images, told, seeded(), translate, cutout), expected)
