"""The drawn figures: the same bytes from the same seed, and a task that needs more than a line."""

import hashlib

import numpy as np
import pytest
import torch

from minimaxvit.datasets import shapes
from minimaxvit.datasets.shapes import SHAPE_CLASSES, draw_shapes


def test_bytes_are_pinned():
    images, labels = draw_shapes(500, seed=0)
    found = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert found == "dc687845066bfacab565d874ea3afc81b0b5dfa8b88b524627a6f1e3e5120acd", (
        "the bytes are pinned for the NumPy in constraints.txt: if the drawing was meant to "
        "change, so do all results published with it"
    )


def test_same_seed_draws_the_same_and_another_seed_does_not():
    images, labels = draw_shapes(150, seed=1)
    again, same_labels = draw_shapes(150, seed=1)
    other, _ = draw_shapes(150, seed=2)
    assert np.array_equal(images, again) and np.array_equal(labels, same_labels)
    assert not np.array_equal(images, other)


@pytest.mark.parametrize("count", [1, shapes.CHUNK, shapes.CHUNK + 1])
def test_a_larger_set_begins_with_the_smaller(count):
    images, labels = draw_shapes(3 * shapes.CHUNK, seed=0)
    few_images, few_labels = draw_shapes(count, seed=0)
    assert np.array_equal(few_images, images[:count])
    assert np.array_equal(few_labels, labels[:count])


def test_no_image_is_drawn_twice():
    images, _ = draw_shapes(1000, seed=0)
    others, _ = draw_shapes(1000, seed=1)
    assert len({picture.tobytes() for picture in (*images, *others)}) == 2000


@pytest.mark.parametrize("count", [1, 7, 250])
def test_shapes_and_types_are_as_promised(count):
    images, labels = draw_shapes(count, seed=0)
    assert images.shape == (count, 3, 32, 32) and images.dtype == np.uint8
    assert labels.shape == (count,) and labels.dtype == np.uint8


def test_ten_classes_come_about_equally_often():
    _, labels = draw_shapes(2000, seed=0)
    assert len(set(SHAPE_CLASSES)) == 10
    counts = np.bincount(labels, minlength=10)
    assert counts.shape == (10,) and counts.min() > 150 and counts.max() < 250


def test_every_figure_can_be_seen(monkeypatch):
    images, _ = draw_shapes(1000, seed=0)
    nothing = tuple(lambda u, v: np.full_like(u, -1) for _ in SHAPE_CLASSES)
    monkeypatch.setattr(shapes, "FIGURES", nothing)
    empty, _ = draw_shapes(1000, seed=0)  # the same scenes, less the figures
    change = np.abs(images.astype(int) - empty).max(axis=1)  # of the channel that changes most
    assert ((change > 50).sum(axis=(1, 2)) >= 50).all()


@pytest.mark.parametrize("figure", shapes.FIGURES)
def test_every_figure_fills_its_frame(figure):
    axis = np.linspace(-2, 2, 401)
    u, v = np.meshgrid(axis, axis)
    inside = figure(u, v) > 0
    width, height = np.ptp(u[inside]), np.ptp(v[inside])
    assert 1.4 < max(width, height) < 2.2, f"spans {width:.2f} by {height:.2f}"


@pytest.mark.slow
def test_a_linear_classifier_stays_below_40_percent():
    # Measured by this test: 35.8%; from 34 to 36% for penalties of 100 to 3000. Chance is 10%.
    images, labels = map(torch.from_numpy, draw_shapes(10_000, seed=0))
    test_images, test_labels = map(torch.from_numpy, draw_shapes(2000, seed=1))
    pixels, test_pixels = (_with_constant(x.flatten(1) / 255) for x in (images, test_images))
    targets = torch.nn.functional.one_hot(labels.long(), len(SHAPE_CLASSES)).float()
    gram = pixels.T @ pixels + 300 * torch.eye(pixels.shape[1])
    weights = torch.linalg.solve(gram, pixels.T @ targets)
    accuracy = ((test_pixels @ weights).argmax(1) == test_labels).float().mean().item()
    assert 0.15 < accuracy < 0.40, f"ridge regression on pixels scores {accuracy:.3f}"


@pytest.mark.parametrize("count, seed, given", [(0, 0, "0"), (-3, 0, "-3"), (1, -2, "-2")])
def test_bad_input_is_named(count, seed, given):
    with pytest.raises(ValueError, match=f"got {given}$"):
        draw_shapes(count, seed)


def _with_constant(x):
    return torch.cat([x, torch.ones(len(x), 1)], dim=1)
