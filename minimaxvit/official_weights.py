"""The official networks, whose weights timm publishes on the Hugging Face hub.

Nothing is downloaded before it is asked for, and what was stays in the hub's cache.
"""

import json
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch

from .configs import CONFIGS
from .network import MaxViT
from .pixels import IMAGENET_MEAN, IMAGENET_STD, normalize, normalize_imagenet
from .sizes import with_image_size
from .timm_weights import load_timm

NAMES = Path(__file__).parent / "trained"  # of classes, one a line, in the order of the logits
SMALLER, LARGER, SIDES = ("tiny", "small", "base", "large"), ("base", "large", "xlarge"), (384, 512)
# By our name: (size, pixels of a side, timm's name of what it was trained on).
OFFICIAL = {
    **{size: (size, 224, "in1k") for size in SMALLER},
    **{f"{size}_{side}": (size, side, "in1k") for size in SMALLER for side in SIDES},
    **{f"{size}_21k": (size, 224, "in21k") for size in LARGER},
    **{f"{size}_{side}_21k": (size, side, "in21k_ft_in1k") for size in LARGER for side in SIDES},
}
SOURCES = {
    "in1k": "ImageNet-1k",
    "in21k": "ImageNet-21k",
    "in21k_ft_in1k": "ImageNet-1k (after ImageNet-21k)",
}
# What a network reads, by the mean and standard deviation that timm states.
FORMS = {
    (IMAGENET_MEAN, IMAGENET_STD): normalize_imagenet,
    (3 * (0.5,), 3 * (0.5,)): normalize,
}


def official(name, revision="main"):
    """Get an official network, by download or from the cache, in evaluation mode on the CPU.

    `revision` is a branch, tag or commit of the hub's repository. Raises ImportError without
    huggingface_hub, OSError if the hub cannot be reached or does not have it, ValueError if what it
    has is not this network.
    """
    record = official_record(name, revision)
    size, side, _ = OFFICIAL[name]
    data = record["data"]
    config = replace(
        with_image_size(CONFIGS[size], side),
        num_classes=len(data["classes"]),
        normalize=FORMS[tuple(data["mean"]), tuple(data["std"])],
    )
    path = _download(record["weights"], "model.safetensors", record["revision"])
    with torch.random.fork_rng(devices=[]):
        model = MaxViT(config)
    try:
        return load_timm(model, safetensors.torch.load_file(path)).eval()
    except (ValueError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path} does not hold the weights of {name}: {error}") from None


def official_record(name, revision="main"):
    """Tell what an official network was trained on, and how it wants its images.

    "crop" is the fraction of an image's shorter side that it sees, None where the whole image is
    squashed into a square. Errors are those of `official`.
    """
    size, side, tag = OFFICIAL[name]
    repository = f"timm/maxvit_{size}_tf_{side}.{tag}"
    path = _download(repository, "config.json", revision)
    try:
        stated = json.loads(path.read_text())["pretrained_cfg"]
        form = tuple(stated["mean"]), tuple(stated["std"])
        image_size, crop = stated["input_size"][1:], stated["crop_pct"]
        squashed = stated.get("crop_mode") == "squash"
        classes = _class_names(stated["num_classes"])
        if image_size != [side, side] or form not in FORMS:
            raise ValueError(f"images of {image_size} with mean and std {form}")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} does not describe {name}: {type(error).__name__} {error}"
        ) from None
    return {
        "weights": repository,
        "revision": path.parent.name,  # the commit, also where a branch was asked for
        "data": {
            "source": SOURCES[tag],
            "classes": classes,
            "image_size": image_size,
            "mean": form[0],
            "std": form[1],
            "crop": None if squashed else crop,
        },
    }


def _class_names(count):
    for file in sorted(NAMES.glob("imagenet-*.txt")):
        names = file.read_text(encoding="utf-8").splitlines()
        if len(names) == count:
            return names
    raise ValueError(f"no names are known for {count} classes")


def _download(repository, file, revision):
    """Find a file of a repository in the cache or download it, with a progress bar."""
    try:
        import httpx
        from huggingface_hub import constants, hf_hub_download
    except ImportError:
        raise ImportError(
            "official weights come from the Hugging Face hub: pip install huggingface_hub"
        ) from None
    hub = constants.ENDPOINT
    try:
        httpx.head(hub, timeout=10)  # the hub's own client would try for half a minute
    except httpx.HTTPError as error:
        offline, why = True, f"{hub} does not answer: {error}"
    else:
        offline, why = False, ""
    try:
        path = hf_hub_download(repository, file, revision=revision, local_files_only=offline)
    except Exception as error:  # of the network, the hub or the disk
        told = why or str(error).strip() or type(error).__name__
        raise OSError(
            f"{file} of {repository} at {revision!r} is not in the cache and cannot be "
            f"downloaded: {told.splitlines()[0]}"
        ) from None
    return Path(path)
