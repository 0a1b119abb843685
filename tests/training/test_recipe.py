"""A run follows its recipe, by what its network is fed and what its optimizers are handed.

Nothing here reaches into the loop: hooks of torch tell what goes through it.
"""

import copy
import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.optim.swa_utils import update_bn
from training_helpers import SMALL

from minimaxvit import MaxViT, load
from minimaxvit.datasets.labeled_images import LabeledImages
from minimaxvit.training.device import DeviceSettings
from minimaxvit.training.recipe import Recipe
from minimaxvit.training.run import WEIGHTS, fit, hold_out

PLAIN = Recipe(
    epochs=2, batch_size=16, val_size=0, translate=0, cutout=0
)  # each test adds its part
COUNT, HELD_OUT = 96, 16
WHITE, GREY = 255, 128
ROW, COLUMN, SIDE = 8, 3, 16  # of the white dot, and of the pictures
SMOOTHING = 0.3


def dotted(count, first=0):
    """Pictures that tell what became of them: each as bright as its number, with one white dot."""
    number = torch.arange(first, first + count)
    images = number.byte().view(-1, 1, 1, 1).repeat(1, 3, SIDE, SIDE)
    images[:, :, ROW, COLUMN] = WHITE
    return LabeledImages(images, number % 10, tuple("abcdefghij"), "dots")


class Watched:
    """A run of `fit` with all that its network and its optimizers saw on the way.

    `steps` are the steps of training, in which `weights` are those after it. `evaluated`
    and `surveyed` are what else a network was fed: to evaluate it, and for its batch statistics.
    """

    def __init__(self, folder, recipe, bf16=False):
        self.steps, self.evaluated, self.surveyed = [], [], []
        self.training, self.test = dotted(COUNT), dotted(8, first=COUNT)
        with (
            register_module_forward_hook(self._forward),
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
        ):
            machine = DeviceSettings("cpu", bf16)
            self.record = fit(SMALL, self.training, self.test, recipe, folder, machine)
        self.kept = load(folder / WEIGHTS)

    def _forward(self, model, inputs, logits):
        if not isinstance(model, MaxViT):
            return
        images = ((inputs[0] + 1) * 127.5).round().byte()
        seen = SimpleNamespace(model=model, training=model.training, images=images)
        seen.logits, seen.weights = logits.detach(), copies(model)
        if logits.requires_grad:
            seen.rates, seen.gradients = {}, {}
            logits.register_hook(lambda gradient: setattr(seen, "logits_gradient", gradient))
            self.steps.append(seen)
        else:
            (self.surveyed if model.training else self.evaluated).append(seen)

    def _before_step(self, optimizer, *_):
        step, groups = self.steps[-1], optimizer.param_groups
        step.rates[type(optimizer).__name__] = sorted({group["lr"] for group in groups})
        names = {weight: name for name, weight in step.model.named_parameters()}
        for weight in (weight for group in groups for weight in group["params"]):
            step.gradients[names[weight]] = weight.grad.clone()

    def _after_step(self, *_):
        self.steps[-1].weights = copies(self.steps[-1].model)  # the last optimizer's stay

    def epochs(self):
        """Give the pictures of each epoch as they were fed."""
        return torch.cat([step.images for step in self.steps]).split(COUNT)


