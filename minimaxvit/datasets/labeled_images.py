"""Labeled images in memory, as bytes, and what a network reads instead of bytes."""

import hashlib
from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class LabeledImages:
    """Images, uint8 (n, 3, h, w), and their labels, long (n,), which index `classes`.

    `source` says where they come from; it belongs beside every figure measured on them.
    """

    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple
    source: str

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return replace(self, images=self.images[index], labels=self.labels[index])

    def to(self, device):
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def sha256(self):
        """Fingerprint images and labels, so that a result can say what it was measured on."""
        digest = hashlib.sha256(self.images.cpu().contiguous().numpy())
        digest.update(self.labels.cpu().contiguous().numpy())
        return digest.hexdigest()


def normalize(images):
    """Turn bytes into what a network reads: uint8 in 0..255 -> float in -1..1."""
    return images.to(torch.float32).div(127.5).sub(1)
