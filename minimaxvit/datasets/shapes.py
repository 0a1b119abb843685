"""Ten classes of drawn figures, for which nothing is downloaded.

An image is painted in layers: a textured background, a few strokes that distract, the figure, and
one stroke that hides part of it. Position, size, rotation and colors are random and say nothing
about the class, so that only form is left to learn.

The same seed must give the same bytes on every processor, and sin, cos, exp and matrix products may
differ there in their last digit. Images are therefore made of + - * / and square roots alone,
which IEEE 754 rounds in one way only, and of uniform random numbers.

Axes, here: n images; u and v run over a figure's own frame, about -1 to 1; v points down.
"""

from math import ceil

import numpy as np

SIDE = 32  # pixels
CHUNK = 100  # images drawn at a time: enough to keep NumPy busy, few enough for the cache


def draw_shapes(count, seed):
    """Draw labeled images of figures; a larger set begins with the smaller one.

    Returns images, uint8 of 0 to 255 and shape (count, 3, 32, 32) in red, green, blue, and labels,
    uint8 of shape (count,), which index `SHAPE_CLASSES`. ValueError if count or seed is too small.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1 image, got {count}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    chunks = [_draw_chunk(seed, number) for number in range(ceil(count / CHUNK))]
    images, labels = map(np.concatenate, zip(*chunks, strict=True))
    return images[:count], labels[:count]


def disc(u, v):
    return 0.85 - _length(u, v)


def ring(u, v):
    return 0.2 - np.abs(0.75 - _length(u, v))


def square(u, v):
    return 0.75 - np.maximum(np.abs(u), np.abs(v))


def triangle(u, v):
    return np.minimum(0.75 - v, 0.45 + 0.5 * v - 0.866 * np.abs(u))


def star(u, v):
    # Mirrors fold the five points onto the one above, where a single slanted edge is left to test.
    u = np.abs(u)
    for across, down in ((0.809, 0.588), (-0.809, 0.588)):
        beyond = 2 * np.maximum(across * u + down * v, 0)
        u, v = u - beyond * across, v - beyond * down
    return 0.36 * (1 + v) - 0.93 * np.abs(u)


def cross(u, v):
    u, v = np.abs(u), np.abs(v)
    return np.minimum(0.9 - np.maximum(u, v), 0.25 - np.minimum(u, v))


def crescent(u, v):
    return np.minimum(0.95 - _length(u, v), _length(u - 0.45, v) - 0.75)


def heart(u, v):
    u, v = np.abs(u), v + 0.1
    return np.maximum(0.7 * (0.9 - u - np.abs(v)), 0.63 - _length(u - 0.45, v + 0.45))


def arrow(u, v):
    u = np.abs(u)
    head = np.minimum(-v, 0.7 * (v + 0.95 - u))
    shaft = np.minimum(0.22 - u, 0.5 - np.abs(v - 0.35))
    return np.maximum(head, shaft)


def hourglass(u, v):
    u, v = np.abs(u), np.abs(v)
    return np.minimum(0.85 - v, 0.75 * (0.1 + 0.85 * v - u))


FIGURES = (disc, ring, square, triangle, star, cross, crescent, heart, arrow, hourglass)
SHAPE_CLASSES = tuple(figure.__name__ for figure in FIGURES)


def _draw_chunk(seed, number):
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(number,))))
    labels = rng.integers(len(SHAPE_CLASSES), size=CHUNK, dtype=np.uint8)
    ground = _uniform(rng, 0.1, 0.5, 3)
    ink = ground + _uniform(rng, 0.3, 0.5, 3)  # lighter in every channel, so always to be seen
    images = ground + _clouds(rng, 3, 0.2) + _clouds(rng, 9, 0.2)
    for _ in range(3):
        _paint(images, _stroke(rng, reach=15, length=3), _uniform(rng, 0.1, 0.9, 3))
    _paint(images, _figure(rng, labels), ink)
    _paint(images, _stroke(rng, reach=6, length=7), _uniform(rng, 0.1, 0.9, 3))
    images += 0.1 * rng.random(images.shape, np.float32) - 0.05
    return (255 * np.clip(images, 0, 1) + 0.5).astype(np.uint8), labels


def _figure(rng, labels):
    """Coverage of each image's figure, 0 to 1, near the middle. (n,) -> (n, 1, 32, 32)."""
    u, v = _frame(rng, reach=5)
    radius = _uniform(rng, 9, 12)
    u, v = u / radius, v / radius
    edge = np.empty_like(u)
    for label, figure in enumerate(FIGURES):
        edge[labels == label] = figure(u[labels == label], v[labels == label])
    return np.clip(radius * edge + 0.5, 0, 1)


def _stroke(rng, reach, length):
    """Coverage of one round-ended stroke per image, at most `length` pixels from middle to end."""
    u, v = _frame(rng, reach)
    length = _uniform(rng, 0, length)
    u = u - np.clip(u, -length, length)
    return np.clip(_uniform(rng, 1, 2) - _length(u, v) + 0.5, 0, 1)


def _frame(rng, reach):
    """Pixel coordinates, shifted by up to `reach` pixels and rotated: two of (n, 1, 32, 32)."""
    pixels = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    x, y = pixels - _uniform(rng, -reach, reach), pixels[:, None] - _uniform(rng, -reach, reach)
    half = _uniform(rng, -1, 1)  # tangent of half the angle: up to a quarter turn either way
    cos, sin = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
    return cos * x + sin * y, cos * y - sin * x


def _clouds(rng, cells, strength):
    """Smooth colored spots: a few random values per side, interpolated linearly."""
    place = np.linspace(0, cells - 1, SIDE, endpoint=False, dtype=np.float32)
    low = place.astype(int)
    part = place - low
    spots = strength * (rng.random((CHUNK, 3, cells, cells), np.float32) - 0.5)
    rows = spots[:, :, low] * (1 - part[:, None]) + spots[:, :, low + 1] * part[:, None]
    return rows[..., low] * (1 - part) + rows[..., low + 1] * part


def _paint(images, cover, color):
    step = color - images
    step *= cover
    images += step


def _uniform(rng, low, high, channels=1):
    return low + (high - low) * rng.random((CHUNK, channels, 1, 1), np.float32)


def _length(u, v):
    return np.sqrt(u * u + v * v)
