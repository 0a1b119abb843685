"""Write down what attention attends to while a network looks, and lay it back on the map.

Hooks compute the scores a second time, so that attention itself stays as it is.
"""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from einops import rearrange

from ..block import GroupAttention
from ..network import MaxViT
from .field import layers, pixels_apart, refuse_outside


@dataclass(frozen=True)
class Attention:
    """What one layer attended to, by content and by position apart.

    `content` (b, heads, n, t, t) and `bias` (heads, t, t) are scores, a row a query, a column a
    key; `name` is the layer's; `tokens`, long (n, t), says which token of the map, counted row by
    row, stands where in which group; `size` is the (h, w) of the map, `stride` the pixels a side
    of its tokens.
    """

    name: str
    content: torch.Tensor
    bias: torch.Tensor
    tokens: torch.Tensor
    size: tuple
    stride: int

    def weights(self, content=True, position=True):
        """Share each query out among the keys of its group: (b, heads, n, t, t), rows sum to 1.

        Without `content`, or without `position`, what the other alone would make of it.
        """
        scores = self.content * content + self.bias[:, None] * position
        return scores.softmax(-1)

    def row(self, query, weights):
        """Lay what the token at `query`, (row, column), attends to on the map: (b, heads, h, w).

        `weights` are those of `weights()`. ValueError for a query outside the map.
        """
        h, w = self.size
        refuse_outside(query, h, w, self.name)
        group, slot = (self.tokens == query[0] * w + query[1]).nonzero()[0]
        lifted = weights.new_zeros(*weights.shape[:2], h * w)
        lifted[..., self.tokens[group]] = weights[:, :, group, slot]
        return lifted.unflatten(-1, (h, w))

    def lift(self, weights):
        """Lay every row on the map: (b, heads, h * w, h * w), 0 between groups."""
        tokens = self.tokens.numel()
        lifted = weights.new_zeros(*weights.shape[:2], tokens, tokens)
        lifted[:, :, self.tokens[:, :, None], self.tokens[:, None, :]] = weights
        return lifted


@contextmanager
def record_attention(model):
    """Write down, in a `with` block, what each attention attended to in the model's last call.

        with record_attention(model) as maps:
            model(images)
        maps["2.1 BlockAttention"].weights()

    Works on whatever contains block or grid attention; names are those of `layers` for a MaxViT,
    and of `named_modules` otherwise. Leaves nothing in the model, even after an exception.
    ValueError if there is nothing to write down.
    """
    named = layers(model) if isinstance(model, MaxViT) else dict(model.named_modules())
    named = {name: part for name, part in named.items() if isinstance(part, GroupAttention)}
    if not named:
        raise ValueError(
            f"{type(model).__name__} has no attention to record: none of its parts is a "
            f"BlockAttention or a GridAttention"
        )
    maps, picture = {}, []
    with ExitStack() as hooks:

        def before(module, function):
            hooks.callback(module.register_forward_pre_hook(function).remove)

        first = model.stem if isinstance(model, MaxViT) else model
        before(first, partial(_measure_picture, picture))
        for name, part in named.items():
            before(part, partial(_write_down, maps, name, picture))
        yield maps


def _measure_picture(picture, model, inputs):
    picture[:] = inputs[0].shape[2:]


@torch.no_grad()
def _write_down(maps, name, picture, part, inputs):
    x = part.attention_norm(inputs[0].permute(0, 2, 3, 1))  # (b, h, w, c)
    b, h, w, _ = x.shape
    groups = part.partition(x, part.window)  # (b, n, t, c)
    content = rearrange(part.attention.content(groups), "(b n) heads ... -> b heads n ...", b=b)
    numbers = torch.arange(h * w, device=x.device).view(1, h, w, 1)
    tokens = part.partition(numbers, part.window)[0, :, :, 0]
    stride = pixels_apart(picture, (h, w))
    maps[name] = Attention(name, content, part.attention.bias(), tokens, (h, w), stride)
