"""Our network and timm's port of the official one give the same numbers, weight for weight.

Weights, biases, tables and batch norm statistics are all random: at their first values several
mistakes would not show. Everything is float64, so that a wrong epsilon does.
"""

from dataclasses import replace

import pytest
import timm
import torch
from timm.models.maxxvit import MaxxVit, model_cfgs

from minimaxvit import CONFIGS, MaxViT
from minimaxvit.timm_weights import load_timm

# Stem and stages: only small (and base) widen between the two, which puts a projection there.
NARROW = {
    "small": (32, 64, 64, 96, 128),
    "large": (32, 32, 64, 64, 96),
    "xlarge": (32, 32, 32, 64, 64),
}
SIZES = [(224, 224), (224, 448)]


def randomize(model):
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif tensor.is_floating_point():
            noise = torch.empty_like(tensor).normal_(std=0.05, generator=generator)
            tensor.add_(noise)
    return model.double().eval()


def pair(name, dims=None):
    """timm's network and ours with its weights, narrowed if dims of stem and stages are given."""
    config, theirs = CONFIGS[name], f"maxvit_{name}_tf"
    if dims is None:
        theirs = timm.create_model(f"{theirs}_224")
    else:
        stem, *dims = dims
        config = replace(config, dims=tuple(dims), stem_dim=stem)
        shape = {"embed_dim": tuple(dims), "stem_width": stem, "head_hidden_size": dims[-1]}
        theirs = MaxxVit(replace(model_cfgs[theirs], **shape), img_size=224)
    randomize(theirs)
    return load_timm(MaxViT(config).double().eval(), theirs.state_dict()), theirs


def pictures(h, w):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, 3, h, w, generator=generator, dtype=torch.float64)


def difference(ours, theirs):
    """Largest difference as a share of the largest number."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


@pytest.mark.parametrize("name, dims", [("tiny", None), *NARROW.items()])
def test_logits_are_those_of_timm(name, dims):
    ours, theirs = pair(name, dims)
    for h, w in SIZES:
        with torch.no_grad():
            logits, expected = ours(pictures(h, w)), theirs(pictures(h, w))
        assert expected.abs().max() > 0.1
        print(f"{name} at {h} x {w}: {difference(logits, expected):.1e}")
        assert difference(logits, expected) < 1e-9


@pytest.mark.slow
def test_logits_of_the_whole_base_are_those_of_timm():
    test_logits_are_those_of_timm("base", None)


def test_feature_maps_and_gradients_are_those_of_timm():
    ours, theirs = pair("small", NARROW["small"])
    maps = ours.features(pictures(224, 224))
    expected = theirs.forward_intermediates(pictures(224, 224), intermediates_only=True)
    for stage, (measured, wanted) in enumerate(zip(maps, expected[-4:], strict=True), start=1):
        assert difference(measured, wanted) < 1e-9, f"stage {stage}"

    ours.head(maps[-1]).square().sum().backward()
    theirs.forward_head(expected[-1]).square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    expected = load_timm(MaxViT(ours.config).double(), theirs.state_dict() | gradients)
    largest = max(gradient.abs().max() for gradient in gradients.values())
    for name, parameter in ours.named_parameters():
        off = (parameter.grad - expected.get_parameter(name)).abs().max()
        assert off < 1e-9 * largest, name
