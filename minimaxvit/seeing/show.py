"""Put a figure into a notebook together with a sentence that says what it shows."""

from io import BytesIO


def show(figure, sentence):
    """Display a figure so that those who cannot see it read its numbers too.

    The sentence is the picture's alternative text (output metadata "image/png", key "alt") and is
    printed below it, where a comparison of outputs, which skips pictures, checks its numbers.
    """
    from IPython.display import Image, display  # a notebook has it, the package needs it only here

    png = BytesIO()
    figure.savefig(png, format="png", bbox_inches="tight")
    display(Image(png.getvalue(), alt=sentence))
    print(sentence)
