"""How to train: every number and every choice, each with a few words for the command line."""

import sys
from dataclasses import dataclass, field, fields


def option(default, meaning, least=0, most=sys.float_info.max, kind=None):
    """A field with its bounds, and its meaning, which the command line's help tells as well."""
    kind = kind or type(default)
    metadata = {"meaning": meaning, "least": least, "most": most, "kind": kind}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Recipe:
    """How to train. Raises ValueError for what cannot be, such as a batch of no images."""

    epochs: int = option(4, "passes over the training images", least=1)
    steps: int | None = option(
        None, "number of training steps; overrides the epochs", least=1, kind=int
    )
    batch_size: int = option(128, "images per batch", least=1)
    muon: bool = option(True, "train matrices with Muon instead of AdamW")
    muon_lr: float = option(0.01, "highest learning rate of Muon")
    adamw_lr: float = option(8e-3, "highest learning rate of AdamW")
    weight_decay: float = option(0.1, "weight decay of convolutions and linear layers")
    warmup: float = option(0.1, "fraction of the steps in which the learning rates rise", most=1)
    label_smoothing: float = option(0.1, "fraction of each label spread over all classes", most=1)
    ema: float = option(0.05, "fraction of the run over which the weights are averaged", most=1)
    grad_clip: float = option(1.0, "maximum norm of the gradient; 0 does not clip")
    whiten: bool = option(True, "whiten with a frozen first convolution")
    alternating_flip: bool = option(True, "flip each image every other epoch, not at random")
    translate: int = option(2, "maximum translation in pixels")
    cutout: int = option(0, "side in pixels of the square cut out of each image")
    val_size: int = option(1000, "number of training images held out for validation")
    seed: int = option(0, "seed of the weights, the order and the augmentation", most=2**32 - 1)

    def __post_init__(self):
        for each in fields(self):
            name, value, told = each.name, getattr(self, each.name), each.metadata
            if value is None and each.default is None:
                continue
            if not _is(value, told["kind"]):
                raise ValueError(f"{name} must be {KINDS[told['kind']]}, got {value!r}")
            if not told["least"] <= value <= told["most"]:
                most = f" and at most {told['most']}" if told["most"] < sys.float_info.max else ""
                raise ValueError(f"{name} must be at least {told['least']}{most}, got {value}")


KINDS = {bool: "True or False", int: "a whole number", float: "a number"}


def _is(value, kind):
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
