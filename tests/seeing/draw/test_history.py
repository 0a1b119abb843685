"""A history is drawn and described with and without validation."""

from matplotlib.figure import Figure

from minimaxvit.seeing import draw_history


def test_a_history_is_described_with_and_without_validation():
    rows = [
        {"epoch": 1, "loss": 2.0, "train_accuracy": 0.25, "val_accuracy": 0.5},
        {"epoch": 2, "loss": 1.0, "train_accuracy": 0.75, "val_accuracy": 0.625},
    ]
    figure, alt = draw_history(rows, "shapes")
    assert isinstance(figure, Figure)
    assert alt == (
        "shapes: validation accuracy ends at 62.5%, 12.5 points below training. From epoch 1 to "
        "epoch 2, the loss goes from 2.000 to 1.000, training accuracy from 25.0% to 75.0%, "
        "validation accuracy from 50.0% to 62.5%; the best validation accuracy is 62.5%."
    )
    drawn = [line.get_ydata() for line in figure.axes[1].get_lines()]
    assert [list(line) for line in drawn] == [[25, 75], [50, 62.5]]
    unwatched = [{**row, "val_accuracy": None} for row in rows]
    assert "no images were held out for validation" in draw_history(unwatched, "shapes")[1]
