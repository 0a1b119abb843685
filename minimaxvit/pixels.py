"""What a network reads instead of bytes. Each was trained on one form, which its `config` names."""

import torch

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of red, green and blue, from 0 to 1
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalize(images):
    """Turn bytes into what most networks here read: uint8 in 0..255 -> float in -1..1.

    ValueError for what is not uint8: it may be normalized already.
    """
    _check_bytes(images)
    return images.to(torch.float32).div(127.5).sub(1)


def normalize_imagenet(images):
    """Subtract ImageNet's mean and divide by its standard deviation: uint8 (b, 3, h, w) -> float.

    The official networks for 224 x 224 read this. ValueError for what is not uint8.
    """
    _check_bytes(images)
    mean, std = (
        torch.tensor(each, device=images.device).view(3, 1, 1)
        for each in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return (images.to(torch.float32).div(255) - mean) / std


def _check_bytes(images):
    if images.dtype != torch.uint8:
        raise ValueError(
            f"normalize takes bytes, uint8 in 0..255, got {images.dtype}; images in 0..1 become "
            f"bytes by (255 * x).round().byte(), and those in -1..1 are what a network reads"
        )
