"""Whatever is given at random, only documented errors come out, each in one line."""

import io
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from PIL import Image
from training_helpers import SMALL, few_shapes

from minimaxvit import MAXVIT_PARTS, MaxViT, commands
from minimaxvit.__main__ import main
from minimaxvit.datasets import read_image
from minimaxvit.sizes import with_image_size
from minimaxvit.training import Recipe

several = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
odd = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 3), st.floats(), st.text(max_size=3), st.just(())
)


def one_line(error):
    message = str(error)
    assert message and "\n" not in message and len(message) < 500, message
    return message


# Networks

number = st.one_of(st.integers(-1, 4), st.sampled_from([0.5, True, None, "two"]))
numbers = st.lists(st.sampled_from([32, 64, 0, 48]), max_size=3).map(tuple)
changes = st.fixed_dictionaries(
    {},
    optional={
        "dims": st.one_of(number, numbers),
        "depths": st.one_of(number, st.lists(st.integers(0, 2), max_size=3).map(tuple)),
        "stem_dim": st.one_of(number, st.sampled_from([8, 32])),
        "stem_stride": number,
        "strides": st.one_of(number, st.lists(st.integers(0, 3), max_size=3).map(tuple)),
        "window": number,
        "expansion": number,
        "drop_path": st.floats(),
        "num_classes": number,
        "image_size": number,
        "parts": st.lists(st.just(MAXVIT_PARTS), max_size=3).map(tuple),
    },
)


@several
@given(changes, st.integers(0, 40), st.integers(0, 40), st.integers(0, 2))
def test_a_network_is_refused_or_classifies(changed, h, w, count):
    try:
        config = replace(SMALL, **changed)
        assume(not isinstance(config.dims, int) or config.dims <= 64)
        model = MaxViT(config).eval()
        logits = model(torch.zeros(count, 3, h, w))
    except ValueError as error:
        one_line(error)
    else:
        assert logits.shape == (count, config.num_classes) and logits.isfinite().all()


@several
@given(st.one_of(st.integers(-5, 600), odd))
def test_an_image_size_is_refused_or_scales_the_windows(size):
    try:
        scaled = with_image_size(replace(SMALL, image_size=32), size)
    except ValueError as error:
        one_line(error)
    else:
        assert scaled.window * 32 == SMALL.window * size


@several
@given(st.sampled_from([field.name for field in fields(Recipe)]), odd)
def test_a_recipe_is_refused_by_the_name_of_what_is_wrong(name, value):
    try:
        recipe = Recipe(**{name: value})
    except ValueError as error:
        assert one_line(error).startswith(name)
    else:
        assert getattr(recipe, name) == value


# Images

MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "I;16", "F"]


@st.composite
def image_files(draw):
    """Bytes of an image file of any mode and size, with odd notes, perhaps damaged."""
    mode = draw(st.sampled_from(MODES))
    kind = draw(st.sampled_from(["PNG", "JPEG", "TIFF", "GIF", "BMP"]))
    image = Image.new(mode, (draw(st.integers(1, 60)), draw(st.integers(1, 60))))
    exif = draw(st.one_of(st.none(), st.binary(max_size=40), st.integers(0, 300)))
    if isinstance(exif, int):
        notes = Image.Exif()
        notes[0x0112] = exif
        exif = notes.tobytes()
    written = io.BytesIO()
    try:
        image.save(written, kind, **({"exif": exif} if exif is not None else {}))
    except (OSError, ValueError, TypeError, KeyError, SyntaxError):
        assume(False)  # Pillow writes no such file
    data = bytearray(written.getvalue())
    if draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    for place in draw(st.lists(st.integers(0, max(0, len(data) - 1)), max_size=3)):
        if data:
            data[place] ^= draw(st.integers(1, 255))
    return bytes(data)


@pytest.mark.filterwarnings("ignore")
@several
@given(image_files(), st.integers(1, 40), st.integers(1, 40))
def test_an_image_file_is_refused_or_read(tmp_path, data, h, w):
    (tmp_path / "a.png").write_bytes(data)
    try:
        image, note = read_image(tmp_path / "a.png", h, w)
    except ValueError as error:
        assert "a.png cannot be read" in one_line(error)
    else:
        assert image.shape == (1, 3, h, w) and image.dtype == torch.uint8 and "\n" not in note


# Command lines

WORDS = "train evaluate predict explore summary data compact tiny cifar10 shapes no.png".split()
WORDS += "--data --out --steps --seed --size --run --network --device --help --debug -1 0 3".split()
WORDS += ["", "é", "\udcff", "a b", "~", "--no-muon", "--ema=nan", "--batch-size=16", "cpu"]


@several
@given(st.lists(st.sampled_from(WORDS), max_size=7))
def test_a_command_line_works_or_is_refused_in_one_line(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "load_data", lambda *_: few_shapes())
    monkeypatch.setattr(commands, "download_cifar10", lambda *_: "there")
    monkeypatch.setattr(commands, "fit", lambda *_: (_ for _ in ()).throw(ValueError("enough")))
    capsys.readouterr()
    assume("--debug" not in words)
    try:
        main(words)
    except SystemExit as stopped:
        told = stopped.code if isinstance(stopped.code, str) else capsys.readouterr().err
        if stopped.code != 0:
            assert told.startswith("minimaxvit: ") and told.rstrip("\n").count("\n") == 0
            assert "nobody foresaw" not in told, told
