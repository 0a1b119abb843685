"""Shorter ways on a CPU to what the formulas say, by operators that torch.compile uses, too.

Without gradients nothing has to be kept between a layer and its GELU, so oneDNN can apply the one
while the results of the other are still in the cache, and batch norms disappear into weights. In
training, oneDNN's tanh is faster than PyTorch's, and one kind of gradient is slow in bf16. The
numbers are the same but for rounding; wherever anything else is going on (a GPU, float64, hooks,
counting, exporting), the formula runs.
"""

from functools import wraps

import torch
import torch.nn.functional as F
from einops import rearrange
from torch.autograd import forward_ad
from torch.nn.modules import module as torch_modules
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

# The classes whose work is done here. What replaces one of them, such as an adapter, is left alone.
KNOWN = {
    *("torch.nn.modules.linear.Linear", "torch.nn.modules.conv.Conv2d"),
    *("torch.nn.modules.batchnorm.BatchNorm2d", "minimaxvit.layers.Conv3x3"),
}
WORTHWHILE = 10_000  # numbers: fewer cost more to look at than to compute


def faster(evaluate, *names):
    """Let `evaluate(module, x)` stand in for a module's forward wherever it gives the same numbers.

    `names` are of those modules inside that it does not call but do the work of. It leaves no
    gradients, so where they are wanted the formula runs.
    """

    def decorate(forward):
        @wraps(forward)
        def choose(self, x):
            inner = [getattr(self, name) for name in names]
            learning = torch.is_grad_enabled() or any(m.training for m in [self, *inner])
            if learning or not _form(getattr(self, "activation", F.gelu)) or _watched(inner):
                return forward(self, x)
            return (
                evaluate(self, x) if _on_a_cpu(x, *(m.weight for m in inner)) else forward(self, x)
            )

        return choose

    return decorate


def faster_gelu(gelu):
    """Let oneDNN compute GELU's tanh form, which takes PyTorch's own operator twice as long."""

    @wraps(gelu)
    def choose(x):
        if _watched([]) or x.ndim < 2 or x.numel() <= WORTHWHILE:
            return gelu(x)
        dense = x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)
        return TanhGELU.apply(x) if dense and _on_a_cpu(x) else gelu(x)

    return choose


class TanhGELU(torch.autograd.Function):
    """GELU behind a depthwise convolution that does nothing."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        tokens = x if x.is_contiguous() else x.permute(0, 2, 3, 1)
        c = tokens.shape[-1]
        row = tokens.reshape(1, 1, -1, c).permute(0, 3, 1, 2)  # (1, c, 1, number of tokens)
        same, where = torch.ones(c, 1, 1, 1, dtype=x.dtype), ((0, 0), (1, 1), (1, 1), c)
        y = torch.ops.mkldnn._convolution_pointwise(row, same, None, *where, "gelu", [], "tanh")
        y = y.permute(0, 2, 3, 1).reshape(tokens.shape)
        return y if x.is_contiguous() else y.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return torch.ops.aten.gelu_backward(gradient, x, approximate="tanh")


def strided_depthwise_in_fp32(forward):
    """Exclude these convolutions from autocast: on a CPU their gradient is very slow in bf16."""

    @wraps(forward)
    def choose(self, x):
        if self.groups == 1 or self.stride == (1, 1) or x.device.type != "cpu":
            return forward(self, x)
        with torch.autocast("cpu", enabled=False):
            return forward(self, x.to(self.weight.dtype))

    return choose


def relative_attention(self, x):
    """Compute what `RelativeAttention.forward` says."""
    (x,) = _cast(x)  # once for all three
    projected, d = (self.query(x), self.key(x), self.value(x)), self.head_dim
    query, key, value = (rearrange(y, "b n t (heads d) -> (b n) heads t d", d=d) for y in projected)
    bias = self.bias()[None].to(query.dtype)  # (1, heads, t, t): with three axes it would be slow
    out = F.scaled_dot_product_attention(query, key, value, bias)
    return self.output(rearrange(out, "(b n) heads t d -> b n t (heads d)", n=x.shape[1]))


def feed_forward(self, x):
    """Compute what `FeedForward.forward` says."""
    x, weight, bias = _cast(x, self.expand.weight, self.expand.bias)
    form = _form(self.activation)
    return self.shrink(torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu", [], form))


def mbconv(self, x):
    """Compute what `MBConv.forward` says, where stochastic depth skips nothing."""
    y = _conv_norm_gelu(self.norm(x), self.expand, self.expand_norm, self.activation)
    if self.depthwise.stride == (2, 2):
        h, w = y.shape[2:]
        y = F.pad(y, (w % 2, 1, h % 2, 1))  # as Conv3x3 does
    y = _conv_norm_gelu(y, self.depthwise, self.depthwise_norm, self.activation)
    return self.shortcut(x) + self.shrink(self.squeeze_excite(y))


def _conv_norm_gelu(x, conv, norm, activation):
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    weight, bias = conv.weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale
    x, weight, bias = _cast(x, weight, bias)
    where, form = (conv.padding, conv.stride, conv.dilation, conv.groups), _form(activation)
    return torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *where, "gelu", [], form)


def _cast(*tensors):
    if not torch.is_autocast_enabled("cpu"):
        return tensors
    return [tensor.to(torch.get_autocast_dtype("cpu")) for tensor in tensors]


def _form(activation):
    """Tell which form of GELU an activation is, in oneDNN's words; None for another function."""
    if activation is F.gelu:
        return "none"
    origin = [getattr(activation, name, None) for name in ("__module__", "__qualname__")]
    return "tanh" if origin == ["minimaxvit.layers", "gelu"] else None


def _on_a_cpu(*tensors):
    """Whether oneDNN is there and computes with these, in fp32 or in bf16."""
    types = {tensor.dtype for tensor in tensors}
    if torch.is_autocast_enabled("cpu") and types <= {torch.float32, torch.bfloat16}:
        types = {torch.get_autocast_dtype("cpu")}
    return (
        all(tensor.device.type == "cpu" for tensor in tensors)
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and (
            types == {torch.float32}
            or (types == {torch.bfloat16} and torch.ops.mkldnn._is_mkldnn_bf16_supported())
        )
    )


def _watched(inner):
    """Whether anything would miss what the modules inside do, or expects them to be others."""
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or is_in_torch_dispatch_mode()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
        or torch_modules._global_forward_hooks
        or torch_modules._global_forward_pre_hooks
        or any(map(_changed, inner))
    )


def _changed(module):
    kind = type(module)
    return (
        f"{kind.__module__}.{kind.__qualname__}" not in KNOWN
        or module._forward_hooks
        or module._forward_pre_hooks
        or "forward" in vars(module)
        or getattr(module, "padding_mode", "zeros") != "zeros"
        or getattr(module, "running_mean", module.weight) is None
    )
