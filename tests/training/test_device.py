"""Device settings: chosen or given; threads with parts of a batch come to what one would."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
import training_helpers
from helpers import randomize

from minimaxvit import MaxViT
from minimaxvit.training.device import (
    DataParallelGradients,
    DeviceSettings,
    choose_device,
    keep_strided_depthwise_in_fp32,
)

SMALL = replace(training_helpers.SMALL, drop_path=0.0)  # what drops depends on the thread


def batch(size, side=16):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size, 3, side, side, generator=generator)
    return images, torch.randint(10, (size,), generator=generator)


def on_cpu(workers, bf16=False):
    return DeviceSettings("cpu", bf16, workers=workers)


def test_the_device_is_chosen_and_can_be_overridden():
    device = choose_device("cpu", bf16=False)
    assert (device.name, device.bf16, device.compile) == ("cpu", False, False)
    assert device.workers == min(4, torch.get_num_threads())
    assert choose_device("cpu", compile=True).workers == 1
    assert choose_device().name == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("size", [8, 7, 2])
def test_parts_add_up_to_the_gradient_of_the_mean(size):
    """In evaluation, where batch norm does not couple images, parts must not matter at all."""
    torch.manual_seed(0)
    model = randomize(MaxViT(SMALL)).double()
    images, labels = batch(size)
    with DataParallelGradients(model, on_cpu(workers=3)) as gradients:
        for each in gradients.models:
            each.eval()
        loss, logits = gradients(F.cross_entropy, images.double(), labels)
    shared = [weight.grad for weight in model.parameters()]
    expected_logits = model.eval()(images.double())
    expected_loss = F.cross_entropy(expected_logits, labels)
    expected = torch.autograd.grad(expected_loss, list(model.parameters()))
    torch.testing.assert_close(logits, expected_logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(loss.double(), expected_loss, rtol=0, atol=1e-5)
    for ours, theirs in zip(shared, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_parts_see_the_same_weights_and_keep_their_own_statistics():
    gradients = DataParallelGradients(MaxViT(SMALL), on_cpu(workers=2))
    first, second = gradients.models
    for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert ours is theirs
    for ours, theirs in zip(first.buffers(), second.buffers(), strict=True):
        assert ours is not theirs
    assert first.training and second.training


@pytest.mark.parametrize("drop_path", [0.0, 0.5])
def test_a_batch_gives_the_same_gradient_every_time(drop_path):
    torch.manual_seed(0)
    model = MaxViT(replace(SMALL, depths=(3,), drop_path=drop_path))
    images, labels = batch(8)
    with DataParallelGradients(model, on_cpu(workers=2)) as gradients:
        seen = []
        for _ in range(6):
            torch.manual_seed(1)
            gradients(F.cross_entropy, images, labels)
            seen.append([weight.grad.clone() for weight in model.parameters()])
    for again in seen[1:]:
        assert all(torch.equal(a, b) for a, b in zip(seen[0], again, strict=True))


def test_frozen_weights_get_no_gradient():
    model = MaxViT(SMALL)
    model.stem.conv1.weight.requires_grad_(False)
    with DataParallelGradients(model, on_cpu(workers=2)) as gradients:
        gradients(F.cross_entropy, *batch(4))
    assert model.stem.conv1.weight.grad is None and model.stem.conv2.weight.grad is not None


def test_an_error_in_a_part_reaches_the_caller_and_threads_are_restored():
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="not divisible"):
        with DataParallelGradients(MaxViT(SMALL), on_cpu(workers=2)) as gradients:
            gradients(F.cross_entropy, *batch(4, side=20))
    assert torch.get_num_threads() == before


def test_strided_depthwise_convolutions_stay_in_fp32_on_a_cpu():
    model = MaxViT(SMALL)
    keep_strided_depthwise_in_fp32(model)
    types = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(
                lambda _, __, out, name=name: types.update({name: out.dtype})
            )
    with torch.autocast("cpu", torch.bfloat16):
        model(torch.zeros(2, 3, 32, 32))
    assert types.pop("stages.0.0.parts.0.depthwise") == torch.float32
    assert len(types) > 5 and set(types.values()) == {torch.bfloat16}
