"""Windows read exactly what PyTorch's modules read, measured by derivatives."""

import pytest
import torch
from helpers import few, noise
from hypothesis import given, strategies as st
from torch import nn

from minimaxvit.layers import Conv3x3
from minimaxvit.seeing.measure.windows import strides, window_keys


def check_window(module, h, w):
    x = noise(1, 1, h, w)
    jacobian = torch.autograd.functional.jacobian(module, x)[0, 0]  # (h', w', 1, 1, h, w)
    keys = window_keys(module, h, w)
    assert keys.shape[:2] == jacobian.shape[:2]
    reads = torch.zeros(keys.shape[0] * keys.shape[1], h * w + 1, dtype=torch.bool)
    reads.scatter_(1, keys.flatten(0, 1) % (h * w + 1), True)  # the last is what -1 stands for
    assert torch.equal(reads[:, :-1], jacobian.flatten(0, 1).flatten(1) != 0)


side = st.integers(1, 9)
pair = st.tuples(st.integers(1, 4), st.integers(1, 4))


@few
@given(side, side, pair, pair, pair, pair)
def test_a_convolution_reads_its_windows(h, w, kernel, stride, padding, dilation):
    if h + 2 * padding[0] <= dilation[0] * (kernel[0] - 1) or w + 2 * padding[1] <= dilation[1] * (
        kernel[1] - 1
    ):
        return  # the window does not fit
    module = nn.Conv2d(1, 1, kernel, stride, padding, dilation).double()
    nn.init.uniform_(module.weight, 0.5, 1)
    check_window(module, h, w)


@few
@given(side, side, pair, st.sampled_from(["same", "valid"]))
def test_padding_may_have_a_name(h, w, kernel, padding):
    if padding == "valid" and (h < kernel[0] or w < kernel[1]):
        return
    module = nn.Conv2d(1, 1, kernel, padding=padding).double()
    nn.init.uniform_(module.weight, 0.5, 1)
    check_window(module, h, w)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("h, w", [(5, 6), (4, 4)])
def test_padding_may_repeat_the_map(mode, h, w):
    module = nn.Conv2d(1, 1, 3, 2, 1, padding_mode=mode).double()
    nn.init.uniform_(module.weight, 0.5, 1)
    check_window(module, h, w)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("h, w", [(5, 6), (4, 4), (1, 2)])
def test_the_official_convolution_pads_as_tensorflow(stride, h, w):
    module = Conv3x3(1, 1, stride).double()
    nn.init.uniform_(module.weight, 0.5, 1)
    check_window(module, h, w)


@few
@given(side, side, st.integers(1, 4), st.integers(1, 4), st.integers(0, 2), st.booleans())
def test_a_pool_may_round_up(h, w, kernel, stride, padding, ceil_mode):
    if padding > kernel // 2 or min(h, w) + 2 * padding < kernel:
        return
    check_window(nn.AvgPool2d(kernel, stride, padding, ceil_mode), h, w)


def test_a_pool_may_leave_its_stride_to_its_kernel():
    pool = nn.LPPool2d(2, 3)
    x = noise(1, 1, 7, 6).abs().requires_grad_()
    assert strides(pool) == (3, 3) and window_keys(pool, 7, 6).shape[:2] == pool(x).shape[2:]


def test_what_has_no_window_is_named():
    for module in (nn.Linear(2, 2), nn.ConvTranspose2d(1, 1, 2)):
        with pytest.raises(TypeError, match=f"{type(module).__name__} has no window"):
            window_keys(module, 4, 4)
