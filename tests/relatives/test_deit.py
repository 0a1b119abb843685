"""DeiT is timm's, weight for weight, and its losses are those of the authors."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import measured_reads, noise, randomize, said_reads
from relatives.proofs import reads
from relatives.test_vit import timm_weights
from timm.models.deit import VisionTransformerDistilled
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.relatives import (
    DEIT,
    DistilledHead,
    DistilledPatchEmbedding,
    GlobalAttention,
    hard_distillation,
    predict_apart,
    soft_distillation,
)

SMALL = replace(DEIT, dims=(64,), depths=(2,), stem_dim=64, image_size=16, num_classes=5)
TOKENS = ("class_token", "class_position", "distillation_token", "distillation_position")


def randomized(module):
    """`randomize` knows no bare tokens and positions, which start so small that none is missed."""
    randomize(module)
    for name, parameter in module.named_parameters():
        if name.split(".")[-1] in ("positions", *TOKENS):
            nn.init.normal_(parameter)
    return module


def timm_network(ours):
    theirs = VisionTransformerDistilled(
        img_size=16, patch_size=4, num_classes=5, embed_dim=64, depth=2, num_heads=2, mlp_ratio=2
    )
    state, weights = ours.state_dict(), timm_weights(ours.state_dict(), depth=2)
    class_position, positions = weights["pos_embed"].split([1, 16], 1)
    distilled = state["stem.distillation_position"]
    weights["pos_embed"] = torch.cat([class_position, distilled, positions], 1)
    weights["dist_token"] = state["stem.distillation_token"]
    for kind in ("weight", "bias"):
        weights[f"head_dist.{kind}"] = state[f"head.classify_distilled.{kind}"]
    theirs.double().eval().load_state_dict(weights)
    return theirs


def same(found, expected):
    return torch.allclose(found, expected, rtol=0, atol=1e-9)


def test_the_network_is_that_of_timm():
    ours, images = randomized(MaxViT(SMALL)), noise(3, 3, 16, 16)
    assert same(ours(images), timm_network(ours)(images))


def test_the_two_predictions_are_those_that_timm_trains():
    ours, images = randomized(MaxViT(SMALL)), noise(3, 3, 16, 16)
    theirs = timm_network(ours)
    theirs.set_distilled_training()
    theirs.train()  # it has no dropout and no batch norm
    logits, distilled = predict_apart(ours, images)
    for found, expected in zip((logits, distilled), theirs(images), strict=True):
        assert same(found, expected)
    assert same((logits + distilled) / 2, ours(images))
    assert (logits - distilled).abs().max() > 1e-2


def test_the_network_is_its_steps_written_out():
    ours, images = randomized(MaxViT(SMALL)), noise(2, 3, 16, 16)
    stem, head = ours.stem, ours.head
    out = []
    for image in images:
        tokens = [
            torch.einsum("cij,ocij->o", image[:, i : i + 4, j : j + 4], stem.project.weight)
            + stem.project.bias
            + stem.positions[0, :, i // 4, j // 4]
            for i in range(0, 16, 4)
            for j in range(0, 16, 4)
        ]
        tokens.append((stem.class_token + stem.class_position)[0, 0])
        tokens.append((stem.distillation_token + stem.distillation_position)[0, 0])
        y = torch.stack(tokens)  # (16 + 2, c)
        for (layer,) in (block.parts for block in ours.stages[0]):
            z = layer.attention_norm(y)
            attention = layer.attention
            q, k, v = (f(z) for f in (attention.query, attention.key, attention.value))
            heads = [
                ((q[:, d] @ k[:, d].T) / 32**0.5).softmax(1) @ v[:, d]
                for d in (slice(0, 32), slice(32, 64))
            ]
            y = y + attention.output(torch.cat(heads, 1))
            y = y + layer.feed_forward(layer.feed_forward_norm(y))
        y = F.layer_norm(y, (64,), head.norm.weight, head.norm.bias, eps=1e-6)
        out.append((head.classify(y[16]) + head.classify_distilled(y[17])) / 2)
    assert same(ours(images), torch.stack(out))


def class_head_for_both(head, tokens):
    return head.classify(head.norm(tokens)).mean(1)


def class_token_alone(head, tokens):
    return head.classify(head.norm(tokens[:, 0]))


def tokens_exchanged(head, tokens):
    return head(tokens.flip(1))


WRONG_HEADS = (class_head_for_both, class_token_alone, tokens_exchanged)


@pytest.mark.parametrize("wrong", WRONG_HEADS, ids=lambda wrong: wrong.__name__)
def test_a_wrong_head_is_told_from_that_of_timm(wrong):
    ours, images = randomized(MaxViT(SMALL)), noise(3, 3, 16, 16)
    expected, head = timm_network(ours)(images), ours.head
    ours.head.run = lambda x, tokens: (wrong(head, tokens),)
    assert (ours(images) - expected).abs().max() > 1e-2


def predictions():
    """Logits of the class token, the distilled ones, labels, and the teacher's logits."""
    logits, distilled, teacher = (3 * noise(6, 5, seed=seed) for seed in (1, 2, 3))
    return logits, distilled, torch.tensor([0, 1, 2, 3, 4, 0]), teacher


