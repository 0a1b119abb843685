"""Evaluation on a CPU takes a shorter way to the same numbers, where nobody would notice."""

import copy
from contextlib import ExitStack
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, randomize
from torch import nn
from torch.autograd import forward_ad
from torch.nn.modules.module import register_module_forward_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from minimaxvit import CONFIGS, FeedForward, MaxViT, MBConv, RelativeAttention
from minimaxvit.layers import gelu

PARTS = {
    "MBConv": (lambda: MBConv(16, 16), (2, 16, 6, 6)),
    "MBConv that strides": (lambda: MBConv(16, 24, stride=2, drop_path=0.3), (2, 16, 6, 7)),
    "MBConv, exact GELU": (lambda: MBConv(16, 16, activation=F.gelu), (2, 16, 5, 6)),
    "feed-forward": (lambda: FeedForward(16), (2, 3, 5, 16)),
    "feed-forward, exact GELU": (lambda: FeedForward(16, 2, F.gelu), (2, 9, 16)),
    "attention": (lambda: RelativeAttention(64, 3), (2, 4, 9, 64)),
}
has_bf16 = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
needs_bf16 = pytest.mark.skipif(
    not has_bf16, reason="there is no GPU, and this CPU does not compute in bf16"
)


def part(name):
    build, shape = PARTS[name]
    module = randomize(build()).float()
    return module, noise(*shape).float()


@pytest.fixture
def taken(monkeypatch):
    """What took the shorter way, in order."""
    calls = []

    def watch(owner, name):
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args: calls.append(name) or real(*args))

    watch(torch.ops.mkldnn, "_linear_pointwise")
    watch(torch.ops.mkldnn, "_convolution_pointwise")
    watch(F, "scaled_dot_product_attention")
    return calls


@pytest.mark.parametrize("name", PARTS)
def test_it_is_the_formula_but_for_rounding(name, taken):
    module, x = part(name)
    expected = module(x).detach()  # with gradients the formula runs
    assert taken == []
    with torch.no_grad():
        torch.testing.assert_close(module(x), expected, rtol=1e-5, atol=1e-5)
    assert len(taken) == (2 if "MBConv" in name else 1)


@pytest.mark.parametrize("name", ["tiny", "compact", "hybrid"])
def test_whole_networks_agree(name, taken):
    config = CONFIGS[name]
    if name == "tiny":
        config = replace(config, dims=(32, 32, 64, 64), depths=(1, 1, 1, 1), stem_dim=16)
    model = randomize(MaxViT(config)).float()
    images = noise(2, 3, config.image_size, config.image_size).float()
    with torch.backends.mkldnn.flags(enabled=False):
        expected = model(images).detach()
    assert taken == []
    with torch.inference_mode():
        logits = model(images)
    assert taken
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@needs_bf16
@pytest.mark.parametrize("name", PARTS)
def test_in_bf16_it_is_as_exact_as_the_formula(name, taken):
    module, x = part(name)
    exact = module(x).detach()
    with torch.autocast("cpu", torch.bfloat16):
        formula = module(x).detach().float()
        assert taken == []
        with torch.no_grad():
            quick = module(x).float()
    assert taken
    off, allowed = ((each - exact).norm() for each in (quick, formula))
    assert off < 1.5 * allowed
    with torch.no_grad():
        half = copy.deepcopy(module).bfloat16()(x.bfloat16())
    assert half.dtype == torch.bfloat16
    assert (half - exact).norm() < 3 * allowed


class Tripled(nn.Linear):
    """An adapter: weights of the same form, and another use of them."""

    def forward(self, x):
        return 3 * super().forward(x)


class Tripling(nn.Conv2d):
    def forward(self, x):
        return 3 * super().forward(x)


def replaced(module):
    if hasattr(module, "depthwise"):
        old = module.expand
        module.expand = Tripling(old.in_channels, old.out_channels, 1, bias=False)
    else:
        name = "expand" if hasattr(module, "expand") else "value"
        old = getattr(module, name)
        setattr(module, name, Tripled(old.in_features, old.out_features))


def hooked(module):
    inner = getattr(module, "expand", None) or module.value
    inner.register_forward_hook(lambda _, inputs, output: 2 * output)


