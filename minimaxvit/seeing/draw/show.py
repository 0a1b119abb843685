"""Put a figure into a notebook together with its alt text."""

from io import BytesIO


def show(figure, alt):
    """Display a figure so that those who cannot see it can read its numbers.

    The alt text goes into the output's metadata ("image/png", key "alt") and is printed below the
    figure, where a comparison of outputs, which skips images, checks its numbers.
    """
    from IPython.display import Image, display  # a notebook has it, the package needs it only here

    png = BytesIO()
    figure.savefig(png, format="png", bbox_inches="tight")
    display(Image(png.getvalue(), alt=alt))
    print(alt)
