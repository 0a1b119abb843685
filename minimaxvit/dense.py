"""Feature maps of images of any size, for dense tasks such as segmentation."""

from math import ceil, prod

import torch.nn.functional as F


def padded_features(model, images):
    """Return the map of each stage for images of any size, finest first, as `features` does.

    Zeros are added below and to the right, up to the next multiple of the last stride that fits,
    and the maps are cropped: (b, in_channels, h, w) -> (b, c, ceil(h / stride), ceil(w / stride))
    each. Attention sees those zeros, so sizes that fit are better where there is a choice.
    Raises ValueError if no larger size fits, as for a ViT, which has one position per patch.
    """
    model.check_form(images)
    h, w = images.shape[2:]
    strides = _strides(model)
    larger = [_next_that_fits(model, side, strides[-1]) for side in (h, w)]
    maps = model.features(F.pad(images, (0, larger[1] - w, 0, larger[0] - h)))
    return [
        x[:, :, : ceil(h / stride), : ceil(w / stride)]
        for x, stride in zip(maps, strides, strict=True)
    ]


def _strides(model):
    """List how many pixels lie between the tokens of each stage's map: [4, 8, 16, 32]."""
    stride, strides = model.stem.stride, []
    for stage in model.stages:
        stride *= prod(part.stride for block in stage for part in block.parts)
        strides.append(stride)
    return strides


def _next_that_fits(model, side, stride):
    """Find the smallest side that fits and is this one or a multiple of `stride`; else this one."""
    beyond = side + 2 * model.config.image_size if side else 0  # without rows, nothing is near
    multiples = range(stride * ceil(side / stride), beyond, stride)
    return next((each for each in (side, *multiples) if model.fits(each)), side)
