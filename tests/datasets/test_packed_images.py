"""Images that travel as text come back to the last bit."""

import json

import torch
from hypothesis import given, strategies as st

from minimaxvit.datasets.packed_images import pack_images, unpack_images


@given(st.integers(0, 4), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_they_come_back_as_they_were(n, h, w, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (n, 3, h, w), generator=generator, dtype=torch.uint8)
    text = json.loads(json.dumps(pack_images(images)))
    if n:
        assert torch.equal(unpack_images(text, n), images)


def test_no_images_are_no_text():
    assert pack_images(torch.zeros(0, 3, 5, 5, dtype=torch.uint8)) == ""
    none = unpack_images("", 0)
    assert none.shape == (0, 3, 0, 0) and none.dtype == torch.uint8


def test_ten_small_images_take_less_than_forty_five_thousand_letters():
    images = torch.randint(256, (10, 3, 32, 32), dtype=torch.uint8)  # noise: the worst case
    assert len(pack_images(images)) < 45_000