def test_hard_distillation_is_that_of_the_authors_and_of_a_loop():
    logits, distilled, labels, teacher = predictions()
    base = F.cross_entropy(logits, labels)
    authors = base * (1 - 0.5) + F.cross_entropy(distilled, teacher.argmax(dim=1)) * 0.5
    looped = 0
    for each, other, label, said in zip(logits, distilled, labels, teacher, strict=True):
        by_label = -each.softmax(0)[label].log()
        by_teacher = -other.softmax(0)[max(range(5), key=said.__getitem__)].log()
        looped += (by_label / 2 + by_teacher / 2) / 6
    found = hard_distillation(logits, distilled, labels, teacher)
    assert same(found, authors) and same(found, looped) and found.shape == ()


@pytest.mark.parametrize("weight, temperature", [(0.1, 3.0), (0.5, 1.0), (0.9, 2.0)])
def test_soft_distillation_is_that_of_the_authors_and_of_a_loop(weight, temperature):
    logits, distilled, labels, teacher = predictions()
    divergence = F.kl_div(
        F.log_softmax(distilled / temperature, dim=1),
        F.log_softmax(teacher / temperature, dim=1),
        reduction="sum",
        log_target=True,
    )
    divergence = divergence * (temperature * temperature) / distilled.numel()
    authors = F.cross_entropy(logits, labels) * (1 - weight) + divergence * weight
    looped = 0
    for each, other, label, said in zip(logits, distilled, labels, teacher, strict=True):
        student, teaches = (p.div(temperature).softmax(0) for p in (other, said))
        divergence = sum(t * (t / s).log() for t, s in zip(teaches, student, strict=True))
        loss = (1 - weight) * -each.softmax(0)[label].log()
        looped += (loss + weight * temperature**2 * divergence / 5) / 6
    found = soft_distillation(logits, distilled, labels, teacher, weight, temperature)
    assert same(found, authors) and same(found, looped) and found.shape == ()


def test_soft_distillation_has_the_weight_and_temperature_of_the_paper():
    given = predictions()
    assert soft_distillation(*given) == soft_distillation(*given, weight=0.1, temperature=3.0)


def divergence_of(student, teacher, terms=6 * 5):
    softened = ((each / 3).log_softmax(1) for each in (student, teacher))
    return F.kl_div(*softened, reduction="sum", log_target=True) / terms


WRONG_LOSSES = {
    "student_first": lambda student, teacher: 9 * divergence_of(teacher, student),
    "mean_over_images_alone": lambda *both: 9 * divergence_of(*both, terms=6),
    "not_scaled_by_the_temperature": lambda *both: divergence_of(*both),
    "teacher_not_softened": lambda student, teacher: 9 * divergence_of(student, 3 * teacher),
}


@pytest.mark.parametrize("wrong", WRONG_LOSSES)
def test_another_direction_or_normalization_of_the_divergence_is_caught(wrong):
    logits, distilled, labels, teacher = predictions()
    found = soft_distillation(logits, distilled, labels, teacher)
    base = 0.9 * F.cross_entropy(logits, labels)
    assert same(found, base + 0.1 * 9 * divergence_of(distilled, teacher))
    assert abs(found - base - 0.1 * WRONG_LOSSES[wrong](distilled, teacher)) > 1e-3


def test_losses_with_their_two_predictions_exchanged_are_caught():
    logits, distilled, labels, teacher = predictions()
    for loss in (hard_distillation, soft_distillation):
        found = loss(logits, distilled, labels, teacher)
        assert abs(found - loss(distilled, logits, labels, teacher)) > 1e-2


