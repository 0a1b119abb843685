"""The Vision Transformer is timm's, weight for weight, and reads what its steps say."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import measured_reads, noise, randomize, said_reads
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.relatives import (
    VIT,
    ClassTokenHead,
    GlobalAttention,
    MultiHeadAttention,
    PatchEmbedding,
)

SMALL = replace(VIT, dims=(64,), depths=(2,), stem_dim=64, image_size=16, num_classes=5)


def randomized(module):
    """`randomize` knows no bare tokens and positions, which start so small that none is missed."""
    randomize(module)
    for name, parameter in module.named_parameters():
        if name.split(".")[-1] in ("positions", "class_token", "class_position"):
            nn.init.normal_(parameter)
    return module


def timm_weights(ours, depth):
    """Our state dict under timm's names: query, key and value packed, the class token first."""
    theirs = {
        "patch_embed.proj.weight": ours["stem.project.weight"],
        "patch_embed.proj.bias": ours["stem.project.bias"],
        "cls_token": ours["stem.class_token"],
        "pos_embed": torch.cat(
            [ours["stem.class_position"], ours["stem.positions"].flatten(2).mT], 1
        ),
    }
    for block in range(depth):
        inside, outside = f"stages.0.{block}.parts.0", f"blocks.{block}"
        for kind in ("weight", "bias"):
            packed = [ours[f"{inside}.attention.{n}.{kind}"] for n in ("query", "key", "value")]
            theirs |= {
                f"{outside}.norm1.{kind}": ours[f"{inside}.attention_norm.{kind}"],
                f"{outside}.attn.qkv.{kind}": torch.cat(packed),
                f"{outside}.attn.proj.{kind}": ours[f"{inside}.attention.output.{kind}"],
                f"{outside}.norm2.{kind}": ours[f"{inside}.feed_forward_norm.{kind}"],
                f"{outside}.mlp.fc1.{kind}": ours[f"{inside}.feed_forward.expand.{kind}"],
                f"{outside}.mlp.fc2.{kind}": ours[f"{inside}.feed_forward.shrink.{kind}"],
            }
    for kind in ("weight", "bias"):
        theirs |= {f"norm.{kind}": ours[f"head.norm.{kind}"]}
        theirs |= {f"head.{kind}": ours[f"head.classify.{kind}"]}
    return theirs


def test_the_network_is_that_of_timm():
    ours = randomized(MaxViT(SMALL))
    theirs = VisionTransformer(
        img_size=16,
        patch_size=4,
        num_classes=5,
        embed_dim=64,
        depth=2,
        num_heads=2,
        mlp_ratio=2,
        qkv_bias=True,
    )
    theirs.double().eval().load_state_dict(timm_weights(ours.state_dict(), depth=2))
    images = noise(3, 3, 16, 16)
    torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-9)


def test_attention_is_that_of_pytorch():
    ours = randomize(MultiHeadAttention(64))
    theirs = nn.MultiheadAttention(64, num_heads=2, batch_first=True).double().eval()
    with torch.no_grad():
        projections = (ours.query, ours.key, ours.value)
        theirs.in_proj_weight.copy_(torch.cat([each.weight for each in projections]))
        theirs.in_proj_bias.copy_(torch.cat([each.bias for each in projections]))
    theirs.out_proj.load_state_dict(ours.output.state_dict())
    x = noise(3, 7, 64)
    expected, weights = theirs(x, x, x, average_attn_weights=False)
    torch.testing.assert_close(ours(x[:, None])[:, 0], expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(ours.scores(x[:, None])[:, :, 0].softmax(-1), weights)


def test_a_layer_is_its_steps_written_out_whatever_goes_beside_the_map():
    layer = randomize(GlobalAttention(64, expansion=3))
    x, class_token, registers = noise(2, 64, 3, 2), noise(2, 1, 64, seed=2), noise(2, 4, 64, seed=3)
    out = layer.run(x, class_token, registers)
    assert [y.shape for y in out] == [x.shape, class_token.shape, registers.shape]

    y = torch.cat([x.flatten(2).mT, class_token, registers], 1)  # (2, 6 + 1 + 4, 64)
    norm, attention, ffn = layer.attention_norm, layer.attention, layer.feed_forward
    z = F.layer_norm(y, (64,), norm.weight, norm.bias, eps=1e-6)
    q, k, v = (
        f(z).unflatten(2, (2, 32)) for f in (attention.query, attention.key, attention.value)
    )
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / 32**0.5
    z = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v).flatten(2)
    y = y + attention.output(z)
    norm = layer.feed_forward_norm
    z = F.layer_norm(y, (64,), norm.weight, norm.bias, eps=1e-6)
    y = y + ffn.shrink(F.gelu(ffn.expand(z)))

    torch.testing.assert_close(out[0], y[:, :6].mT.unflatten(2, (3, 2)))
    torch.testing.assert_close(torch.cat(out[1:], 1), y[:, 6:])
    said, bias = layer.scores(x, class_token, registers)
    torch.testing.assert_close(said[:, :, 0], scores)
    assert not bias.any() and bias.shape == (2, 1, 11, 11)
    torch.testing.assert_close(layer(x)[0], layer.run(x)[0])  # a map alone will do, too


