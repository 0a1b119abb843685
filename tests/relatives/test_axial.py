"""Axial attention is that of its best-known port, in sequence and summed, and sees lines."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import measured_reads, noise, randomize, said_reads
from relatives.proofs import follows, multiply_adds, reads

from minimaxvit import CONFIGS, MaxViT, load, maxvit, save
from minimaxvit.relatives import AXIAL, ColumnAttention, RowAttention, SummedAxialAttention
from minimaxvit.seeing import record_attention, rollout, trace

KINDS = (RowAttention, ColumnAttention, SummedAxialAttention)
SIZES = pytest.mark.parametrize("h, w", [(4, 4), (3, 5), (5, 2)])


def layer_of(kind, dim=64, seed=0):
    return randomize(kind(dim, expansion=2), seed)


def attend(layer, x):
    """The attention of a layer alone: (b, c, h, w) -> (b, c, h, w)."""
    return layer.attend(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def without_bias(attention):
    """The port's queries, keys and values have no bias."""
    for part in (attention.query, attention.key, attention.value):
        torch.nn.init.zeros_(part.bias)
    return attention


def port(columns, rows, summed):
    """Lucidrains' attention with our weights: first along the columns, then along the rows."""
    package = pytest.importorskip("axial_attention")
    theirs = package.AxialAttention(64, dim_index=1, heads=2, sum_axial_out=summed).double()
    for axis, ours in zip(theirs.axial_attentions, (columns, rows), strict=True):
        kv = torch.cat([ours.key.weight, ours.value.weight])
        axis.fn.to_q.weight.data, axis.fn.to_kv.weight.data = ours.query.weight, kv
        axis.fn.to_out.load_state_dict(ours.output.state_dict())
    return theirs


def loop(attention, x, down):
    """Write out the formula, one token at a time, for the tokens above and below or beside it."""
    out = torch.zeros_like(x)  # (b, c, h, w)
    for image, row, column in torch.cartesian_prod(*map(torch.arange, (len(x), *x.shape[2:]))):
        line = x[image, :, :, column].T if down else x[image, :, row].T  # (s, c)
        query, gathered = attention.query(x[image, :, row, column]), []
        key, value = attention.key(line), attention.value(line)
        for d in (slice(0, 32), slice(32, 64)):
            weights = (key[:, d] @ query[d] / 32**0.5).softmax(0)
            gathered.append(weights @ value[:, d])
        out[image, :, row, column] = attention.output(torch.cat(gathered))
    return out


@SIZES
def test_columns_then_rows_are_those_of_the_port_and_of_a_loop(h, w):
    columns, rows = layer_of(ColumnAttention), layer_of(RowAttention, seed=1)
    x = noise(2, 64, h, w)
    ours = attend(rows, attend(columns, x))
    expected = loop(rows.attention, loop(columns.attention, x, down=True), down=False)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-9)

    without_bias(columns.attention), without_bias(rows.attention)
    theirs = port(columns.attention, rows.attention, summed=False)
    ours = attend(rows, attend(columns, x))
    torch.testing.assert_close(ours, theirs(x), rtol=0, atol=1e-9)


