"""Pictures are read as they are, or cut and resized in the middle, with a note that says so."""

import struct

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from minimaxvit.datasets.image_files import read_image

UNREADABLE = "its note on how the camera was held cannot be read"


def noise(h, w):
    return np.random.default_rng(0).integers(256, size=(h, w, 3), dtype=np.uint8)


def test_an_image_of_the_right_size_is_read_as_it_is(tmp_path):
    pixels = noise(32, 32)
    Image.fromarray(pixels).save(tmp_path / "figure.png")
    Image.fromarray(pixels).convert("RGBA").save(tmp_path / "opaque.png")
    for name in ("figure.png", "opaque.png"):
        image, note = read_image(tmp_path / name, 32, 32)
        assert image.dtype == torch.uint8 and note == ""
        np.testing.assert_array_equal(image[0].permute(1, 2, 0), pixels)


def test_a_phone_s_note_on_how_it_was_held_is_used(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    image, _ = read_image(tmp_path / "turned.png", 8, 8)
    assert (image[..., 4:] == 255).all() and (image[..., :4] == 0).all()


def test_sixteen_bits_become_eight(tmp_path):
    gray = np.array([[0, 257], [257 * 128, 65535]], np.uint16)
    Image.fromarray(gray).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png", 2, 2)[0][0, 0].tolist() == [[0, 1], [128, 255]]


def test_gray_becomes_three_channels_alike(tmp_path):
    Image.fromarray(noise(32, 32)).convert("L").save(tmp_path / "gray.png")
    pixels = torch.from_numpy(np.array(Image.open(tmp_path / "gray.png")))
    assert torch.equal(read_image(tmp_path / "gray.png", 32, 32)[0], pixels.expand(1, 3, -1, -1))


@pytest.mark.parametrize("width, height", [(20, 8), (8, 20)])
def test_the_middle_square_is_cut_out(width, height, tmp_path):
    pixels = np.zeros((height, width, 3), np.uint8)
    down, right = (height - 8) // 2, (width - 8) // 2
    pixels[down : down + 8, right : right + 8] = 200
    Image.fromarray(pixels).save(tmp_path / "middle.png")
    image, note = read_image(tmp_path / "middle.png", 4, 4)
    assert (image == 200).all()
    assert note == f"the center square of {height} x {width} pixels, resized from 8 x 8 to 4 x 4"


def see_through(alpha, hidden):
    """A picture that is red where `alpha` is 255, and elsewhere of a color that nobody sees."""
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[..., :3] = hidden
    pixels[:, :4] = 255, 0, 0, 255
    pixels[:, 4:, 3] = alpha
    return Image.fromarray(pixels)


def test_pictures_that_look_alike_are_read_alike(tmp_path):
    for number, hidden in enumerate([(0, 0, 0), (9, 200, 90)]):
        see_through(0, hidden).save(tmp_path / f"{number}.png")
    one, other = (read_image(tmp_path / f"{number}.png", 8, 8) for number in (0, 1))
    assert torch.equal(one[0], other[0])
    assert (one[0][..., 4:] == 255).all() and one[0][0, :, 0, 0].tolist() == [255, 0, 0]
    assert one[1] == "shown on white"


def test_half_transparent_pixels_are_mixed_with_white(tmp_path):
    see_through(128, (0, 0, 0)).save(tmp_path / "half.png")
    image, note = read_image(tmp_path / "half.png", 8, 8)
    assert (image[..., 4:] - 127).abs().max() <= 1 and note == "shown on white"


def test_a_transparent_color_of_a_palette_is_shown_on_white(tmp_path):
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 10, 20, 30])
    picture.save(tmp_path / "palette.png", transparency=1)
    image, note = read_image(tmp_path / "palette.png", 4, 4)
    assert (image == 255).all() and note == "shown on white"


def test_a_damaged_note_on_how_it_was_held_is_told(tmp_path):
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\x00\x01\x02\0\xff"
    Image.fromarray(noise(8, 8)).save(tmp_path / "odd.jpg", exif=exif)
    image, note = read_image(tmp_path / "odd.jpg", 8, 8)
    assert image.shape == (1, 3, 8, 8) and note in ("", UNREADABLE)


def test_what_pillow_cannot_turn_is_read_as_it_is(tmp_path, monkeypatch):
    def stumble(_):
        raise struct.error("unpack requires a buffer of 4 bytes")

    monkeypatch.setattr(ImageOps, "exif_transpose", stumble)
    Image.fromarray(noise(8, 8)).save(tmp_path / "odd.png")
    image, note = read_image(tmp_path / "odd.png", 8, 8)
    np.testing.assert_array_equal(image[0].permute(1, 2, 0), noise(8, 8))
    assert note == UNREADABLE


def test_a_picture_may_be_read_for_images_that_are_not_square(tmp_path):
    pixels = np.zeros((10, 40, 3), np.uint8)
    pixels[:, 10:30] = 200  # the middle, twice as wide as it is high
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    image, note = read_image(tmp_path / "wide.png", 4, 8)
    assert image.shape == (1, 3, 4, 8) and (image == 200).all()
    assert note == "the center part of 10 x 40 pixels, resized from 10 x 20 to 4 x 8"


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.fromarray(noise(8, 8)).save(tmp_path / "mine.png")
    assert read_image("~/mine.png", 8, 8)[0].shape == (1, 3, 8, 8)


def test_what_is_made_smaller_takes_the_mean_of_what_it_covers(tmp_path):
    Image.fromarray(noise(64, 64)).save(tmp_path / "noise.png")
    small, _ = read_image(tmp_path / "noise.png", 8, 8)
    kept = small.double().std() / noise(64, 64).std()
    assert 1 / 16 < kept < 1 / 4  # a mean of 64 has an eighth of the deviation, one of 4 a half


@pytest.mark.parametrize("h, w", [(30, 1), (1, 30)])
def test_of_a_single_row_a_single_pixel_is_kept(h, w, tmp_path):
    Image.fromarray(noise(h, w)).save(tmp_path / "narrow.png")
    _, note = read_image(tmp_path / "narrow.png", 4, 4)
    assert note == f"the center square of {h} x {w} pixels, resized from 1 x 1 to 4 x 4"


def test_a_fraction_of_the_center_is_kept_or_all_is_squashed(tmp_path):
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[5:15, 15:25] = 200  # half of the center square
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    image, note = read_image(tmp_path / "wide.png", 4, 4, 0.5)
    assert (image == 200).all()
    assert note == "the center square of 20 x 40 pixels, resized from 10 x 10 to 4 x 4"
    whole, note = read_image(tmp_path / "wide.png", 20, 20, None)
    rows, columns = (whole[0, 0] > 100).nonzero().T
    assert rows.max() - rows.min() + 1 == 10 and columns.max() - columns.min() + 1 in (4, 5, 6)
    assert note == "resized from 20 x 40 to 20 x 20"
