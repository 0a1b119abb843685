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
    draw_growth,
    draw_guesses,
    draw_history,
    draw_maps,
    draw_offsets,
    draw_partitions,
    draw_reach,
    draw_scales,
    draw_shuffled,
    group_map,
    photograph,
    show,
    shuffle_patches,
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


def test_reach_frames_the_tokens_of_a_lattice():
    groups = group_map(grid_partition, 8, 8, 4)
    lattice = groups == groups[1, 2]
    panels = [("one", (1, 2), count_paths(PAIR, 8, 8, 4, (1, 2)))]
    plain, marked = (draw_reach(panels, *more)[0] for more in [(), ([lattice],)])
    thick, thin = plain.axes[0].patches, marked.axes[0].patches[:-1]  # the last frames the query
    assert [frame.get_xy() for frame in thick] == [(1.5, 0.5)]
    corners = [(column - 0.5, row - 0.5) for row, column in np.argwhere(lattice)]
    assert [frame.get_xy() for frame in thin] == corners
    assert "lattice" in marked.get_suptitle() and "lattice" not in plain.get_suptitle()


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


def test_scales_are_drawn_a_line_each_and_told_at_both_ends():
    largest = {"no scale": [0.1, 0.9], "root": [0.12, 0.13], "width": [0.11, 0.021]}
    figure, sentence = draw_scales((2, 512), largest, keys=49)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert [list(lines[name].get_ydata()) for name in largest] == list(largest.values())
    assert len({lines[name].get_linestyle() for name in largest}) == 3  # told apart without colour
    assert "49 shares" in sentence and "no scale 0.10 at width 2, 0.90 at 512" in sentence
    assert "width 0.11 at width 2, 0.02 at 512" in sentence


def test_shuffled_patches_stand_where_the_order_says():
    picture = np.arange(6 * 6 * 3).reshape(6, 6, 3)
    order = [8, 0, 3, 1, 4, 2, 6, 7, 5]
    laid = shuffle_patches(picture, order)
    for place, patch in enumerate(order):
        (row, column), (r, c) = divmod(place, 3), divmod(patch, 3)
        np.testing.assert_array_equal(
            laid[2 * row : 2 * row + 2, 2 * column : 2 * column + 2],
            picture[2 * r : 2 * r + 2, 2 * c : 2 * c + 2],
        )
    np.testing.assert_array_equal(shuffle_patches(picture, range(9)), picture)


def test_a_shuffled_picture_is_drawn_with_the_numbers_of_its_patches():
    order = [2, 1, 0, 3]
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    figure, sentence = draw_shuffled(picture, order)
    numbers = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert numbers == [["0", "1", "2", "3"], ["2", "1", "0", "3"]]
    assert "4 numbered patches" in sentence and "2 stand elsewhere" in sentence
    assert "first row now holds patches 2, 1" in sentence


def test_offsets_are_drawn_with_every_number_the_frame_and_its_place():
    table = torch.tensor([[0.0, 1, 2], [3, 4, 5], [6, 7, -8.25]])
    panels = [("Table", table, -1, (0, 1)), ("Window", table[:2, :2], 0, (1, 1))]
    figure, sentence = draw_offsets("Two panels", panels)
    left, right = figure.axes
    assert [text.get_text() for text in left.texts] == [*"01234567", "-8.2"]
    assert left.images[0].get_clim() == right.images[0].get_clim() == (-8.25, 7)
    assert left.get_xlabel() == "offset right" and right.get_xlabel() == "column"
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["-1", "0", "1"]
    assert left.patches[0].get_xy() == (1.5, 0.5)  # offset 0, 1: the middle row, the last column
    assert sentence.startswith("Two panels. Table: 5 in the frame at 0, 1; smallest -8.2, ")
    assert "largest 7 at 1, 0. Window: 4 in the frame at 1, 1" in sentence


def test_offsets_may_have_a_scale_for_each_panel():
    panels = [("One", torch.eye(2), 0, (0, 0)), ("Two", 5 * torch.eye(2), 0, (0, 0))]
    figure, _ = draw_offsets("Two panels", panels, shared=False)
    assert [axes.images[0].get_clim() for axes in figure.axes] == [(0, 1), (0, 5)]


def test_growth_is_a_labelled_line_a_layer_told_at_both_ends():
    curves = {"full": [1e9, 16e9], "windows": [1e9, 4e9], "close": [0.9e9, 3e9]}
    figure, sentence = draw_growth([112, 224], curves, "A title")
    axes = figure.axes[0]
    assert [list(line.get_ydata()) for line in axes.lines] == list(curves.values())
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert all("log scale" in label for label in (axes.get_xlabel(), axes.get_ylabel()))
    assert [text.get_text() for text in axes.texts] == list(curves)
    lifts = [text.xyann[1] for text in axes.texts]
    assert lifts == [0, 5, -5], "labels of lines that end close together move apart"
    assert len({line.get_marker() + line.get_linestyle() for line in axes.lines}) == 3
    assert sentence.startswith("A title. From 112 to 224 pixels, full: 1.000 to 16.0 billion")
    assert "windows: 1.000 to 4.0 billion, the last doubling times 4.0" in sentence


def test_maps_bear_their_numbers_on_one_scale():
    edge = np.ones((3, 3))
    edge[0, 0] = 0.25
    figure, sentence = draw_maps({"one": edge, "two": 2 * np.ones((3, 3))}, "Two maps")
    one, two = figure.axes
    assert [text.get_text() for text in one.texts] == ["0.25"] + 8 * ["1.00"]
    assert one.images[0].get_clim() == two.images[0].get_clim()
    assert "one: 1.00 in the middle, 0.25 in the corner, 1.00 at most, 1 of 9 differ" in sentence
    assert "two: 2.00 in the middle, 2.00 in the corner, 2.00 at most, 0 of 9 differ" in sentence
