"""CIFAR-10 read, found and downloaded; what breaks is named, and leaves nothing behind."""

import hashlib
import os
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch

from minimaxvit.datasets import cifar10 as data, loading
from minimaxvit.datasets.cifar10 import (
    CIFAR10_FOLDER,
    CIFAR10_MD5,
    CIFAR10_URL,
    download_cifar10,
    find_cifar10,
    load_cifar10,
)
from minimaxvit.datasets.labeled_images import LabeledImages
from minimaxvit.datasets.loading import load_data, load_shapes
from minimaxvit.datasets.shapes import draw_shapes
from minimaxvit.pixels import normalize

ROW = 3073
SIZE = 10_000 * ROW
TRAINING_FILES = [f"data_batch_{number}.bin" for number in (1, 2, 3, 4, 5)]
TEST_FILE = "test_batch.bin"
FILES = [*TRAINING_FILES, TEST_FILE]


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """A working folder of the test's own, no folder in the environment, no proxy on the way."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.delenv("MINIMAXVIT_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def write_batches(folder, size=SIZE):
    """Six files of zeros, which take no room on the disk; the first label of each is its place."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(FILES):
        with open(folder / name, "wb") as file:
            file.write(bytes([place]))
            file.truncate(size)
    return folder


def a_test_file(folder):
    folder.mkdir(parents=True)
    (folder / TEST_FILE).touch()
    return folder


def a_few():
    images = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).view(2, 3, 4, 4)
    return LabeledImages(images, torch.tensor([1, 0]), ("a", "b"), "here")


# Reading

REAL = Path(__file__).parents[2] / "data" / CIFAR10_FOLDER


@pytest.mark.skipif(not REAL.is_dir(), reason="CIFAR-10 is not in data/")
def test_the_real_images_are_as_many_in_every_class():
    training, test = load_cifar10(REAL)
    assert training.labels.bincount().tolist() == 10 * [5000]
    assert test.labels.bincount().tolist() == 10 * [1000]
    assert training.source.startswith("CIFAR-10")
    assert 110 < training.images.float().mean() < 130


def test_a_label_and_planes_of_red_green_and_blue_are_read_row_by_row(tmp_path):
    folder = write_batches(tmp_path / "cifar")
    rng = np.random.default_rng(0)
    raw = rng.integers(256, size=SIZE, dtype=np.uint8)
    raw[::ROW] %= 10
    (folder / TEST_FILE).write_bytes(raw.tobytes())
    _, test = load_cifar10(folder)
    assert test.images.shape == (10_000, 3, 32, 32) and test.images.dtype == torch.uint8
    assert test.labels.shape == (10_000,) and test.labels.dtype == torch.long
    assert np.array_equal(test.labels, raw[::ROW])
    for _ in range(300):
        picture, color, y, x = rng.integers([10_000, 3, 32, 32])
        place = picture * ROW + 1 + color * 1024 + y * 32 + x
        assert test.images[picture, color, y, x] == raw[place]


def test_five_batches_are_for_training_in_their_order(tmp_path):
    training, test = load_cifar10(write_batches(tmp_path))
    assert len(training) == 50_000 and len(test) == 10_000
    assert training.labels[::10_000].tolist() == [0, 1, 2, 3, 4] and test.labels[0] == 5
    assert training.images.shape == (50_000, 3, 32, 32)
    names = "airplane automobile bird cat deer dog frog horse ship truck".split()
    assert list(training.classes) == list(test.classes) == names


