"""What the pictures are drawn from, against truth found the slow way; and that they speak."""

import numpy as np
import pytest
import torch
from IPython.display import Image
from matplotlib.figure import Figure

from minimaxvit import BlockAttention, GridAttention, block_partition, grid_partition
from minimaxvit.seeing import (
    count_paths,
    draw_comparison,
    draw_confusion,
    draw_guesses,
    draw_history,
    draw_partitions,
    draw_reach,
    group_map,
    photograph,
    show,
)

PAIR = (block_partition, grid_partition)
SIZES = [(6, 6, 2), (8, 12, 4), (12, 8, 2), (4, 4, 4)]


def same_group(partition, h, w, side):
    """Say of every pair of tokens whether they share a group, from coordinates alone."""
    rows, columns = np.divmod(np.arange(h * w), w)
    down, right = h // side, w // side
    if partition is block_partition:
        keys = rows // side, columns // side
    else:
        keys = rows % down, columns % right
    return np.logical_and(*(np.equal.outer(key, key) for key in keys)).astype(int)


def titles(figure):
    return [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]


@pytest.mark.parametrize("partition", PAIR)
@pytest.mark.parametrize("h, w, side", SIZES)
def test_tokens_share_a_number_exactly_when_they_share_a_group(partition, h, w, side):
    groups = group_map(partition, h, w, side)
    assert groups.shape == (h, w)
    assert set(groups.flat) == set(range(h * w // side**2))
    found = np.equal.outer(groups.ravel(), groups.ravel())
    np.testing.assert_array_equal(found, same_group(partition, h, w, side))


def test_group_map_passes_on_the_refusal_of_a_size_that_does_not_divide():
    with pytest.raises(ValueError, match="6 x 9"):
        group_map(block_partition, 6, 9, 2)


@pytest.mark.parametrize("h, w, side", SIZES)
@pytest.mark.parametrize("order", [PAIR, PAIR[::-1], PAIR + PAIR])
def test_paths_are_the_product_of_the_same_group_matrices(order, h, w, side):
    product = np.eye(h * w, dtype=int)
    for partition in order:
        product = same_group(partition, h, w, side) @ product
    for query in [(0, 0), (h // 2, w - 1), (h - 1, 1)]:
        expected = product[query[0] * w + query[1]].reshape(h, w)
        np.testing.assert_array_equal(count_paths(order, h, w, side, query), expected)


@pytest.mark.parametrize(
    "side, window, seen, each", [(8, 4, 64, 4), (16, 4, 256, 1), (32, 4, 256, 1), (56, 7, 2401, 1)]
)
def test_one_pair_sees_as_much_from_every_query(side, window, seen, each):
    for query in np.ndindex(side, side):
        paths = count_paths(PAIR, side, side, window, query)
        assert (paths > 0).sum() == seen
        assert set(paths[paths > 0]) == {each}
        if side > 16 and query[1] > window:
            break  # a row and a bit shows every place in window and cell


@pytest.mark.parametrize("side, window, seen", [(32, 4, 256), (56, 7, 3136)])
def test_a_second_pair_helps_only_where_windows_drift_against_strides(side, window, seen):
    for place in range(side):
        paths = count_paths(PAIR + PAIR, side, side, window, (place, place))
        assert (paths > 0).sum() == seen


@pytest.mark.parametrize(
    "layers", [(BlockAttention, GridAttention), (GridAttention, BlockAttention)]
)
@pytest.mark.parametrize("query", [(0, 0), (5, 17)])
def test_paths_lead_exactly_to_where_the_gradient_is_not_zero(layers, query):
    torch.manual_seed(0)
    network = torch.nn.Sequential(*(layer(32, 4) for layer in layers)).double()
    x = torch.randn(1, 32, 16, 24, dtype=torch.float64, requires_grad=True)  # (b, c, h, w)
    network(x)[0, :, *query].sum().backward()
    order = [layer.partition for layer in layers]
    paths = count_paths(order, 16, 24, 4, query)
    np.testing.assert_array_equal(paths > 0, x.grad[0].abs().sum(0).numpy() > 0)


def test_paths_tell_the_order_of_attentions():
    first = count_paths(PAIR, 56, 56, 7, (28, 28))
    second = count_paths(PAIR[::-1], 56, 56, 7, (28, 28))
    assert (first != second).any()


def test_the_photograph_is_square():
    picture = photograph()
    assert picture.shape == (480, 480, 3)
    assert picture.dtype == np.uint8


def test_partitions_are_drawn_with_titles_group_numbers_and_a_sentence():
    figure, sentence = draw_partitions(photograph(), side=12, window=4)
    assert all(titles(figure)) and len(figure.axes) == 2
    for axes, partition in zip(figure.axes, PAIR, strict=True):
        groups = group_map(partition, 12, 12, 4)
        assert [int(text.get_text()) for text in axes.texts] == list(groups.flat)
        assert len(axes.patches) == (groups == 4).sum() == 16
        rows = ", ".join(map(str, np.unique(np.nonzero(groups == 4)[0])))
        assert f"rows {rows} and columns {rows}" in sentence
    assert "12 x 12" in sentence and "9 groups of 16" in sentence


def test_only_the_framed_group_keeps_its_colours():
    picture = photograph()
    figure, _ = draw_partitions(picture, side=12, window=4)
    drawn = np.asarray(figure.axes[0].images[0].get_array())
    inside = slice(160, 320)
    np.testing.assert_array_equal(drawn[inside, inside], picture[inside, inside])
    assert drawn[:160].min() >= 191
    assert (drawn[:160, :, 0] == drawn[:160, :, 2]).all()


def test_reach_is_drawn_on_one_scale_with_titles_and_a_sentence():
    panels = [
        (f"map {side}", (1, 2), count_paths(PAIR, side, side, 4, (1, 2))) for side in (8, 16, 32)
    ]
    figure, sentence = draw_reach(panels)
    assert all(titles(figure)) and len(figure.axes) == 3
    for axes, (label, _, paths) in zip(figure.axes, panels, strict=True):
        numbers = f"{label}: {(paths > 0).sum()} of {paths.size} seen"
        assert numbers in axes.get_title() and numbers in sentence
        (image,) = axes.images
        assert image.get_clim() == (0, 4)
        np.testing.assert_array_equal(image.get_array().filled(0), paths)
    texts = [[int(text.get_text()) for text in axes.texts] for axes in figure.axes]
    assert texts == [[4] * 64, [1] * 256, []]
    assert "4 paths each" in sentence and "1 path each" in sentence


def test_show_gives_the_picture_its_sentence_and_prints_it(monkeypatch, capsys):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    show(Figure(), "5 of 8 seen")
    (image,) = shown
    assert isinstance(image, Image)
    data, metadata = image._repr_mimebundle_()
    assert set(data) == {"image/png"}
    assert metadata == {"image/png": {"alt": "5 of 8 seen"}}
    assert capsys.readouterr().out == "5 of 8 seen\n"


def test_a_history_is_told_with_and_without_validation():
    rows = [
        {"epoch": 1, "loss": 2.0, "train_accuracy": 0.25, "validation_accuracy": 0.5},
        {"epoch": 2, "loss": 1.0, "train_accuracy": 0.75, "validation_accuracy": 0.625},
    ]
    figure, sentence = draw_history(rows, "shapes")
    assert isinstance(figure, Figure)
    assert sentence == (
        "shapes: validation accuracy ends at 62.5%, 12.5 points below training. From epoch 1 to "
        "epoch 2, the loss goes from 2.000 to 1.000, training accuracy from 25.0% to 75.0%, "
        "validation accuracy from 50.0% to 62.5%; the best validation accuracy is 62.5%."
    )
    drawn = [line.get_ydata() for line in figure.axes[1].get_lines()]
    assert [list(line) for line in drawn] == [[25, 75], [50, 62.5]]
    unwatched = [{**row, "validation_accuracy": None} for row in rows]
    assert "no pictures were held out" in draw_history(unwatched, "shapes")[1]


def rows_of(**accuracies):
    return [
        {"name": name, "seed": seed, "result": {"accuracy": accuracy}}
        for name, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]


def test_a_comparison_draws_every_seed_and_tells_mean_and_deviation_best_first():
    rows = rows_of(worse=[0.5, 0.6, 0.7], better=[0.9, 0.8, 0.7], once=[0.1])
    figure, sentence = draw_comparison(rows[::-1], "Two")
    assert sentence == (
        "Two. Accuracy in percent: better: 80.0 ± 10.0; worse: 60.0 ± 10.0; once: 10.0 (one seed)."
    )
    dots = [line.get_xdata() for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(dots[0], [90, 80, 70])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["better", "worse", "once"]


def test_a_confusion_table_names_the_worst_mix_up_by_row_and_column():
    counts = [[8, 1, 1], [4, 6, 0], [0, 0, 10]]
    figure, sentence = draw_confusion(counts, ("cat", "dog", "ship"))
    assert sentence == (
        "dog is taken for cat most often: 4 of 10. Rightly named are 24 of 30; best ship (100.0%), "
        "worst dog (60.0%)."
    )
    written = {(*text.get_position(),): text.get_text() for text in figure.axes[0].texts}
    assert written[0, 1] == "4" and written[1, 0] == "1"  # (column, row)
    perfect = [[3, 0], [0, 3]]
    assert "most often: 0 of 3" in draw_confusion(perfect, ("a", "b"))[1]


def test_guesses_are_told_under_their_pictures():
    images = np.arange(7 * 3 * 4 * 4, dtype=np.uint8).reshape(7, 3, 4, 4)
    figure, sentence = draw_guesses(images, [0] * 7, [1] * 6 + [0], ("cat", "dog"), "Seven")
    assert sentence == "Seven: " + 6 * "cat, not dog; " + "cat."
    assert len(figure.axes) == 7
    drawn = figure.axes[3].get_images()[0].get_array()
    np.testing.assert_array_equal(drawn, images[3].transpose(1, 2, 0))
