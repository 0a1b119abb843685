"""Labeled images in memory, as bytes."""

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

    def __post_init__(self):
        images, labels = self.images, self.labels
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(
                f"images must be uint8 of shape (n, 3, h, w), got {images.dtype} of shape "
                f"{tuple(images.shape)}; those in 0..1 become bytes by (255 * x).round().byte()"
            )
        if labels.dtype != torch.long or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{len(images)} images need as many labels of torch.long, got {labels.dtype} of "
                f"shape {tuple(labels.shape)}"
            )
        if labels.is_meta or not len(labels):
            return
        if not (labels.min() >= 0 and labels.max() < len(self.classes)):
            raise ValueError(
                f"labels must be from 0 to {len(self.classes) - 1}, as there are "
                f"{len(self.classes)} classes, got {labels.min()} to {labels.max()}"
            )

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
