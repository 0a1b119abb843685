"""Marks on an image: they can be seen on any image, and leave the patch that they mark visible."""

import pytest
import torch
from browser import alive, choose, hover, in_a_browser
from explored import CLASSES, SMALL, images
from helpers import randomize

from minimaxvit import MaxViT
from minimaxvit.seeing.explorer import explorer

SIZE = 4, 8  # tokens of the first block on images of 16 x 32


@pytest.fixture(scope="module")
def three():
    """A dark, a light and a busy image, and their explorer."""
    dark, light = (torch.full((1, 3, 16, 32), value, dtype=torch.uint8) for value in (0, 255))
    pictures = torch.cat([dark, light, images(1, 16, 32)])
    model = randomize(MaxViT(SMALL)).float()
    return pictures, explorer({"a": model}, pictures, ["dark", "light", "busy"], CLASSES)


def look_at(page, layer, picture, query):
    """Point at a token: the pixels of the canvas, (rows, columns, 3)."""
    choose(page, "image", picture)
    hover(page, layer, query, SIZE)
    canvas = page.locator(f"[data-layer='{layer}'] canvas[data-of=picture]")
    width, height, data = canvas.evaluate(
        """(canvas) => [canvas.width, canvas.height, [...canvas.getContext("2d")
        .getImageData(0, 0, canvas.width, canvas.height).data]]"""
    )
    return torch.tensor(data).view(height, width, 4)[..., :3]


def patch(pixels, row, column, sides=0):
    """The pixels of a token, and of so many around it."""
    tall, wide = pixels.shape[0] // SIZE[0], pixels.shape[1] // SIZE[1]
    top, left = row * tall - sides, column * wide - sides
    return pixels[
        max(0, top) : top + tall + 2 * sides, max(0, left) : left + wide + 2 * sides
    ].reshape(-1, 3)


def plain(pictures, picture, shape):
    """The image as the canvas would show it without any mark."""
    return torch.nn.functional.interpolate(pictures[[picture]].float(), shape)[0].permute(1, 2, 0)


@in_a_browser
@pytest.mark.parametrize("picture", range(3), ids=["dark", "light", "busy"])
@pytest.mark.parametrize("layer", ["1.1 BlockAttention", "1.1 GridAttention"])
def test_the_middle_of_what_is_marked_stays_that_of_the_image(three, open_page, picture, layer):
    pictures, fragment = three
    page = alive(open_page, fragment)
    for query in [(1, 2), (0, 0), (3, 7)]:  # the corners, too
        pixels = look_at(page, layer, picture, query)
        known = plain(pictures, picture, pixels.shape[:2])
        window = [(row // 2 * 2, column // 2 * 2) for row, column in [query]]
        tokens = {
            "1.1 BlockAttention": [
                (top + i, left + j) for top, left in window for i in (0, 1) for j in (0, 1)
            ],
            "1.1 GridAttention": [
                (query[0] % 2 + i, query[1] % 4 + j) for i in (0, 2) for j in (0, 4)
            ],
        }[layer]
        assert query in tokens
        for row, column in tokens:
            tall, wide = (side // tokens for side, tokens in zip(pixels.shape, SIZE, strict=False))
            middle = (
                slice(row * tall + tall // 4 + 1, (row + 1) * tall - tall // 4 - 1),
                slice(column * wide + wide // 4 + 1, (column + 1) * wide - wide // 4 - 1),
            )
            assert (pixels[middle] == known[middle]).all()


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("picture", range(3), ids=["dark", "light", "busy"])
def test_the_frame_of_the_query_shows_on_any_image(three, open_page, picture, scheme):
    page = alive(open_page, three[1], color_scheme=scheme)
    for query in [(1, 2), (0, 0), (3, 7)]:
        around = patch(look_at(page, "1.1 GridAttention", picture, query), *query, sides=6)
        for color in (0, 255):  # black beside white has contrast with whatever is around
            assert (around == color).all(1).sum() >= 4 * 48


@in_a_browser
def test_what_is_outside_the_group_is_pale_and_the_marks_can_be_taken_away(three, open_page):
    pictures, fragment = three
    page, layer = alive(open_page, fragment), "1.1 BlockAttention"
    pixels = look_at(page, layer, 2, (1, 2))
    known = plain(pictures, 2, pixels.shape[:2])
    outside, inside = ((row, 6) for row in (0, 0)), (0, 3)
    for token in outside:
        faded = patch(pixels, *token) - patch(known, *token)
        assert (faded >= -1).all() and faded.mean() > 30  # toward white
    rim = (patch(pixels, *inside) != patch(known, *inside)).any(1).float().mean()
    assert 0.1 < rim < 0.75  # a ring, and within it the image
    slider = page.locator("[data-choice=strength]")
    slider.fill("0")
    pixels = look_at(page, layer, 2, (1, 2))
    far = [(row, column) for row in range(4) for column in (0, 5, 6, 7)]
    for token in far:  # where no frame is
        assert (patch(pixels, *token) == patch(known, *token)).all()
    assert page.locator("label:has([data-choice=strength]) output").inner_text() == "0%"
