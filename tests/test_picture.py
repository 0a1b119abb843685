"""Pictures are read as they are, or cut and resized in the middle, with a note that says so."""

import numpy as np
import pytest
import torch
from PIL import Image

from minimaxvit.picture import read_picture


def noise(h, w):
    return np.random.default_rng(0).integers(256, size=(h, w, 3), dtype=np.uint8)


def test_a_picture_of_the_right_size_is_read_as_it_is(tmp_path):
    pixels = noise(32, 32)
    Image.fromarray(pixels).save(tmp_path / "figure.png")
    Image.fromarray(pixels).convert("RGBA").save(tmp_path / "opaque.png")
    for name in ("figure.png", "opaque.png"):
        image, note = read_picture(tmp_path / name, 32)
        assert image.dtype == torch.uint8 and note == ""
        np.testing.assert_array_equal(image[0].permute(1, 2, 0), pixels)


def test_grey_becomes_three_channels_alike(tmp_path):
    Image.fromarray(noise(32, 32)).convert("L").save(tmp_path / "grey.png")
    pixels = torch.from_numpy(np.array(Image.open(tmp_path / "grey.png")))
    assert torch.equal(read_picture(tmp_path / "grey.png", 32)[0], pixels.expand(1, 3, -1, -1))


@pytest.mark.parametrize("width, height", [(20, 8), (8, 20)])
def test_the_middle_square_is_cut_out(width, height, tmp_path):
    pixels = np.zeros((height, width, 3), np.uint8)
    down, right = (height - 8) // 2, (width - 8) // 2
    pixels[down : down + 8, right : right + 8] = 200
    Image.fromarray(pixels).save(tmp_path / "middle.png")
    image, note = read_picture(tmp_path / "middle.png", 4)
    assert (image == 200).all()
    assert note == f"the middle square of {height} x {width} pixels, brought from 8 x 8 to 4 x 4"