@pytest.mark.parametrize("loss", [hard_distillation, soft_distillation])
def test_labels_teach_one_token_and_the_teacher_the_other(loss):
    def gradients(labels, teacher):
        both = [each.clone().requires_grad_() for each in predictions()[:2]]
        return torch.autograd.grad(loss(*both, labels, teacher), both)

    _, _, labels, teacher = predictions()
    known = gradients(labels, teacher)
    other_labels, other_teacher = gradients(labels.roll(1), teacher), gradients(labels, -teacher)
    assert not same(known[0], other_labels[0]) and same(known[1], other_labels[1])
    assert same(known[0], other_teacher[0]) and not same(known[1], other_teacher[1])


def test_what_agrees_with_its_teacher_has_nothing_to_learn_from_it():
    logits, distilled, labels, _ = predictions()
    found = soft_distillation(logits, distilled, labels, distilled)
    assert same(found, 0.9 * F.cross_entropy(logits, labels))


def test_both_losses_teach_every_weight():
    for loss in (hard_distillation, soft_distillation):
        model, images = MaxViT(SMALL), torch.randn(4, 3, 16, 16)
        loss(*predict_apart(model, images), torch.arange(4), torch.randn(4, 5)).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_stem_and_head_read_what_their_steps_say():
    stem = randomized(DistilledPatchEmbedding(8, 2, image_size=6))
    found = measured_reads(stem.run, noise(1, 3, 6, 6))
    assert torch.equal(found, said_reads(stem.steps(), 6, 6))
    assert found.sum(1).tolist() == [4] * 9 + [0, 0]  # tokens that begin have read nothing

    head = randomize(DistilledHead(8, 5))
    found = measured_reads(head.run, noise(1, 8, 2, 2), noise(1, 2, 8, seed=2), noise(1, 1, 8))
    assert torch.equal(found, said_reads(head.steps(), 2, 2, 3))
    assert found.tolist() == [[False] * 4 + [True, True, False]]


def test_one_layer_reads_all_patches_and_both_tokens():
    assert reads(randomize(GlobalAttention(32, expansion=1)), 32, 2, 3, k=2).all()
    model = randomized(MaxViT(replace(SMALL, depths=(1,), image_size=8)))
    steps = [step for part in model.layers().values() for step in part.steps()]
    said = said_reads([*steps, *model.head.steps()], 8, 8)
    found = measured_reads(lambda x: (model(x),), noise(1, 3, 8, 8))
    assert torch.equal(found, said) and said.all()


def test_one_layer_costs_what_its_tokens_and_their_pairs_cost():
    """N^2 C is counted twice, for scores and for values; the two tokens come to the patches."""
    layer, (n, c) = randomize(GlobalAttention(64, expansion=2)), (8 * 8 + 2, 64)
    x, tokens = noise(1, c, 8, 8), noise(1, 2, c)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer.run(x, tokens)
    attention, feed_forward = 4 * n * c**2 + 2 * n**2 * c, 2 * 2 * n * c**2
    assert counter.get_total_flops() // 2 == attention + feed_forward


def test_without_positions_it_could_not_tell_one_order_of_patches_from_another():
    model, images = randomized(MaxViT(SMALL)), noise(2, 3, 16, 16)
    moved = images.roll(4, 2)
    assert (model(images) - model(moved)).abs().max() > 1e-3
    nn.init.zeros_(model.stem.positions)
    assert same(model(images), model(moved))
    assert (model(images) - model(images.roll(1, 2))).abs().max() > 1e-3  # patches are cut


def test_sizes_without_learned_positions_are_refused_and_the_right_one_is_named():
    model = maxvit("deit")
    told = "28 x 32 give stem .* not the 32 x 32 .* height 32 and width 32"
    with pytest.raises(ValueError, match=told):
        model(torch.zeros(1, 3, 28, 32))
    with pytest.raises(ValueError, match="patches of 4 pixels do not divide an image of 30"):
        maxvit("deit", image_size=30)


def test_the_named_network_is_vit_with_a_token_and_a_head_more():
    model = maxvit("deit").eval()
    more = 2 * 128 + 128 * 10 + 10
    assert CONFIGS["deit"] is DEIT
    assert sum(p.numel() for p in model.parameters()) == 811_146 + more == 812_692
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    for learned in (model.stem.distillation_token, model.stem.distillation_position):
        assert 0.01 < learned.std() < 0.03


def test_a_saved_network_comes_back(tmp_path):
    model, images = randomized(MaxViT(SMALL)).float(), noise(2, 3, 16, 16).float()
    save(model, tmp_path / "deit")
    loaded = load(tmp_path / "deit")
    assert loaded.config == SMALL and torch.equal(loaded(images), model(images))
