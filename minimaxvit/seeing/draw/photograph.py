"""The photograph of the lessons, which needs no download."""

from matplotlib.cbook import get_sample_data
from matplotlib.image import imread


def photograph():
    """Load rear admiral Grace Hopper from matplotlib's samples. Returns uint8 (480, 480, 3)."""
    with get_sample_data("grace_hopper.jpg") as file:
        image = imread(file, format="jpg")  # (600, 512, 3)
    return image[:480, 16:496]
