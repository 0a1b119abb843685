"""Evaluation on a CPU takes a shorter way to the same numbers, where nobody would notice."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import noise, randomize
from torch import nn
from torch.autograd import forward_ad
from torch.nn.modules.module import register_module_forward_hook
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
    expected = model(images).detach()
    assert taken == []
    with torch.inference_mode():
        logits = model(images)
    assert taken
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@pytest.mark.skipif(not has_bf16, reason="there is no GPU, and this CPU does not compute in bf16")
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


def test_a_network_that_was_evaluated_still_learns():
    module, x = part("MBConv")
    with torch.inference_mode():
        module(x)
    module.train()(x).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
