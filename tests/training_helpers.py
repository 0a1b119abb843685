"""What the tests of training share: a small network, a short recipe, a few images."""

from dataclasses import replace

import torch

from minimaxvit import MAXVIT_PARTS, MaxViTConfig
from minimaxvit.datasets import SHAPE_CLASSES, LabeledImages, draw_shapes
from minimaxvit.training import Recipe

SMALL = MaxViTConfig(
    dims=(32,),
    depths=(1,),
    stem_dim=32,
    window=4,
    parts=(MAXVIT_PARTS,),
    expansion=1,
    drop_path=0.5,
    num_classes=10,
    image_size=32,
)
DEEPER = replace(SMALL, depths=(2,))  # the first block of a network never drops
SHORT = Recipe(epochs=3, batch_size=16, val_size=16, ema=0.5, translate=2, cutout=6)


def few_shapes(count=16 + 6 * 16):
    images, labels = map(torch.from_numpy, draw_shapes(count, seed=0))
    data = LabeledImages(images, labels.long(), SHAPE_CLASSES, "shapes")
    return data, data[:32]
