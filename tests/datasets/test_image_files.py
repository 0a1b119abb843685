"""Pictures are read as they are, or cut and resized in the middle, with a note that says so."""

import numpy as np
import pytest
import torch
from PIL import Image

from minimaxvit.datasets.image_files import read_image


def noise(h, w):
    return np.random.default_rng(0).integers(256, size=(h, w, 3), dtype=np.uint8)


def test_an_image_of_the_right_size_is_read_as_it_is(tmp_path):
    pixels = noise(32, 32)
    Image.fromarray(pixels).save(tmp_path / "figure.png")
    Image.fromarray(pixels).convert("RGBA").save(tmp_path / "opaque.png")
    for name in ("figure.png", "opaque.png"):
        image, note = read_image(tmp_path / name, 32)
        assert image.dtype == torch.uint8 and note == ""
        np.testing.assert_array_equal(image[0].permute(1, 2, 0), pixels)


def test_a_phone_s_note_on_how_it_was_held_is_used(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    image, _ = read_image(tmp_path / "turned.png", 8)
    assert (image[..., 4:] == 255).all() and (image[..., :4] == 0).all()


def test_sixteen_bits_become_eight(tmp_path):
    gray = np.array([[0, 257], [257 * 128, 65535]], np.uint16)
    Image.fromarray(gray).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png", 2)[0][0, 0].tolist() == [[0, 1], [128, 255]]


def test_gray_becomes_three_channels_alike(tmp_path):
    Image.fromarray(noise(32, 32)).convert("L").save(tmp_path / "gray.png")
    pixels = torch.from_numpy(np.array(Image.open(tmp_path / "gray.png")))
    assert torch.equal(read_image(tmp_path / "gray.png", 32)[0], pixels.expand(1, 3, -1, -1))


@pytest.mark.parametrize("width, height", [(20, 8), (8, 20)])
def test_the_middle_square_is_cut_out(width, height, tmp_path):
    pixels = np.zeros((height, width, 3), np.uint8)
    down, right = (height - 8) // 2, (width - 8) // 2
    pixels[down : down + 8, right : right + 8] = 200
    Image.fromarray(pixels).save(tmp_path / "middle.png")
    image, note = read_image(tmp_path / "middle.png", 4)
    assert (image == 200).all()
    assert note == f"the center square of {height} x {width} pixels, resized from 8 x 8 to 4 x 4"
