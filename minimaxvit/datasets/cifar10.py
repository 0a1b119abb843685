"""CIFAR-10 in its official binary layout: found on the disk, read, and downloaded."""

import os
import shutil
import tarfile
import tempfile
from pathlib import Path

import torch

from ..locked import locked
from .labeled_images import LabeledImages

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # of the official binary archive
CIFAR10_FOLDER = "cifar-10-batches-bin"
PYTHON_FOLDER = "cifar-10-batches-py"
CIFAR10_CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
TRAINING_FILES = [f"data_batch_{number}.bin" for number in range(1, 6)]
TEST_FILE = "test_batch.bin"
SOURCE = "SOURCE"  # a file that says where images come from that are not the official ones
TEMPORARY = ".download-"
ROW = 1 + 3 * 32 * 32  # a label and three planes of bytes


def find_cifar10(path=None):
    """Find the folder of CIFAR-10's binary files: in `path`, else MINIMAXVIT_DATA, else data/.

    Each may be the folder itself or the one that holds it. A `path` that is given must be right.
    Raises FileNotFoundError, saying where it looked and how to get the data.
    """
    places = [path] if path else [os.environ.get("MINIMAXVIT_DATA"), "data"]
    places = [Path(place).expanduser() for place in places if place]
    for place in places:
        for folder in (place, place / CIFAR10_FOLDER):
            if (folder / TEST_FILE).is_file():
                return folder
    for place in places:
        for folder in (place, place / PYTHON_FOLDER):
            if (folder / "test_batch").is_file():
                raise FileNotFoundError(
                    f"{folder} holds CIFAR-10's version for Python, and the binary version is "
                    f"needed: download it with `minimaxvit data cifar10`"
                )
    raise FileNotFoundError(
        f"no CIFAR-10 in {' or '.join(map(str, places))}: download it with `minimaxvit data "
        f"cifar10`, or name its folder in MINIMAXVIT_DATA"
    )


def load_cifar10(path=None):
    """Read CIFAR-10, 50,000 training and 10,000 test images, from `find_cifar10(path)`.

    If there is a file SOURCE beside them, it says what these images are. Raises ValueError, naming
    the file, for one that is not in the official layout.
    """
    folder = find_cifar10(path)
    note = folder / SOURCE
    source = note.read_text().strip() if note.is_file() else "CIFAR-10"
    training = [_read_batch(folder / name) for name in TRAINING_FILES]
    sets = zip(*training, strict=True), zip(_read_batch(folder / TEST_FILE), strict=True)
    return tuple(LabeledImages(*map(torch.cat, part), CIFAR10_CLASSES, source) for part in sets)


def _read_batch(path):
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: unpack or download CIFAR-10 again")
    size = path.stat().st_size
    if size != 10_000 * ROW:
        raise ValueError(
            f"{path} has {size} bytes where CIFAR-10's binary layout has {10_000 * ROW}: it is "
            f"cut short or another file; unpack or download CIFAR-10 again"
        )
    rows = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8).view(-1, ROW)
    labels = rows[:, 0].long()
    if labels.max() > 9:
        raise ValueError(f"{path} holds label {labels.max()}, CIFAR-10 has 0 to 9: another file?")
    return rows[:, 1:].reshape(-1, 3, 32, 32), labels


def download_cifar10(source=CIFAR10_URL, folder="data", md5=CIFAR10_MD5):
    """Put CIFAR-10's binary files into `folder`, from an address or a copy of the official archive.

    Everything happens in a temporary folder until the checksum is right and all is unpacked, so
    a download that breaks leaves nothing behind, and what a kill leaves, the next one removes.
    Files beside those of an earlier CIFAR-10 are kept. Returns the folder of the files.
    Raises OSError if it cannot be fetched, ValueError if the archive is another one or another
    process downloads into the same folder.
    """
    folder = Path(folder).expanduser()
    with locked(folder):
        for left in folder.glob(f"{TEMPORARY}*"):
            shutil.rmtree(left, ignore_errors=True)
        return _download(source, folder, md5)


def _download(source, folder, md5):
    with tempfile.TemporaryDirectory(dir=folder, prefix=TEMPORARY) as temporary:
        archive = _fetch(source, temporary, md5)
        with tarfile.open(archive) as tar:
            tar.extractall(temporary, filter="data")
        unpacked = find_cifar10(temporary)
        load_cifar10(unpacked)  # raises if a file is not what it should be
        _keep_others(folder / CIFAR10_FOLDER, unpacked)
        final, previous = folder / CIFAR10_FOLDER, Path(temporary) / "previous"
        if final.exists():
            final.rename(previous)
        try:
            unpacked.rename(final)
        except OSError:
            if previous.exists():
                previous.rename(final)
            raise
    return final


def _keep_others(earlier, new):
    """Copy what else is in the earlier folder, but not the note on where its images came from."""
    for other in earlier.iterdir() if earlier.is_dir() else ():
        if other.name != SOURCE and not (new / other.name).exists():
            copy = shutil.copytree if other.is_dir() else shutil.copy2
            copy(other, new / other.name)


def _fetch(source, temporary, md5):
    import pooch  # in a notebook it warns of missing widgets, which only its downloads would use

    source = os.path.expanduser(source)
    if Path(source).is_file():
        if pooch.file_hash(source, "md5") != md5:
            raise ValueError(f"{source} is not the archive: {_what_it_is(source, md5)}")
        return source
    if not str(source).startswith(("http://", "https://")):
        raise FileNotFoundError(f"there is no archive {source}: give a file or an http address")
    try:
        downloader = pooch.HTTPDownloader(progressbar=True, timeout=60)
        return pooch.retrieve(
            source, f"md5:{md5}", "archive.tar.gz", temporary, downloader=downloader
        )
    except OSError as error:  # all that requests raises, too
        raise OSError(
            f"could not fetch {source}: {error}; try again, or give another address or a copy: "
            f"minimaxvit data cifar10 ADDRESS_OR_FILE"
        ) from None
    except ValueError as error:
        raise ValueError(f"{source} did not send the archive: {error}") from None


def _what_it_is(path, md5):
    """Say what a file is that is not the official binary archive."""
    try:
        with tarfile.open(path) as tar:
            names = {name.split("/")[0] for name in tar.getnames()}
    except (tarfile.TarError, EOFError, OSError):
        return f"its md5 is not {md5}, and it is cut short or no archive at all; fetch it again"
    if PYTHON_FOLDER in names:
        return "it is CIFAR-10's version for Python, and the binary version is needed"
    with open(path, "rb") as file:
        if CIFAR10_FOLDER in names and file.read(2) != b"\x1f\x8b":
            return "it is unzipped already; unpack it with tar, and name the folder instead"
    return f"its md5 is not {md5}"
