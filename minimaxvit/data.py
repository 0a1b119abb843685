"""Pictures to learn from: CIFAR-10, found or downloaded, and shapes, drawn on the spot.

Both stay in memory whole, as bytes; there is no loader and there are no workers.
"""

import hashlib
import os
import tarfile
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from .shapes import SHAPES, draw_shapes

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # of the official binary archive
CIFAR10_FOLDER = "cifar-10-batches-bin"
CIFAR10_CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
TRAINING_FILES = [f"data_batch_{number}.bin" for number in range(1, 6)]
TEST_FILE = "test_batch.bin"
ROW = 1 + 3 * 32 * 32  # a label and three planes of bytes


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures: `images` uint8 (n, 3, h, w), `labels` long (n,), values index `classes`.

    `source` says where they came from and belongs beside every figure measured on them.
    """

    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple
    source: str

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return replace(self, images=self.images[index], labels=self.labels[index])

    def to(self, device):
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def sha256(self):
        """Name these very pictures and labels, so that a result can say what it was measured on."""
        digest = hashlib.sha256(self.images.cpu().contiguous().numpy())
        digest.update(self.labels.cpu().contiguous().numpy())
        return digest.hexdigest()


def normalise(images):
    """Turn bytes into what the network reads: uint8 in 0..255 -> float in -1..1."""
    return images.to(torch.float32).div(127.5).sub(1)


def shapes(training=20_000, test=2_000):
    """Draw shapes to train on and others to test on, in a few seconds and without any download."""
    sets = []
    for count, seed in ((training, 0), (test, 1)):
        images, labels = draw_shapes(count, seed)
        images, labels = torch.from_numpy(images), torch.from_numpy(labels).long()
        sets.append(Pictures(images, labels, SHAPES, "shapes"))
    return tuple(sets)


def find_cifar10(path=None):
    """Find the folder of CIFAR-10's binary files: in `path`, else MINIMAXVIT_DATA, else data/.

    Each may be the folder itself or the one that holds it. A `path` that is given must be right.
    Raises FileNotFoundError, saying where it looked and how to get the data.
    """
    places = [path] if path else [os.environ.get("MINIMAXVIT_DATA"), "data"]
    places = [Path(place) for place in places if place]
    for place in places:
        for folder in (place, place / CIFAR10_FOLDER):
            if (folder / TEST_FILE).is_file():
                return folder
    raise FileNotFoundError(
        f"no CIFAR-10 in {' or '.join(map(str, places))}: download it with `minimaxvit data "
        f"cifar10`, or name its folder in MINIMAXVIT_DATA"
    )


def cifar10(path=None):
    """Read CIFAR-10: 50,000 pictures to train on and 10,000 to test on, from `find_cifar10(path)`.

    A file SOURCE beside them, if there is one, says what these pictures are. Raises ValueError,
    naming the file, if one is not what the official layout says.
    """
    folder = find_cifar10(path)
    note = folder / "SOURCE"
    source = note.read_text().strip() if note.is_file() else "CIFAR-10"
    training = [_read_batch(folder / name) for name in TRAINING_FILES]
    sets = zip(*training, strict=True), zip(_read_batch(folder / TEST_FILE), strict=True)
    return tuple(Pictures(*map(torch.cat, part), CIFAR10_CLASSES, source) for part in sets)


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


def load_data(name, path=None):
    """Get (training, test) pictures: "cifar10", "shapes", or "any", CIFAR-10 where it is there.

    Raises ValueError for another name.
    """
    if name not in ("any", "cifar10", "shapes"):
        raise ValueError(f"there is no data called {name!r}: choose cifar10, shapes or any")
    if name == "any" and not path:
        try:
            path = find_cifar10()
        except FileNotFoundError:
            name = "shapes"
    return shapes() if name == "shapes" else cifar10(path)


def download_cifar10(source=CIFAR10_URL, folder="data", md5=CIFAR10_MD5):
    """Put CIFAR-10's binary files into `folder`, from any address or copy of the official archive.

    Everything happens in a temporary folder until the checksum is right and all is unpacked, so
    a download that breaks leaves nothing behind. Returns the folder of the files.
    Raises OSError if it cannot be fetched, ValueError if the archive is another one.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
        archive = _fetch(source, temporary, md5)
        with tarfile.open(archive) as tar:
            tar.extractall(temporary, filter="data")
        unpacked = find_cifar10(temporary)
        cifar10(unpacked)  # raises if a file is not what it should be
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


def _fetch(source, temporary, md5):
    import pooch  # in a notebook it warns of missing widgets, which only its downloads would use

    if Path(source).is_file():
        if pooch.file_hash(source, "md5") != md5:
            raise ValueError(f"{source} is not the archive: its md5 is not {md5}")
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