def test_a_source_file_says_what_the_images_are(tmp_path):
    write_batches(tmp_path)
    assert [part.source for part in load_cifar10(tmp_path)] == ["CIFAR-10", "CIFAR-10"]
    (tmp_path / "SOURCE").write_text("a stand-in\n")
    assert [part.source for part in load_cifar10(tmp_path)] == ["a stand-in", "a stand-in"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_is_named(name, tmp_path):
    write_batches(tmp_path)
    os.truncate(tmp_path / name, SIZE - 1)
    with pytest.raises(ValueError, match=f"{name} has {SIZE - 1} bytes"):
        load_cifar10(tmp_path)


def test_a_file_too_long_is_named(tmp_path):
    os.truncate(write_batches(tmp_path) / TEST_FILE, SIZE + ROW)
    with pytest.raises(ValueError, match=f"{TEST_FILE} has {SIZE + ROW} bytes"):
        load_cifar10(tmp_path)


def test_a_label_beyond_nine_is_named_with_its_file(tmp_path):
    write_batches(tmp_path)
    with open(tmp_path / TRAINING_FILES[2], "rb+") as file:
        file.seek(9_999 * ROW)
        file.write(b"\x0a")
    with pytest.raises(ValueError, match=f"{TRAINING_FILES[2]} holds label 10"):
        load_cifar10(tmp_path)


@pytest.mark.parametrize("name", TRAINING_FILES)
def test_a_missing_file_is_named(name, tmp_path):
    (write_batches(tmp_path) / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing"):
        load_cifar10(tmp_path)


# Finding


def test_the_given_path_comes_before_the_environment_and_that_before_data(monkeypatch):
    here = a_test_file(Path("data"))
    assert find_cifar10() == here
    named = a_test_file(Path("named"))
    monkeypatch.setenv("MINIMAXVIT_DATA", "named")
    assert find_cifar10() == named
    given = a_test_file(Path("given"))
    assert find_cifar10("given") == given and find_cifar10(Path("given")) == given


def test_the_folder_itself_or_its_parent_will_do(monkeypatch):
    inside = a_test_file(Path("some") / CIFAR10_FOLDER)
    assert find_cifar10("some") == find_cifar10(inside) == inside
    monkeypatch.setenv("MINIMAXVIT_DATA", "some")
    assert find_cifar10() == inside
    unpacked = a_test_file(Path("data") / CIFAR10_FOLDER)
    monkeypatch.setenv("MINIMAXVIT_DATA", "")
    assert find_cifar10() == unpacked


def test_an_environment_that_leads_nowhere_gives_way_to_data(monkeypatch):
    monkeypatch.setenv("MINIMAXVIT_DATA", "nowhere")
    here = a_test_file(Path("data"))
    assert find_cifar10() == here


def test_a_wrong_path_fails_whatever_else_there_is(monkeypatch):
    a_test_file(Path("data"))
    a_test_file(Path("named"))
    monkeypatch.setenv("MINIMAXVIT_DATA", "named")
    for read in (find_cifar10, load_cifar10, lambda path: load_data("any", path)):
        with pytest.raises(FileNotFoundError, match="no CIFAR-10 in wrong: .*minimaxvit data"):
            read("wrong")


def test_every_place_that_was_searched_is_named(monkeypatch):
    monkeypatch.setenv("MINIMAXVIT_DATA", "named")
    with pytest.raises(FileNotFoundError, match="no CIFAR-10 in named or data: "):
        find_cifar10()


def test_any_is_cifar10_where_it_is_and_shapes_elsewhere(monkeypatch):
    monkeypatch.setattr(loading, "load_shapes", lambda: "drawn")
    assert load_data("any") == "drawn" and load_data("shapes") == "drawn"
    with pytest.raises(FileNotFoundError):
        load_data("cifar10")
    write_batches(Path("data"))
    assert load_data("any")[0].source == load_data("cifar10")[0].source == "CIFAR-10"
    assert load_data("shapes") == "drawn"


@pytest.mark.parametrize("name", ["any", "cifar10"])
def test_data_is_read_from_the_folder_that_is_named(name):
    write_batches(Path("named"))
    assert loading.choose_data(name, "named") == "cifar10"
    assert load_data(name, "named")[1].source == "CIFAR-10"


def test_shapes_are_the_same_every_time_and_none_is_in_both_sets():
    drawn = {part: draw_shapes(20, seed)[0] for part, seed in (("training", 0), ("test", 1))}
    training, test = load_shapes(train_size=20, test_size=20)
    assert np.array_equal(training.images, drawn["training"])
    assert np.array_equal(test.images, drawn["test"])
    sizes = [each.default for each in signature(load_shapes).parameters.values()]
    assert sizes == [20_000, 2_000]


def test_any_does_not_pass_over_a_file_that_is_broken(monkeypatch):
    monkeypatch.setattr(loading, "load_shapes", lambda: "drawn")
    os.truncate(write_batches(Path("data")) / TEST_FILE, 5)
    with pytest.raises(ValueError, match=TEST_FILE):
        load_data("any")


def test_any_does_not_pass_over_a_file_that_is_missing(monkeypatch):
    monkeypatch.setattr(loading, "load_shapes", lambda: "drawn")
    (write_batches(Path("data")) / TRAINING_FILES[0]).unlink()
    with pytest.raises(FileNotFoundError, match=TRAINING_FILES[0]):
        load_data("any")


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="'imagenet': choose cifar10, shapes or any"):
        load_data("imagenet")


# Pictures


def test_shapes_are_drawn_apart_for_training_and_test():
    training, test = load_shapes(train_size=300, test_size=200)
    assert (len(training), len(test)) == (300, 200)
    assert training.images.dtype == torch.uint8 and training.labels.dtype == torch.long
    assert training.source == test.source == "shapes" and len(training.classes) == 10
    seen = {picture.numpy().tobytes() for picture in (*training.images, *test.images)}
    assert len(seen) == 500


def test_a_slice_and_a_move_keep_what_belongs_together():
    pictures = a_few()
    second = pictures[1:]
    assert len(second) == 1 and second.labels.tolist() == [0]
    assert torch.equal(second.images, pictures.images[1:])
    assert (second.classes, second.source) == (pictures.classes, pictures.source)
    moved = pictures.to("meta")
    assert moved.images.is_meta and moved.labels.is_meta and moved.classes == pictures.classes


def test_sha256_changes_with_a_label_a_pixel_and_an_order_alone():
    pictures = a_few()
    name = pictures.sha256()
    assert len(name) == 64 and name == a_few().sha256() == pictures[:].sha256()
    assert name == replace(pictures, source="elsewhere").sha256()
    apart = pictures.images.contiguous(memory_format=torch.channels_last)
    assert name == replace(pictures, images=apart).sha256()
    pixel, label = pictures.images.clone(), pictures.labels.clone()
    pixel[1, 2, 3, 3] += 1
    label[1] = 1
    others = [
        replace(pictures, images=pixel),
        replace(pictures, labels=label),
        pictures[torch.tensor([1, 0])],
        pictures[:1],
    ]
    assert len({name, *(other.sha256() for other in others)}) == 5


def test_bytes_become_numbers_from_minus_one_to_one():
    images = torch.arange(256, dtype=torch.uint8)
    numbers = normalize(images)
    assert numbers.dtype == torch.float32
    assert numbers[0] == -1 and numbers[255] == 1
    assert torch.allclose(numbers.double(), images.double() / 127.5 - 1, atol=1e-7)


# Downloading


@pytest.fixture
def serve():
    """Serve bytes on this machine: serve(body, promised, status) gives an address."""
    servers = []

    def start(body=b"", promised=None, status=200):
        def answer(handler):
            handler.send_response(status)
            handler.send_header("Content-Length", str(promised or len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        quiet = {"do_GET": answer, "log_message": lambda *_: None}
        handler = type("Handler", (BaseHTTPRequestHandler,), quiet)
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/cifar-10-binary.tar.gz"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """An archive as the official one in all but its pictures."""
    folder = tmp_path_factory.mktemp("archive")
    return pack(write_batches(folder / "batches"), folder / "copy.tar.gz")


def pack(batches, path, names=FILES):
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name in names:
            tar.add(batches / name, f"{CIFAR10_FOLDER}/{name}")
    return path


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def everything(folder):
    """Every file and folder inside, hidden ones too, with its bytes."""
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def test_the_official_archive_is_the_one_asked_for(monkeypatch):
    asked = []

    def fetch(source, folder, md5):
        asked.extend((source, md5))
        raise OSError("no network")

    monkeypatch.setattr(data, "_fetch", fetch)
    with pytest.raises(OSError, match="no network"):
        download_cifar10()
    assert asked == [CIFAR10_URL, CIFAR10_MD5]
    assert CIFAR10_MD5 == "c32a1d4ab5d03f1284b67883e8d87530"
    assert CIFAR10_URL == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    assert everything(Path("data")) == {}


def test_a_download_takes_the_place_of_what_was_there(serve, archive):
    old = a_test_file(Path("data") / CIFAR10_FOLDER)
    (old / "old").write_text("old")  # somebody's own
    (old / "SOURCE").write_text("a stand-in")  # no longer true
    Path("data/mine").write_text("mine")
    folder = download_cifar10(serve(archive.read_bytes()), "data", md5(archive))
    assert folder == old and sorted(os.listdir(folder)) == sorted([*FILES, "old"])
    assert sorted(os.listdir("data")) == [CIFAR10_FOLDER, "mine"]
    training, test = load_cifar10()
    assert training.labels[::10_000].tolist() == [0, 1, 2, 3, 4] and test.labels[0] == 5


def test_a_copy_of_the_archive_will_do_and_stays(archive, tmp_path):
    before = md5(archive)
    for source, folder in ((archive, tmp_path / "new" / "deep"), (str(archive), "data")):
        assert download_cifar10(source, folder, before) == Path(folder) / CIFAR10_FOLDER
        assert sorted(os.listdir(Path(folder) / CIFAR10_FOLDER)) == sorted(FILES)
        assert os.listdir(folder) == [CIFAR10_FOLDER]
    assert md5(archive) == before


# Sources that fail: each gives (source, md5).


def another_archive(serve, archive, folder):
    return serve(b"something else"), md5(archive)


def a_cut_connection(serve, archive, folder):
    body = archive.read_bytes()
    return serve(body[: len(body) // 2], promised=len(body)), md5(archive)


def an_absent_page(serve, archive, folder):
    return serve(b"not found", status=404), md5(archive)


def a_closed_port(serve, archive, folder):
    return "http://127.0.0.1:1/cifar-10-binary.tar.gz", md5(archive)


def an_address_of_another_kind(serve, archive, folder):
    return "elsewhere/copy.tar.gz", md5(archive)


def an_address_that_is_none(serve, archive, folder):
    return "http://", md5(archive)


def an_ftp_address(serve, archive, folder):
    return "ftp://127.0.0.1:1/copy.tar.gz", md5(archive)


def another_copy(serve, archive, folder):
    (folder / "copy").write_bytes(archive.read_bytes()[:-1])
    return folder / "copy", md5(archive)


def an_archive_without_a_batch(serve, archive, folder):
    names = [name for name in FILES if name != TRAINING_FILES[0]]
    copy = pack(write_batches(folder / "batches", size=5), folder / "copy", names)
    return copy, md5(copy)


def an_archive_without_the_test_batch(serve, archive, folder):
    copy = pack(write_batches(folder / "batches", size=5), folder / "copy", TRAINING_FILES)
    return copy, md5(copy)


def an_archive_with_a_short_batch(serve, archive, folder):
    copy = pack(write_batches(folder / "batches", size=5), folder / "copy")
    return copy, md5(copy)


FAILURES = {
    another_archive: (ValueError, "did not send the archive: .*MD5"),
    a_cut_connection: (OSError, "could not fetch http://127.*try again"),
    an_absent_page: (OSError, "could not fetch http://127.*404"),
    a_closed_port: (OSError, "could not fetch http://127"),
    an_address_of_another_kind: (FileNotFoundError, "no archive elsewhere/copy.tar.gz"),
    an_address_that_is_none: (OSError, "could not fetch http://"),
    an_ftp_address: (FileNotFoundError, "no archive ftp://"),
    another_copy: (ValueError, "copy is not the archive: its md5"),
    an_archive_without_a_batch: (FileNotFoundError, f"{TRAINING_FILES[0]} is missing"),
    an_archive_without_the_test_batch: (FileNotFoundError, "no CIFAR-10 in"),
    an_archive_with_a_short_batch: (ValueError, f"{TRAINING_FILES[0]} has 5 bytes"),
}


@pytest.mark.parametrize("there", ["nothing", "good data"])
@pytest.mark.parametrize("source", FAILURES, ids=lambda source: source.__name__)
def test_a_download_that_fails_leaves_all_as_it_was(source, there, serve, archive, tmp_path):
    Path("data").mkdir()
    if there == "good data":
        write_batches(Path("data") / CIFAR10_FOLDER, size=7)
    before = everything(Path("data"))
    address, wanted = source(serve, archive, tmp_path)
    error, told = FAILURES[source]
    with pytest.raises(error, match=told) as caught:
        download_cifar10(address, "data", wanted)
    assert "\n" not in str(caught.value)
    assert everything(Path("data")) == before


def test_what_a_killed_download_left_behind_goes(archive):
    left = Path("data") / ".download-killed"
    left.mkdir(parents=True)
    (left / "archive.tar.gz").write_bytes(b"half")
    folder = download_cifar10(archive, "data", md5(archive))
    assert os.listdir("data") == [folder.name]


def test_a_download_that_fails_still_removes_what_another_left():
    left = Path("data") / ".download-killed"
    left.mkdir(parents=True)
    with pytest.raises(FileNotFoundError):
        download_cifar10("nowhere", "data")
    assert os.listdir("data") == []


def test_a_download_is_written_beside_where_it_goes(archive, monkeypatch):
    places, fetch = [], data._fetch

    def watch(source, temporary, md5):
        places.append(Path(temporary))
        return fetch(source, temporary, md5)

    monkeypatch.setattr(data, "_fetch", watch)
    download_cifar10(archive, "here", md5(archive))
    (place,) = places
    assert place.parent.samefile("here") and place.name.startswith(data.TEMPORARY)
    assert not place.exists()
    assert signature(download_cifar10).parameters["folder"].default == "data"


def test_an_archive_that_would_write_elsewhere_is_refused(tmp_path):
    evil = tmp_path / "evil.tar.gz"
    (tmp_path / "x").write_text("x")
    with tarfile.open(evil, "w:gz") as tar:
        tar.add(tmp_path / "x", "../../outside")
    with pytest.raises(Exception, match="outside"):
        download_cifar10(evil, "here", md5(evil))
    assert not [path for path in tmp_path.rglob("outside")]


def test_folders_beside_the_images_are_kept(archive):
    mine = write_batches(Path("here") / CIFAR10_FOLDER) / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("kept")
    download_cifar10(archive, "here", md5(archive))
    assert (Path("here") / CIFAR10_FOLDER / "mine" / "notes.txt").read_text() == "kept"


@pytest.mark.parametrize("short", [1, 10_000 * ROW - 1])
def test_how_long_a_file_should_be_is_told(short):
    folder = write_batches(Path("data"))
    os.truncate(folder / TEST_FILE, short)
    with pytest.raises(ValueError, match=f"has {short} bytes where .* layout has 30730000: it is"):
        load_cifar10(folder)


def test_a_home_folder_is_the_user_s(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = download_cifar10(archive, "~/data", md5(archive))
    assert folder == tmp_path / "home" / "data" / CIFAR10_FOLDER and not Path("~").exists()
    assert find_cifar10("~/data") == folder
    monkeypatch.setenv("MINIMAXVIT_DATA", "~/data")
    assert find_cifar10() == folder