def copies(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def numbers(images):
    """Tell from its brightness which picture each was."""
    return images.amin((1, 2, 3)).long()


def dots(images):
    """Find the white dot of each picture: its rows, its columns, and where it is mirrored.

    The columns are those before it was mirrored.
    """
    picture, row, column = (images[:, 0] == WHITE).nonzero().T
    assert torch.equal(picture, torch.arange(len(images))), "a picture has not just one dot"
    flipped = column >= SIDE // 2
    return row, torch.where(flipped, SIDE - 1 - column, column), flipped


def share_changed(values, epochs):
    """Tell how much differs between two epochs, in the order fed and picture by picture."""
    (first, second), (order, another) = values, (numbers(epoch).argsort() for epoch in epochs)
    by_picture = first[order] != second[another]
    return min((first != second).float().mean(), by_picture.float().mean())


def test_each_epoch_shows_every_image_once_in_an_order_of_its_own(tmp_path):
    run = Watched(tmp_path, PLAIN)
    assert {len(step.images) for step in run.steps} == {PLAIN.batch_size}
    first, second = map(numbers, run.epochs())
    sorted_ = torch.arange(COUNT)
    assert torch.equal(first.sort().values, sorted_) and torch.equal(second.sort().values, sorted_)
    for one, another in (first, second), (first, sorted_), (second, sorted_):
        assert (one == another).float().mean() < 0.1


def test_each_image_is_flipped_in_every_other_epoch(tmp_path):
    flipped = []
    for epoch in Watched(tmp_path, replace(PLAIN, epochs=3)).epochs():
        flipped.append(dots(epoch)[2][numbers(epoch).argsort()])
    assert 0.3 < flipped[0].float().mean() < 0.7
    assert torch.equal(flipped[1], ~flipped[0]) and torch.equal(flipped[2], flipped[0])


def test_a_random_flip_draws_anew_in_each_epoch(tmp_path):
    flipped = []
    for epoch in Watched(tmp_path, replace(PLAIN, epochs=3, alternating_flip=False)).epochs():
        flipped.append(dots(epoch)[2][numbers(epoch).argsort()])
    for first, second in itertools.combinations(flipped, 2):
        assert 0.3 < (first ^ second).float().mean() < 0.7  # 1 if they alternated, 0 if they stayed


def test_each_image_is_translated_at_random_and_anew_in_each_epoch(tmp_path):
    epochs = Watched(tmp_path, replace(PLAIN, translate=2)).epochs()
    rows, columns, _ = zip(*map(dots, epochs), strict=True)
    for places, start in (rows, ROW), (columns, COLUMN):
        for of_epoch in places:
            assert set(of_epoch.tolist()) == {start + by for by in range(-2, 3)}
        assert share_changed(places, epochs) > 0.6  # four in five by chance


def test_each_image_is_cut_out_at_random_and_anew_in_each_epoch(tmp_path):
    epochs = Watched(tmp_path, replace(PLAIN, cutout=6)).epochs()
    holes = [epoch[:, 0] == GREY for epoch in epochs]
    edges = list(range(SIDE - 6 + 1))
    for axis in 1, 2:
        extents = [cutout.any(axis) for cutout in holes]
        assert all((extent.sum(1) == 6).all() for extent in extents)
        starts = [extent.byte().argmax(1) for extent in extents]
        assert all(start.unique().tolist() == edges for start in starts)
        assert share_changed(starts, epochs) > 0.75  # ten in eleven by chance


def test_images_for_evaluation_are_not_augmented(tmp_path):
    run = Watched(tmp_path, replace(PLAIN, val_size=HELD_OUT, translate=2, cutout=6))
    *held_out, test, flipped = [seen.images for seen in run.evaluated]
    assert len(held_out) == PLAIN.epochs
    _, expected = hold_out(run.training, HELD_OUT, seed=0)
    assert all(torch.equal(images, expected.images) for images in held_out)
    assert torch.equal(test, run.test.images) and torch.equal(flipped, run.test.images.flip(3))


def test_held_out_images_are_never_trained_on(tmp_path):
    run = Watched(tmp_path, replace(PLAIN, val_size=HELD_OUT))
    learned_from = torch.cat([numbers(seen.images) for seen in run.steps + run.surveyed])
    held_out = numbers(run.evaluated[0].images)
    assert len(held_out) == HELD_OUT
    assert sorted(learned_from.unique().tolist() + held_out.tolist()) == list(range(COUNT))


def test_the_seed_decides_weights_order_and_augmentation(tmp_path):
    def run(folder, seed):
        return Watched(tmp_path / folder, replace(PLAIN, epochs=1, translate=2, seed=seed))

    one, again, other = run("one", 3), run("again", 3), run("other", 4)
    for step, same in zip(one.steps, again.steps, strict=True):
        assert torch.equal(step.images, same.images) and torch.equal(step.logits, same.logits)
    epochs = [*one.epochs(), *other.epochs()]
    assert (numbers(epochs[0]) != numbers(epochs[1])).float().mean() > 0.9
    rows, _, flipped = zip(*map(dots, epochs), strict=True)
    assert share_changed(rows, epochs) > 0.6 and share_changed(flipped, epochs) > 0.3
    weight, another = (copies(run.kept)["head.hidden.weight"] for run in (one, other))
    assert (weight - another).std() > 0.02  # 0.028 where they are independent


def test_both_optimizers_step_at_rates_that_rise_along_a_line_and_fall_to_nothing(tmp_path):
    recipe = replace(PLAIN, steps=10, warmup=0.2, muon_lr=0.04, adamw_lr=0.008)
    shares = [1 / 2, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]
    for step, share in zip(Watched(tmp_path, recipe).steps, shares, strict=True):
        muon, adam = [pytest.approx(0.04 * share)], [pytest.approx(0.008 * share)]
        assert step.rates == {"Muon": muon, "AdamW": adam}


def test_optimizers_are_handed_a_gradient_that_was_clipped_as_a_whole(tmp_path):
    def gradients(grad_clip):
        return (
            Watched(tmp_path / str(grad_clip), replace(PLAIN, steps=1, grad_clip=grad_clip))
            .steps[0]
            .gradients
        )

    free = gradients(1e9)
    norm = torch.stack([gradient.norm() for gradient in free.values()]).norm().item()
    for share in (2, 0.5, 0.01):
        for name, gradient in gradients(share * norm).items():
            expected = min(1, share) * free[name]
            torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-8, msg=name)


