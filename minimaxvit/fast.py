"""Evaluation on a CPU, where oneDNN does in one pass what the formulas say in several.

Without gradients nothing has to be kept between a layer and its GELU, so oneDNN can apply the one
while the results of the other are still in the cache, and batch norms disappear into weights. The
numbers are the same but for rounding, and the operators those that torch.compile chooses. Wherever
anything else is going on (training, a GPU, hooks, counting, exporting), the formula runs.
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


def faster(quick, *names):
    """Let `quick(module, x)` stand in for a module's forward wherever it gives the same numbers.

    `names` are of those modules inside that it does not call but do the work of.
    """

    def decorate(forward):
        @wraps(forward)
        def choose(self, x):
            inner = [getattr(self, name) for name in names]
            if _evaluating_on_a_cpu(self, x, inner) and not _watched(inner):
                return quick(self, x)
            return forward(self, x)

        return choose

    return decorate


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


def _evaluating_on_a_cpu(self, x, inner):
    types = {x.dtype, *(module.weight.dtype for module in inner)}
    if torch.is_autocast_enabled("cpu") and types <= {torch.float32, torch.bfloat16}:
        types = {torch.get_autocast_dtype("cpu")}
    return (
        x.device.type == "cpu"
        and not torch.is_grad_enabled()
        and not self.training
        and not any(module.training for module in inner)
        and (not hasattr(self, "activation") or _form(self.activation) is not None)
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
