"""The effective receptive field: how much each of the pixels that a token depends on matters to it.

Source: Luo et al. 2016, "Understanding the effective receptive field", section 2.
"""

import torch
from tqdm import tqdm

from ...modes import evaluating, unwrapped
from ...prepare import prepare
from .reads import Places
from .receptive_field import place_of, refuse_unknown


def effective_field(model, images, layer, query, batch=50):
    """Measure how much each pixel matters to one token of a layer, in the mean over images.

    `images` is uint8 (n, 3, h, w), `layer` one of `model.layers()`, `query` (row, column) on its
    map, or the number of a place. The channels of the token are added with random signs, drawn anew
    for each image, so that no direction is favored. The model runs in evaluation mode and is
    left as it was. Returns float64 (h, w), which sums to 1. ValueError for an unknown layer or
    token, or if no pixel matters.
    """
    model = unwrapped(model)
    refuse_unknown(layer, model.layers())
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(images.shape[2:], dtype=torch.float64)
    with evaluating(model):
        for some in tqdm(images.split(batch), unit="batch", disable=None, leave=False):
            total += _gradient(model, some, layer, query, generator)
    if not total.sum() > 0:
        where = tuple(query) if isinstance(query, tuple | list) else query
        raise ValueError(f"no pixel matters to {layer!r} at {where}: all gradients are zero")
    return total / total.sum()


def effective_fields(model, images, layer):
    """Measure `effective_field` for every token of a layer's map: float64 (h', w', h, w)."""
    model = unwrapped(model)
    refuse_unknown(layer, model.layers())
    with evaluating(model), torch.no_grad():
        down, across = run_to(layer, model, prepare(model, images[:1]))[0].shape[2:]
    queries = [(row, column) for row in range(down) for column in range(across)]
    fields = [effective_field(model, images, layer, query) for query in queries]
    return torch.stack(fields).unflatten(0, (down, across))


def run_to(layer, model, images):
    """Run a model up to and including a layer; return its map, and extra tokens if any."""
    model.check_size(*images.shape[2:])
    state = (images,)
    for name, part in model.layers().items():
        state = part.run(*state)
        if name == layer:
            return state


@torch.enable_grad()
def _gradient(model, images, layer, query, generator):
    """Add up, over images and colors, the size of the derivative of a token: (h, w)."""
    images = prepare(model, images).requires_grad_()
    x, *extra = run_to(layer, model, images)
    tokens = torch.cat([x.flatten(2).mT, *extra], 1)  # (b, h * w + k, c)
    h, w = x.shape[2:]
    place = place_of(query, Places(h, w, tokens.shape[1] - h * w), layer)
    signs = torch.randn(x.shape[:2], generator=generator).sign().to(x)  # (b, c)
    (gradient,) = torch.autograd.grad((tokens[:, place] * signs).sum(), images)
    return gradient.double().abs().sum((0, 1)).cpu()
