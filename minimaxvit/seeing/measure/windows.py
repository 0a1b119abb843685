"""Which tokens the windows of a convolution or a pool read, however the module pads and strides."""

from math import ceil

import torch
import torch.nn.functional as F
from torch import nn

from ...layers import Conv3x3


def window_keys(module, h, w):
    """Which tokens of a map each window of a convolution or pool reads: long (h', w', s), -1 none.

    It is the module's own padding, carried out on the numbers of the tokens; `Conv3x3` pads as
    TensorFlow's 'SAME' and pools may round up. TypeError for a module that has no window.
    """
    if not hasattr(module, "kernel_size") or isinstance(module, nn.ConvTranspose2d):
        raise TypeError(f"{type(module).__name__} has no window, so Taps cannot say what it reads")
    kernel, stride = _pair(module.kernel_size), strides(module)
    dilation = _pair(getattr(module, "dilation", 1))
    wide = [dilation[axis] * (kernel[axis] - 1) + 1 for axis in (0, 1)]
    numbers = torch.arange(h * w, dtype=torch.float64).view(1, 1, h, w)
    above, below, left, right = _padding(module, (h, w), wide, stride)
    mode = getattr(module, "padding_mode", "zeros")
    fill = {"value": -1} if mode == "zeros" else {"mode": mode}
    padded = F.pad(numbers, (left, right, above, below), **fill)
    rows, columns = ((padded.shape[2 + i] - wide[i]) // stride[i] + 1 for i in (0, 1))
    windows = F.unfold(padded, kernel, dilation, stride=stride)  # (1, s, h' * w')
    return windows[0].T.long().view(rows, columns, -1)


def strides(module):
    """How many tokens apart the windows of a module are, on rows and on columns."""
    return _pair(module.stride or module.kernel_size)


def _padding(module, size, wide, stride):
    """Rows and columns that a module adds to its map: above, below, left, right."""
    if isinstance(module, Conv3x3) and stride == (2, 2):
        return size[0] % 2, 1, size[1] % 2, 1
    added, padding = [], getattr(module, "padding", 0)
    for axis, side in enumerate(size):
        if padding == "same":
            pad, end = (wide[axis] - 1) // 2, wide[axis] // 2
        else:
            pad = end = 0 if padding == "valid" else _pair(padding)[axis]
        if getattr(module, "ceil_mode", False):
            windows = ceil((side + 2 * pad - wide[axis]) / stride[axis]) + 1
            if (windows - 1) * stride[axis] >= side + pad:
                windows -= 1  # no window begins beyond the map
            end = (windows - 1) * stride[axis] + wide[axis] - side - pad
        added += [pad, end]
    return added


def _pair(value):
    return tuple(value) if isinstance(value, tuple | list) else (value, value)