def hooked_before(module):
    inner = getattr(module, "expand", None) or module.value
    inner.register_forward_pre_hook(lambda _, inputs: (2 * inputs[0],))


def patched(module):
    inner = getattr(module, "expand", None) or module.value
    inner.forward = lambda x, real=inner.forward: 2 * real(x)


@pytest.mark.parametrize("change", [replaced, hooked, hooked_before, patched])
@pytest.mark.parametrize("name", ["MBConv", "feed-forward", "attention"])
def test_what_stands_in_for_a_layer_is_called(name, change, taken):
    module, x = part(name)
    plain = module(x).detach()
    change(module)
    expected = module(x).detach()
    assert (expected - plain).abs().max() > 1e-2
    with torch.no_grad():
        assert torch.equal(module(x), expected)
    assert taken == []


def test_a_convolution_or_norm_of_another_kind_is_called(taken):
    for change in ("circular", "no statistics", "another norm", "training"):
        module, x = part("MBConv")
        if change == "circular":
            module.depthwise.padding_mode = "circular"
            module.depthwise._reversed_padding_repeated_twice = [1, 1, 1, 1]
        if change == "no statistics":
            module.expand_norm = nn.BatchNorm2d(64, track_running_stats=False).eval()
        if change == "another norm":
            module.expand_norm = nn.GroupNorm(4, 64)
        if change == "training":
            module.depthwise_norm.train()
        expected = copy.deepcopy(module)(x).detach()
        with torch.no_grad():
            assert torch.equal(module(x), expected), change
    assert taken == []


@pytest.mark.parametrize("activation", [F.relu, nn.GELU(), lambda x: gelu(x)])
def test_another_activation_is_called(activation, taken):
    for module, shape in ((MBConv(16, 16), (1, 16, 4, 4)), (FeedForward(16), (1, 5, 16))):
        module.activation, x = activation, noise(*shape).float()
        expected = module.eval()(x).detach()
        with torch.no_grad():
            assert torch.equal(module(x), expected)
    assert taken == []


def test_training_and_double_precision_take_the_formula(taken):
    for name in PARTS:
        module, x = part(name)
        with torch.no_grad():
            module.train()(x)
            module.double().eval()(x.double())
    assert taken == []


def dual(module, x):
    with forward_ad.dual_level():
        turned = module(forward_ad.make_dual(x, torch.ones_like(x)))
        assert forward_ad.unpack_dual(turned).tangent is not None


def vmapped(module, x):
    torch.func.vmap(module)(x[:, None])


def jvp(module, x):
    torch.func.jvp(module, (x,), (torch.ones_like(x),))


def traced(module, x):
    torch.jit.trace(module, x, check_trace=False)


def exported(module, x):
    operators = {str(node.target) for node in torch.export.export(module, (x,)).graph.nodes}
    assert not any("mkldnn" in name or "scaled_dot" in name for name in operators)


def counted(module, x):
    with FlopCounterMode(display=False) as counter:
        module(x)
    with torch.enable_grad(), FlopCounterMode(display=False) as expected:
        module(x)
    assert counter.get_total_flops() == expected.get_total_flops() > 0


def watched(module, x):
    seen = []
    handle = register_module_forward_hook(lambda inner, *_: seen.append(type(inner)))
    try:
        module(x)
    finally:
        handle.remove()
    assert nn.Linear in seen or nn.Conv2d in seen