def test_without_positions_it_could_not_tell_one_order_of_patches_from_another():
    model, images = randomized(MaxViT(SMALL)), noise(2, 3, 16, 16)
    patches = images.unflatten(2, (4, 4)).unflatten(4, (4, 4))  # (b, 3, rows, 4, columns, 4)
    moved = patches[:, :, [2, 0, 3, 1]].flatten(4).flatten(2, 3)
    assert (model(images) - model(moved)).abs().max() > 1e-3
    nn.init.zeros_(model.stem.positions)
    torch.testing.assert_close(model(images), model(moved))


def test_the_class_token_begins_alike_for_every_image():
    stem = randomized(PatchEmbedding(8, 4, image_size=8))
    x, class_token = stem.run(noise(2, 3, 8, 8))
    assert x.shape == (2, 8, 2, 2) and class_token.shape == (2, 1, 8)
    expected = stem.class_token[0] + stem.class_position[0]
    assert all(torch.equal(each, expected) for each in class_token)


def test_every_image_reaches_its_own_logits_and_no_others():
    model, images = randomized(MaxViT(SMALL)), noise(3, 3, 16, 16)
    together = model(images)
    torch.testing.assert_close(together, torch.cat([model(each[None]) for each in images]))
    assert (together[0] - together[1]).abs().max() > 1e-3


@pytest.mark.parametrize("k", [0, 1, 3])
def test_a_layer_reads_what_its_steps_say(k):
    layer = randomize(GlobalAttention(32, expansion=1))
    extra = (noise(1, k, 32),) if k else ()
    reads = measured_reads(layer.run, noise(1, 32, 2, 3, seed=2), *extra)
    assert torch.equal(reads, said_reads(layer.steps(), 2, 3, k)) and reads.all()
    (add,) = layer.steps()
    assert () in add.branches  # the shortcut, which where all reads all does not show


def test_stem_and_head_read_what_their_steps_say():
    stem = randomized(PatchEmbedding(8, 2, image_size=6))
    reads = measured_reads(stem.run, noise(1, 3, 6, 6))
    assert torch.equal(reads, said_reads(stem.steps(), 6, 6))
    assert stem.stride == 2
    assert reads.sum(1).tolist() == [4] * 9 + [0]  # a class token that begins has read nothing

    head = randomize(ClassTokenHead(8, 5))
    reads = measured_reads(head.run, noise(1, 8, 2, 2), noise(1, 2, 8, seed=2))
    assert torch.equal(reads, said_reads(head.steps(), 2, 2, 2))
    assert reads.tolist() == [[False] * 4 + [True, False]]


def test_one_layer_brings_every_pixel_to_the_logits():
    model = randomized(MaxViT(replace(SMALL, depths=(1,), image_size=8)))
    steps = [step for part in model.layers().values() for step in part.steps()]
    said = said_reads([*steps, *model.head.steps()], 8, 8)
    assert (
        torch.equal(measured_reads(lambda x: (model(x),), noise(1, 3, 8, 8)), said) and said.all()
    )


def test_sizes_without_learned_positions_are_refused_and_the_right_one_is_named():
    model = maxvit("vit")
    for h, w in ((32, 64), (28, 32), (0, 32)):
        told = f"{h} x {w} give stem .* not the 32 x 32 .* height 32 and width 32"
        with pytest.raises(ValueError, match=told):
            model(torch.zeros(1, 3, h, w))
    assert maxvit("vit", image_size=48)(torch.zeros(1, 3, 48, 48)).shape == (1, 10)
    with pytest.raises(ValueError, match="patches of 4 pixels do not divide an image of 30"):
        maxvit("vit", image_size=30)
    with pytest.raises(ValueError, match="patches of 4 pixels do not divide an image of 30"):
        PatchEmbedding(8, 4, image_size=30)
    with pytest.raises(ValueError, match="48 channels do not divide into heads of dimension 32"):
        GlobalAttention(48)


def test_a_subclass_states_another_head_dim():
    class WiderHeads(GlobalAttention):
        head_dim = 64

    assert WiderHeads(128).attention.scores(noise(1, 1, 5, 128).float()).shape == (1, 2, 1, 5, 5)


def test_the_named_network_has_its_size_and_shows_its_heads():
    model = maxvit("vit").eval()
    assert CONFIGS["vit"] is VIT and sum(p.numel() for p in model.parameters()) == 811_146
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert [tuple(x.shape) for x in model.features(torch.zeros(2, 3, 32, 32))] == [(2, 128, 8, 8)]
    for shown in ("image_size=32", "kernel_size=(4, 4), stride=(4, 4)", "heads=4, head_dim=32"):
        assert shown in str(model)


def test_a_saved_network_comes_back(tmp_path):
    model, images = randomized(MaxViT(SMALL)).float(), noise(2, 3, 16, 16).float()
    save(model, tmp_path / "vit")
    loaded = load(tmp_path / "vit")
    assert loaded.config == SMALL and torch.equal(loaded(images), model(images))


def test_tokens_and_positions_begin_small_and_learn():
    torch.manual_seed(0)
    model = maxvit("vit")
    F.cross_entropy(model(torch.randn(4, 3, 32, 32)), torch.arange(4)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    stem = model.stem
    for learned in (stem.positions, stem.class_token, stem.class_position):
        assert 0.01 < learned.std() < 0.03


def test_a_dropped_branch_leaves_the_shortcut():
    layer = GlobalAttention(32, drop_path=1 - 1e-6).train()
    x, extra = torch.randn(2, 32, 2, 2), torch.randn(2, 1, 32)
    assert all(map(torch.equal, layer.run(x, extra), (x, extra)))
