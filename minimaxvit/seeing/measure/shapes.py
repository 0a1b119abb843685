"""The shapes of all that an MBConv makes on its way, noted by hooks while it runs."""

from contextlib import ExitStack

import torch
from torch import nn

from ...modes import evaluating


@torch.no_grad()
def mbconv_shapes(mbconv, h, w):
    """Run an MBConv on a map of h x w and note its maps and vectors: {name: (c, h, w)}.

    In the order in which they are made: the branch from `input` to `shrink`, with the `mean` that
    squeeze-excitation takes, then what the shortcut has of `pool` and `project`, and the `output`.
    """
    gate, shortcut = mbconv.squeeze_excite, mbconv.shortcut
    noted = {"expand": mbconv.expand, "depthwise": mbconv.depthwise}
    noted |= {"squeeze": gate.squeeze, "excite": gate.excite, "squeeze_excite": gate}
    noted |= {"shrink": mbconv.shrink, "pool": shortcut.pool, "project": shortcut.project}
    weight = mbconv.expand.weight
    x = torch.zeros(1, weight.shape[1], h, w, device=weight.device, dtype=weight.dtype)
    shapes = {"input": tuple(x.shape[1:])}

    def note(name, tensor):
        shapes[name] = tuple(tensor.shape[1:])

    with ExitStack() as undo, evaluating(mbconv):
        mean = gate.squeeze.register_forward_pre_hook(lambda _, inputs: note("mean", *inputs))
        undo.callback(mean.remove)
        for name, part in noted.items():
            if isinstance(part, nn.Identity):
                continue
            hook = part.register_forward_hook(lambda _, x, y, name=name: note(name, y))
            undo.callback(hook.remove)
        note("output", mbconv(x))
    return shapes