def log_probabilities(step):
    """Log probability of each class in float32, whatever the network computed in, and labels."""
    return step.logits.float().log_softmax(1), numbers(step.images) % 10


def smoothed_loss(step):
    log_p, labels = log_probabilities(step)
    right = log_p.gather(1, labels[:, None]).mean()
    return -((1 - SMOOTHING) * right + SMOOTHING * log_p.mean()).item()


def test_the_recorded_loss_smooths_labels(tmp_path):
    run = Watched(tmp_path, replace(PLAIN, label_smoothing=SMOOTHING))
    losses = torch.tensor([smoothed_loss(step) for step in run.steps])
    expected = losses.view(PLAIN.epochs, -1).mean(1).tolist()
    assert [epoch["loss"] for epoch in run.record["history"]] == pytest.approx(expected, abs=1e-5)


def test_the_gradient_is_that_of_smoothed_labels(tmp_path):
    for step in Watched(tmp_path, replace(PLAIN, steps=3, label_smoothing=SMOOTHING)).steps:
        log_p, labels = log_probabilities(step)
        target = (1 - SMOOTHING) * torch.nn.functional.one_hot(labels, 10) + SMOOTHING / 10
        expected = (log_p.exp() - target) / len(labels)
        torch.testing.assert_close(step.logits_gradient, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("bf16", [False, True])
def test_the_network_trains_in_the_precision_of_the_device_settings(bf16, tmp_path):
    step = Watched(tmp_path, replace(PLAIN, steps=1), bf16).steps[0]
    assert step.logits.dtype == (torch.bfloat16 if bf16 else torch.float32)
    assert {gradient.dtype for gradient in step.gradients.values()} == {torch.float32}


def test_the_loss_is_computed_in_float32_even_where_the_network_computes_in_bf16(tmp_path):
    run = Watched(tmp_path, replace(PLAIN, steps=1, label_smoothing=SMOOTHING), bf16=True)
    expected = smoothed_loss(run.steps[0])
    rounded = torch.tensor(expected).bfloat16().item()
    assert abs(rounded - expected) > 1e-3, "rounding to bf16 would not be seen"
    assert run.record["history"][0]["loss"] == pytest.approx(expected, abs=1e-5)


def test_the_network_is_in_training_mode_at_every_step(tmp_path):
    steps = Watched(tmp_path, replace(PLAIN, val_size=HELD_OUT)).steps
    assert all(step.training for step in steps)


def average(steps, averaged):
    """Average the weights after each step, as over the `averaged` last of them."""
    result = steps[0].weights
    for step in steps[1:]:
        result = {name: old.lerp(step.weights[name], 1 / averaged) for name, old in result.items()}
    return result


def alike(weights, expected):
    near = {"rtol": 1e-5, "atol": 1e-6}
    return all(torch.allclose(weight, expected[name], **near) for name, weight in weights.items())


def test_the_weights_kept_are_averaged_over_a_fraction_of_the_run(tmp_path):
    run = Watched(tmp_path, replace(PLAIN, steps=8, ema=0.5))
    assert alike(copies(run.kept), average(run.steps, 4))
    assert not alike(copies(run.kept), run.steps[-1].weights)


def test_held_out_and_test_images_are_evaluated_with_the_averaged_network(tmp_path):
    run = Watched(tmp_path, replace(PLAIN, steps=8, val_size=HELD_OUT, ema=0.5))
    after_epoch, after_run, *test = [seen.weights for seen in run.evaluated]
    assert alike(after_epoch, average(run.steps[:5], 4))
    assert all(alike(weights, average(run.steps, 4)) for weights in [after_run, *test])


def test_the_network_kept_has_batch_statistics_of_its_own_weights(tmp_path):
    recipe = replace(PLAIN, val_size=HELD_OUT, ema=0.5, translate=2, cutout=6)
    run = Watched(tmp_path, recipe)
    again = copy.deepcopy(run.kept)
    left, _ = hold_out(run.training, HELD_OUT, seed=0)
    update_bn([left.images / 127.5 - 1], again)  # pictures as they are
    statistics = dict(run.kept.named_buffers())
    assert any(name.endswith("running_var") for name in statistics)
    for name, buffer in statistics.items():
        torch.testing.assert_close(buffer, again.get_buffer(name), msg=name)
