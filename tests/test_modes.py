"""A model is left as it was found, and found inside its wrapping."""

import pytest
import torch
from torch import nn
from training_helpers import SMALL, few_shapes

from minimaxvit import MaxViT
from minimaxvit.modes import evaluating, keeping_modes, unwrapped
from minimaxvit.seeing import effective_field, record_attention, rollout, trace
from minimaxvit.training import evaluate, predict
from minimaxvit.training.device import DataParallelGradients, DeviceSettings
from minimaxvit.training.statistics import take_statistics

PICTURES, _ = few_shapes(20)
LAYER = "1.1 BlockAttention"


def mixed():
    """A network that trains, but for one norm that somebody froze."""
    model = MaxViT(SMALL).train()
    model.stem.norm.eval()
    return model


def modes(model):
    return {name: module.training for name, module in model.named_modules()}


class Broken(MaxViT):
    def forward(self, images):
        raise RuntimeError("broken")


@pytest.mark.parametrize("context", [keeping_modes, evaluating])
def test_each_module_gets_its_own_mode_back_also_after_an_exception(context):
    model = mixed()
    before = modes(model)
    with pytest.raises(RuntimeError), context(model):
        model.eval()
        raise RuntimeError
    assert modes(model) == before


def gradients(model):
    with DataParallelGradients(model, DeviceSettings("cpu", bf16=True, workers=2)) as compute:
        compute(nn.functional.cross_entropy, torch.zeros(4, 3, 32, 32), torch.zeros(4).long())


USES = {
    "evaluate": lambda model: evaluate(model, PICTURES),
    "predict": lambda model: predict(model, PICTURES, flip=True),
    "take_statistics": lambda model: take_statistics(model, PICTURES.images),
    "effective_field": lambda model: effective_field(model, PICTURES.images[:2], LAYER, (0, 0)),
    "rollout": lambda model: rollout(model, PICTURES.images[:2]),
    "gradients": gradients,
}


@pytest.mark.parametrize("kind", [MaxViT, Broken])
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_uses_a_model_leaves_modes_forwards_threads_and_random_state(use, kind):
    model = mixed()
    model.__class__ = kind
    before, threads, state = modes(model), torch.get_num_threads(), torch.get_rng_state()
    momenta = [norm.momentum for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)]
    try:
        use(model)
    except RuntimeError as error:
        assert str(error) == "broken"
    assert modes(model) == before and torch.get_num_threads() == threads
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert not [name for name, module in model.named_modules() if "forward" in vars(module)]
    after = [norm.momentum for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)]
    assert after == momenta
    if use is not gradients:  # which drops paths at random
        assert torch.equal(torch.get_rng_state(), state)


def test_looking_at_the_accuracy_does_not_stop_training():
    model = MaxViT(SMALL).train()
    for _ in range(2):
        evaluate(model, PICTURES)
        assert model.training and model.stem.norm.training


def wrappings(model):
    compiled = torch.compile(model, backend="eager")
    return compiled, nn.DataParallel(model), nn.DataParallel(compiled)


def test_a_model_is_found_inside_whatever_is_around_it():
    model = MaxViT(SMALL)
    assert [unwrapped(each) is model for each in (model, *wrappings(model))] == 4 * [True]


def test_what_looks_at_a_network_looks_through_its_wrapping():
    torch.manual_seed(0)
    model = MaxViT(SMALL).eval()
    looks = [
        lambda each: rollout(each, PICTURES.images[:2]),
        lambda each: effective_field(each, PICTURES.images[:2], LAYER, (1, 1)),
        lambda each: trace(each, 32, 32, LAYER, (1, 1))["pixels"],
    ]
    for look in looks:
        expected = look(model)
        for wrapped in wrappings(model):
            assert torch.equal(look(wrapped), expected)
    for wrapped in wrappings(model)[1:2]:
        with record_attention(wrapped) as maps, torch.no_grad():
            wrapped(torch.zeros(1, 3, 32, 32))
        assert LAYER in maps
