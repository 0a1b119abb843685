"""The effective receptive field: not which pixels a token can hear of, but which ones it heeds.

Source: Luo et al. 2016, "Understanding the effective receptive field", section 2.
"""

import torch
from tqdm import tqdm

from ..data import normalise
from .field import layers, refuse_outside, refuse_unknown


def effective_field(model, images, layer, query, batch=50):
    """Measure how much each pixel matters to one token of a layer, in the mean over pictures.

    `images` is uint8 (n, 3, h, w), `layer` one of `layers(model)`, `query` (row, column) on its
    map. The token's channels are added with random signs, anew for each picture, as a plain sum may
    cancel. The model evaluates, and is given back as it was. Returns float64 (h, w), which sums to
    1. ValueError for what is not there, or if no pixel matters.
    """
    named = layers(model)
    refuse_unknown(layer, named)
    training = model.training
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(images.shape[2:], dtype=torch.float64)
    try:
        model.eval()
        for some in tqdm(images.split(batch), unit="batch", disable=None, leave=False):
            total += _gradient(model, named, normalise(some), layer, query, generator)
    finally:
        model.train(training)
    if not total.sum() > 0:
        raise ValueError(f"no pixel matters to {layer!r} at {tuple(query)}: all gradients are zero")
    return total / total.sum()


def effective_fields(model, images, layer):
    """Measure `effective_field` for every token of a layer: float64 (h', w', h, w)."""
    model.check_size(*images.shape[2:])
    with torch.no_grad():
        down, across = run_to(layer, layers(model), normalise(images[:1])).shape[2:]
    queries = [(row, column) for row in range(down) for column in range(across)]
    fields = [effective_field(model, images, layer, query) for query in queries]
    return torch.stack(fields).unflatten(0, (down, across))


def run_to(layer, named, x):
    """Let x go through `named`, the `layers` of a model, up to and with one of them."""
    for name, part in named.items():
        x = part(x)
        if name == layer:
            return x


@torch.enable_grad()
def _gradient(model, named, images, layer, query, generator):
    """Add up, over pictures and colours, the size of the derivative of a token: (h, w)."""
    model.check_size(*images.shape[2:])
    x = run_to(layer, named, images.requires_grad_())
    refuse_outside(query, *x.shape[2:], layer)
    signs = torch.randn(x.shape[:2], generator=generator).sign().to(x)  # (b, c)
    (gradient,) = torch.autograd.grad((x[:, :, *query] * signs).sum(), images)
    return gradient.double().abs().sum((0, 1)).cpu()