@SIZES
def test_the_sum_is_that_of_the_port_and_of_a_loop(h, w):
    layer, x = layer_of(SummedAxialAttention), noise(2, 64, h, w)
    expected = loop(layer.column_attention, x, down=True) + loop(layer.attention, x, down=False)
    torch.testing.assert_close(attend(layer, x), expected, rtol=0, atol=1e-9)

    without_bias(layer.column_attention), without_bias(layer.attention)
    theirs = port(layer.column_attention, layer.attention, summed=True)
    torch.testing.assert_close(attend(layer, x), theirs(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_its_steps_written_out(kind):
    layer, x = layer_of(kind), noise(2, 64, 3, 4)
    norm, ffn = layer.attention_norm, layer.feed_forward
    y = F.layer_norm(x.permute(0, 2, 3, 1), (64,), norm.weight, norm.bias).permute(0, 3, 1, 2)
    if kind is SummedAxialAttention:
        found = loop(layer.attention, y, False) + loop(layer.column_attention, y, True)
    else:
        found = loop(layer.attention, y, down=kind is ColumnAttention)
    y, norm = (x + found).permute(0, 2, 3, 1), layer.feed_forward_norm
    z = ffn.expand(F.layer_norm(y, (64,), norm.weight, norm.bias))
    y = y + ffn.shrink(F.gelu(z, approximate="tanh"))
    torch.testing.assert_close(layer(x), y.permute(0, 3, 1, 2), rtol=0, atol=1e-9)


def lines(h, w, down):
    """Which tokens stand in the same column, or in the same row: (h * w, h * w)."""
    near, across = (torch.ones(h, h), torch.eye(w)) if down else (torch.eye(h), torch.ones(w, w))
    return torch.kron(near, across).bool()


@SIZES
def test_a_layer_reads_its_line_and_the_sum_a_cross(h, w):
    row, column = lines(h, w, down=False), lines(h, w, down=True)
    assert torch.equal(reads(layer_of(RowAttention, 32), 32, h, w), row)
    assert torch.equal(reads(layer_of(ColumnAttention, 32), 32, h, w), column)
    cross = reads(layer_of(SummedAxialAttention, 32), 32, h, w)
    assert torch.equal(cross, row | column) and (cross.sum(1) == h + w - 1).all()


def both(layers, x):
    for layer in layers:
        x = layer(x)
    return x


@pytest.mark.parametrize("kinds", [(ColumnAttention, RowAttention), 2 * (SummedAxialAttention,)])
def test_two_layers_see_the_whole_map_and_one_does_not(kinds):
    layers = [layer_of(kind, 32, seed) for seed, kind in enumerate(kinds)]
    steps = [step for layer in layers for step in layer.steps()]
    measured = measured_reads(lambda x: (both(layers, x)[:, :2],), noise(1, 32, 3, 4))
    assert measured.all() and said_reads(steps, 3, 4).all()
    assert said_reads(steps, 16, 16).all() and not said_reads(layers[0].steps(), 16, 16).all()


@pytest.mark.parametrize(
    "kind, count", [(ColumnAttention, 16), (RowAttention, 16), (SummedAxialAttention, 31)]
)
def test_a_token_of_a_map_of_16_x_16_reads_a_line_of_16_or_a_cross_of_31(kind, count):
    layer, x = layer_of(kind, 32), noise(1, 32, 16, 16)
    said = said_reads(layer.steps(), 16, 16)
    measured = measured_reads(lambda x: (layer(x)[:, :2, ::9, ::9],), x)  # four tokens of them
    assert torch.equal(measured, said.view(16, 16, -1)[::9, ::9].flatten(0, 1))
    assert (said.sum(1) == count).all()


@pytest.mark.parametrize("h, w, millions", [(8, 8, 2.23), (16, 16, 9.44), (32, 32, 41.9)])
def test_attention_costs_what_its_formula_says(h, w, millions):
    n, c = h * w, 64
    costs = [multiply_adds(lambda x, i=i: attend(i, x), c, h, w) for i in map(layer_of, KINDS)]
    assert costs[0] == 4 * n * c**2 + 2 * n * w * c and costs[1] == 4 * n * c**2 + 2 * n * h * c
    assert sum(costs[:2]) == costs[2] == 8 * n * c**2 + 2 * n * (h + w) * c
    assert costs[2] == pytest.approx(millions * 1e6, rel=5e-3)


def test_maps_that_are_not_square_cost_as_much_as_their_lines_are_long():
    n, c = 4 * 6, 64
    feed_forward = 2 * 2 * n * c**2  # expansion 2
    expected = [4 * n * c**2 + 2 * n * s * c + feed_forward for s in (6, 4)]
    assert [multiply_adds(layer_of(kind), c, 4, 6) for kind in KINDS[:2]] == expected
    both = 8 * n * c**2 + 2 * n * (4 + 6) * c + feed_forward
    assert multiply_adds(layer_of(SummedAxialAttention), c, 4, 6) == both


@pytest.mark.parametrize("kind", KINDS)
def test_whole_rows_and_columns_may_change_places_but_not_tokens_alone(kind):
    layer, x = layer_of(kind), noise(1, 64, 4, 5)
    assert follows(layer, 64, 4, 5, 1, 0) and follows(layer, 64, 4, 5, 0, 2)
    down, right = torch.tensor([2, 0, 3, 1]), torch.tensor([4, 1, 0, 2, 3])
    moved = layer(x[:, :, down][..., right])
    torch.testing.assert_close(moved, layer(x)[:, :, down][..., right], rtol=0, atol=1e-9)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    shuffled = layer(x.flatten(2)[..., order].view_as(x)).flatten(2)
    assert (shuffled - layer(x).flatten(2)[..., order]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_scores_make_the_weights_that_forward_uses(kind):
    """Gathered token by token, by the places that the groups name."""
    layer, x = layer_of(kind), noise(2, 64, 3, 4)
    scores, bias = layer.scores(x)
    weights = (scores + bias).softmax(-1)  # (b, heads, n, t, s)
    queries, keys = layer.groups(torch.arange(12).view(1, 3, 4, 1), torch.arange(0))
    assert weights.shape[2:] == (*queries.shape, keys.shape[1])
    y = layer.attention_norm(x.permute(0, 2, 3, 1))
    attentions, out = [layer.attention], 0
    if kind is SummedAxialAttention:
        attentions.append(layer.column_attention)
        assert weights.shape[1] == 4 and (weights[:, :2, :, :, 4:] == 0).all()
        assert (weights[:, 2:, :, :, :4] == 0).all()
    for attention, part in zip(attentions, weights.split(2, 1), strict=True):
        value = attention.value(y).view(2, 12, 2, 32)[:, keys]  # (b, n, s, heads, d)
        found = torch.einsum("bhnts,bnshd->bnthd", part, value).flatten(3)
        placed = torch.zeros(2, 12, 64).double()
        placed[:, queries] = found
        out = out + attention.output(placed)
    torch.testing.assert_close(out.view(y.shape), layer.attend(y), rtol=0, atol=1e-9)


def test_the_sum_is_recorded_and_its_paths_lead_both_ways():
    parts = ((SummedAxialAttention,),)
    config = replace(AXIAL, dims=(32,), depths=(1,), strides=(1,), parts=parts)
    model = randomize(MaxViT(config))
    with record_attention(model) as maps:
        model(noise(1, 3, 8, 8))
    (name,) = maps
    row = maps[name].row((1, 2), maps[name].weights())  # (b, heads, h, w)
    beside, above = torch.zeros(4, 4).bool(), torch.zeros(4, 4).bool()
    beside[1], above[:, 2] = True, True
    assert torch.equal(row[0, 0] > 0, beside) and torch.equal(row[0, 1] > 0, above)
    paths = trace(model, 8, 8, name, (1, 2))["stem"]
    assert torch.equal(torch.as_tensor(paths) > 0, beside | above)
    assert paths[1, 2] == 3  # the shortcut, the row and the column
    images = torch.randint(256, (1, 3, 8, 8), dtype=torch.uint8)
    found = rollout(model.float(), images, name, (1, 2))
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(1).double())


def summed_by_default(columns, rows, x):
    return attend(columns, x) + attend(rows, x)


def rows_first(columns, rows, x):
    return attend(columns, attend(rows, x))


def one_axis_twice(columns, rows, x):
    return attend(rows, attend(rows, x))


def transposed(columns, rows, x):
    return attend(rows, attend(columns, x).mT)


WRONG = (summed_by_default, rows_first, one_axis_twice, transposed)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_a_wrong_order_is_told_from_the_port(wrong):
    columns, rows = layer_of(ColumnAttention), layer_of(RowAttention, seed=1)
    theirs = port(without_bias(columns.attention), without_bias(rows.attention), summed=False)
    x = noise(2, 64, 4, 4)
    assert (wrong(columns, rows, x) - theirs(x)).abs().max() > 1e-2


def test_the_port_that_sums_by_default_is_never_global_in_one_layer():
    layer = layer_of(SummedAxialAttention)
    port(layer.column_attention, layer.attention, summed=True)
    package = pytest.importorskip("axial_attention")
    theirs = package.AxialAttention(64, dim_index=1, heads=2).double()
    measured = measured_reads(lambda x: (theirs(x)[:, :4],), noise(1, 64, 3, 4))
    assert torch.equal(measured, lines(3, 4, down=False) | lines(3, 4, down=True))


def test_any_size_fits_and_heads_must_divide():
    model = maxvit("axial")
    assert model(torch.zeros(1, 3, 37, 41)).shape == (1, 10)
    for kind in KINDS:
        with pytest.raises(ValueError, match="48 channels do not divide into heads of dimension 3"):
            kind(48)


def test_the_named_network_has_its_size_and_shows_no_window():
    model = maxvit("axial").eval()
    assert CONFIGS["axial"] is AXIAL and sum(p.numel() for p in model.parameters()) == 835_274
    maps = [tuple(x.shape[1:]) for x in model.features(torch.zeros(2, 3, 32, 32))]
    assert maps == [(32, 16, 16), (96, 8, 8), (192, 4, 4)]
    assert "heads=6, head_dim=32" in str(model) and "window" not in str(model)


@pytest.mark.parametrize("last", [RowAttention, SummedAxialAttention])
def test_a_saved_network_comes_back(last, tmp_path):
    config = replace(AXIAL, parts=3 * ((ColumnAttention, last),))
    model, images = randomize(MaxViT(config)).float(), noise(2, 3, 32, 32).float()
    save(model, tmp_path / "axial")
    loaded = load(tmp_path / "axial")
    assert loaded.config == config and torch.equal(loaded(images), model(images))


@pytest.mark.parametrize("kind", KINDS)
def test_a_dropped_branch_leaves_the_shortcut(kind):
    layer = kind(32, drop_path=1 - 1e-6).train()
    x = torch.randn(2, 32, 3, 4)
    assert torch.equal(layer(x), x)
