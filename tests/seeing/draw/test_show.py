"""A figure is shown with its alt text."""

from IPython.display import Image
from matplotlib.figure import Figure

from minimaxvit.seeing import show


def test_show_gives_the_figure_its_alt_text_and_prints_it(monkeypatch, capsys):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    show(Figure(), "5 of 8 seen")
    (image,) = shown
    assert isinstance(image, Image)
    data, metadata = image._repr_mimebundle_()
    assert set(data) == {"image/png"}
    assert metadata == {"image/png": {"alt": "5 of 8 seen"}}
    assert capsys.readouterr().out == "5 of 8 seen\n"
