"""How to train: every number and every choice, each with a few words for the command line."""

from dataclasses import asdict, dataclass, field


def option(default, meaning):
    """A field with its meaning, which the command line's help tells as well."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Recipe:
    """How to train. Raises ValueError for what cannot be, such as a batch of no images."""

    epochs: int = option(4, "passes over the training images")
    steps: int | None = option(None, "number of training steps; overrides the epochs")
    batch_size: int = option(128, "images per batch")
    muon: bool = option(True, "train matrices with Muon instead of AdamW")
    muon_lr: float = option(0.01, "highest learning rate of Muon")
    adamw_lr: float = option(8e-3, "highest learning rate of AdamW")
    weight_decay: float = option(0.1, "weight decay of convolutions and linear layers")
    warmup: float = option(0.1, "fraction of the steps in which the learning rates rise")
    label_smoothing: float = option(0.1, "fraction of each label spread over all classes")
    ema: float = option(0.05, "fraction of the run over which the weights are averaged")
    grad_clip: float = option(1.0, "maximum norm of the gradient; 0 does not clip")
    whiten: bool = option(True, "whiten with a frozen first convolution")
    alternating_flip: bool = option(True, "flip each image every other epoch, not at random")
    translate: int = option(2, "maximum translation in pixels")
    cutout: int = option(0, "side in pixels of the square cut out of each image")
    val_size: int = option(1000, "number of training images held out for validation")
    seed: int = option(0, "seed of the weights, the order and the augmentation")

    def __post_init__(self):
        least = {"epochs": 1, "steps": 1, "batch_size": 1}
        for name, value in asdict(self).items():
            if value is not None and value < least.get(name, 0):
                raise ValueError(f"{name} must be at least {least.get(name, 0)}, got {value}")
        for name in ("warmup", "label_smoothing", "ema"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is a fraction, at most 1, got {getattr(self, name)}")