class Mode(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert "mkldnn" not in str(function)
        return function(*args, **(kwargs or {}))


def watched_by_a_mode(module, x):
    with Mode():
        module(x)


def without_onednn(module, x):
    with torch.backends.mkldnn.flags(enabled=False):
        module(x)


def in_float16(module, x):
    with torch.autocast("cpu", torch.float16):
        module(x)


def on_meta(module, x):
    copy.deepcopy(module).to("meta")(x.to("meta"))


WATCHED = [
    *(dual, vmapped, jvp, traced, exported, counted, watched),
    *(without_onednn, in_float16, on_meta),
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("use", WATCHED)
@pytest.mark.parametrize("name", ["MBConv that strides", "feed-forward", "attention"])
def test_whoever_watches_or_transforms_gets_the_formula(name, use, taken):
    module, x = part(name)
    with torch.no_grad():
        use(module, x)
        assert taken == []
        module(x)
    assert taken != []  # it was the use that made the difference


def large(*shape, layout=torch.contiguous_format):
    """Enough numbers for the shorter way, from -12 to 12."""
    return (4 * noise(*shape)).float().contiguous(memory_format=layout)


MAPS = {
    "tokens": large(2, 5, 49, 32),
    "rows": large(400, 32),
    "a map": large(2, 24, 17, 19, layout=torch.channels_last),
    "a map in another layout": large(2, 24, 17, 19),
}


def by_formula(x):
    return F.gelu(x, approximate="tanh")


@pytest.mark.parametrize("name", MAPS)
def test_gelu_and_its_gradients_are_the_formula_s(name, taken):
    x, gradient = MAPS[name], noise(*MAPS[name].shape, seed=2).float()
    results = []
    for function in (gelu, by_formula):
        leaf = x.clone().requires_grad_()  # keeps the layout
        y = function(leaf)
        (first,) = torch.autograd.grad(y, leaf, gradient, create_graph=True)
        (second,) = torch.autograd.grad((first * gradient).sum(), leaf)
        results.append((y.detach(), first.detach(), second))
        assert y.stride() == x.stride()
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    assert taken == ["_convolution_pointwise"]
    with torch.no_grad():
        torch.testing.assert_close(gelu(x), by_formula(x), rtol=1e-5, atol=1e-6)


def test_gelu_of_what_is_no_number_or_very_large():
    x = torch.tensor([float("nan"), float("inf"), 1e30, 0.0, -50.0]).repeat(4000, 1)
    torch.testing.assert_close(gelu(x), by_formula(x), equal_nan=True)


@pytest.mark.parametrize(
    "x",
    [
        large(400, 32).double(),
        large(400, 64)[:, ::2],
        large(20_000),
        large(30, 32),
        large(400, 32).half(),
        torch.empty(400, 32, device="meta"),
    ],
    ids=["double", "with gaps", "one axis", "few", "half", "meta"],
)
def test_other_numbers_take_the_formula_of_gelu(x, taken):
    if not x.is_meta:
        assert torch.equal(gelu(x), by_formula(x))
    gelu(x)
    assert taken == []


@pytest.mark.parametrize(
    "use", [dual, vmapped, jvp, traced, exported, watched_by_a_mode, without_onednn, in_float16]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_whoever_watches_gelu_gets_the_formula(use, taken):
    class Alone(nn.Module):
        def forward(self, x):
            return gelu(x)

    use(Alone(), large(400, 32))
    assert taken == []


@pytest.mark.parametrize("bf16", [False, pytest.param(True, marks=needs_bf16)])
@pytest.mark.parametrize("name", [*PARTS, "attention in training"])
def test_what_is_learned_is_the_formula_s(name, bf16):
    """With the shorter ways, gradients differ from exact ones no more than with the formulas."""
    module, x = part(name.removesuffix(" in training"))
    module.train("training" in name)
    x = x.repeat(8, *(x.ndim - 1) * [1])  # enough for gelu to take its shorter way

    def gradients(module, x, *contexts):
        module = copy.deepcopy(module)
        x = x.clone().requires_grad_()
        with ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context)
            y = module(x)
        y.double().square().sum().backward()
        return [x.grad.double(), *(p.grad.double() for p in module.parameters())]

    cast = torch.autocast("cpu", torch.bfloat16, enabled=bf16)
    exact = gradients(module.double(), x.double())
    ours = gradients(module.float(), x.float(), cast)
    formula = gradients(module, x.float(), cast, torch.backends.mkldnn.flags(enabled=False))
    for each, other, right in zip(ours, formula, exact, strict=True):
        size = right.norm()
        off, allowed = (each - right).norm(), (other - right).norm()
        assert off <= 2 * allowed + 1e-5 * size


@needs_bf16
def test_a_strided_depthwise_convolution_is_in_fp32_where_autocast_is_not(taken):
    module, x = part("MBConv that strides")
    seen = []
    module.depthwise_norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
    module.expand_norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        module.train()(x)
    assert seen == [torch.bfloat16, torch.float32]


def test_a_network_that_was_evaluated_still_learns():
    module, x = part("MBConv")
    with torch.inference_mode():
        module(x)
    module.train()(x).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
