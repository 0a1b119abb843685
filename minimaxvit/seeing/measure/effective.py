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
    return _measure(model, images, layer, [query], batch)[0]


def effective_fields(model, images, layer, batch=50):
    """Measure `effective_field` for every token of a layer's map: float64 (h', w', h, w)."""
    model = unwrapped(model)
    refuse_unknown(layer, model.layers())
    with evaluating(model), torch.no_grad():
        h, w = run_to(layer, model, prepare(model, images[:1]))[0].shape[2:]
    queries = [(row, column) for row in range(h) for column in range(w)]
    return _measure(model, images, layer, queries, batch).unflatten(0, (h, w))


def _measure(model, images, layer, queries, batch):
    """Measure the field of each query: float64 (queries, h, w)."""
    model = unwrapped(model)
    refuse_unknown(layer, model.layers())
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(len(queries), *images.shape[2:], dtype=torch.float64)
    with evaluating(model):
        for some in tqdm(images.split(batch), unit="batch", disable=None, leave=False):
            total += _gradients(model, some, layer, queries, generator)
    sums = total.sum((1, 2))
    for query, each in zip(queries, sums.tolist(), strict=True):
        if not each > 0:
            where = tuple(query) if isinstance(query, tuple | list) else query
            raise ValueError(f"no pixel matters to {layer!r} at {where}: all gradients are zero")
    return total / sums[:, None, None]


def run_to(layer, model, images):
    """Run a model up to and including a layer; return its map, and extra tokens if any."""
    model.check_size(*images.shape[2:])
    state = (images,)
    for name, part in model.layers().items():
        state = part.run(*state)
        if name == layer:
            return state


@torch.enable_grad()
def _gradients(model, images, layer, queries, generator):
    """Add up, over images and colors, the size of the derivative of each query: (queries, h, w).

    All share one pass forwards, which took two thirds of the time.
    """
    images = prepare(model, images).requires_grad_()
    x, *extra = run_to(layer, model, images)
    tokens = torch.cat([x.flatten(2).mT, *extra], 1)  # (b, h * w + k, c)
    h, w = x.shape[2:]
    places = Places(h, w, tokens.shape[1] - h * w)
    signs = torch.randn(x.shape[:2], generator=generator).sign().to(x)  # (b, c)
    sizes = []
    for query in queries:
        token = (tokens[:, place_of(query, places, layer)] * signs).sum()
        (gradient,) = torch.autograd.grad(token, images, retain_graph=True)
        sizes.append(gradient.double().abs().sum((0, 1)).cpu())
    return torch.stack(sizes)
