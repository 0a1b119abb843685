"""Our networks by timm's names, `minimaxvit_tiny` and so on, so that timm's scripts train them.

Importing this file registers them with timm; nothing else in the package imports it, or timm.
"""

from dataclasses import replace

import torch
from torch import nn

from .configs import CONFIGS
from .network import MaxViT
from .sizes import with_image_size
from .steps import build
from .training.optimizers import parameter_groups

try:
    from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
except ImportError:
    raise ImportError(
        "minimaxvit.timm_models registers our networks with timm: pip install timm"
    ) from None

# What timm passes in words of its own, and the field of a configuration that it sets.
OPTIONS = {
    "num_classes": "num_classes",
    "in_chans": "in_channels",
    "img_size": "image_size",
    "drop_path_rate": "drop_path",
}


class TimmMaxViT(MaxViT):
    """A network with the methods that timm's scripts call. Its weights have the names of MaxViT's.

    Shapes: as MaxViT; with num_classes=0, which a configuration has not, (b, c): what the last
    layer would read.
    """

    def __init__(self, cfg):
        super().__init__(cfg)
        self.num_classes, self.num_features = cfg.num_classes, cfg.dims[-1]

    def get_classifier(self):
        return self.head.classify

    def reset_classifier(self, num_classes, global_pool=None):
        """Begin a last layer for other classes, or leave it out for 0. ValueError for a pool."""
        if global_pool is not None:
            raise ValueError(
                f"global_pool={global_pool!r}, but the head has no other: leave it out"
            )
        weight = next(self.parameters())
        last = nn.Identity()
        if num_classes != 0:
            self.config = replace(self.config, num_classes=num_classes)
            last = nn.Linear(self.num_features, num_classes).to(weight)
            nn.init.normal_(last.weight, std=0.02)
            nn.init.zeros_(last.bias)
        self.head.classify, self.num_classes = last, num_classes

    def no_weight_decay(self):
        """Name what must not decay; timm would spare biases and norms, but not the tables."""
        rest = set(parameter_groups(self)["rest"])
        return {name for name, parameter in self.named_parameters() if parameter in rest}

    def set_grad_checkpointing(self, enable=True):
        """Raise ValueError, unless it is to be off: the parts keep what they compute."""
        if enable:
            raise ValueError(
                "our networks have no gradient checkpointing: leave it out, and if memory runs "
                "out, take a smaller --batch-size and more --grad-accum-steps"
            )


def _create(
    name,
    pretrained=False,
    pretrained_cfg=None,
    pretrained_cfg_overlay=None,
    cache_dir=None,
    drop_rate=0,
    **options,
):
    """Build a network as timm's `create_model` asks for it. ValueError for what ours has not."""
    if pretrained:
        raise ValueError(
            f"pretrained=True, but timm has no weights of minimaxvit_{name}: leave it out; "
            f"minimaxvit.pretrained loads those that there are"
        )
    if drop_rate:
        raise ValueError(f"drop_rate={drop_rate}, but minimaxvit_{name} has no dropout: give 0")
    for option, value in options.items():
        if option not in OPTIONS:
            raise ValueError(
                f"{option}={value!r} is no option of minimaxvit_{name}: leave it out; "
                f"it takes {', '.join(OPTIONS)}"
            )
    config = _configured(CONFIGS[name], **options)
    model = build_model_with_cfg(
        TimmMaxViT,
        f"minimaxvit_{name}",
        pretrained=False,
        pretrained_cfg=pretrained_cfg,
        pretrained_cfg_overlay=_reads(config) | (pretrained_cfg_overlay or {}),
        model_cfg=config,
        kwargs_filter=("num_classes", "in_chans", "img_size"),  # which are in the configuration
    )
    if options.get("num_classes") == 0:
        model.reset_classifier(0)
    return model


def _configured(config, img_size=None, num_classes=None, **options):
    if num_classes:  # 0 is left to reset_classifier
        config = replace(config, num_classes=num_classes)
    if img_size is not None:
        h, w = img_size if isinstance(img_size, tuple | list) else (img_size, img_size)
        if h != w:
            raise ValueError(f"img_size={h, w}, but one window serves both sides: give one number")
        config = with_image_size(config, h)
    return replace(config, **{OPTIONS[name]: value for name, value in options.items()})


def _reads(config):
    """Say what a network reads as timm says it: size, and mean and deviation of 0..1."""
    ends = torch.tensor([0, 255], dtype=torch.uint8, device="cpu").view(2, 1, 1, 1)
    low, high = config.normalize(ends.expand(-1, config.in_channels, -1, -1)).flatten(1).double()
    mean, std = low / (low - high), 1 / (high - low)
    return {
        "input_size": (config.in_channels, config.image_size, config.image_size),
        "mean": tuple(mean.tolist()),
        "std": tuple(std.tolist()),
    }


def _described(config):
    return {
        **_reads(config),
        "num_classes": config.num_classes,
        "fixed_input_size": True,  # timm's word for: windows and positions are of one size
        "interpolation": "bicubic",
        "crop_pct": 0.95 if config.image_size >= 224 else 1.0,  # in evaluation, as timm's MaxViTs
        "first_conv": _first_convolution(config),
        "classifier": "head.classify",
        "license": "apache-2.0",
    }


def _first_convolution(config):
    """Name the convolution that reads the images; None where patches are cut out by hand."""
    with torch.device("meta"):
        modules = build(config.stem, vars(config)).named_modules()
    names = [name for name, module in modules if isinstance(module, nn.Conv2d)]
    return f"stem.{names[0]}" if names else None


def _entry(name):
    def create(pretrained=False, **options):
        return _create(name, pretrained, **options)

    create.__name__ = f"minimaxvit_{name}"  # by which timm registers it
    return create


default_cfgs = generate_default_cfgs(  # where timm looks for them
    {f"minimaxvit_{name}": _described(config) for name, config in CONFIGS.items()}
)
for _name in CONFIGS:
    globals()[f"minimaxvit_{_name}"] = register_model(_entry(_name))
