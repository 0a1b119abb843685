"""The effective receptive field: not which pixels a token can hear of, but which ones it heeds.

Source: Luo et al. 2016, "Understanding the effective receptive field", section 2.
"""

import torch
from tqdm import tqdm

from .evaluating import evaluating, ready
from .field import layers, refuse_outside, refuse_unknown


def effective_field(model, images, layer, query, batch=50):
    """Measure how much each pixel matters to one token of a layer, in the mean over pictures.

    `images` is uint8 (n, 3, h, w), `layer` one of `layers(model)`, `query` (row, column) on its
    map. The token's channels are added with random signs, anew for each picture, so that no
    direction is favoured. The model evaluates, and is given back as it was. Returns float64
    (h, w), which sums to 1. ValueError for what is not there, or if no pixel matters.
    """
    refuse_unknown(layer, layers(model))
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(images.shape[2:], dtype=torch.float64)
    with evaluating(model):
        for some in tqdm(images.split(batch), unit="batch", disable=None, leave=False):
            total += _gradient(model, some, layer, query, generator)
    if not total.sum() > 0:
        raise ValueError(f"no pixel matters to {layer!r} at {tuple(query)}: all gradients are zero")
    return total / total.sum()


def effective_fields(model, images, layer):
    """Measure `effective_field` for every token of a layer: float64 (h', w', h, w)."""
    refuse_unknown(layer, layers(model))
    with evaluating(model), torch.no_grad():
        down, across = run_to(layer, model, ready(model, images[:1])).shape[2:]
    queries = [(row, column) for row in range(down) for column in range(across)]
    fields = [effective_field(model, images, layer, query) for query in queries]
    return torch.stack(fields).unflatten(0, (down, across))


def run_to(layer, model, x):
    """Let x go through a model, up to and with one of its `layers`."""
    model.check_size(*x.shape[2:])
    for name, part in layers(model).items():
        x = part(x)
        if name == layer:
            return x


@torch.enable_grad()
def _gradient(model, images, layer, query, generator):
    """Add up, over pictures and colours, the size of the derivative of a token: (h, w)."""
    images = ready(model, images).requires_grad_()
    x = run_to(layer, model, images)
    refuse_outside(query, *x.shape[2:], layer)
    signs = torch.randn(x.shape[:2], generator=generator).sign().to(x)  # (b, c)
    (gradient,) = torch.autograd.grad((x[:, :, *query] * signs).sum(), images)
    return gradient.double().abs().sum((0, 1)).cpu()
