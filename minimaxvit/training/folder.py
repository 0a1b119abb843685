"""The folder of a run: its files, and what may be wrong with them.

Whatever is damaged or of another run is refused by name.
"""

import json
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten

import torch

from ..atomic_write import atomic_write

CHECKPOINT, WEIGHTS, RECORD = "checkpoint.pt", "model.safetensors", "record.json"
NEWER = {
    "in_channels": 3,
    "normalize": "normalize",
}  # what the records of older versions do not say
REMEDY = "remove it to begin anew, or name another folder"


class AnotherRun(ValueError):
    """What is in the folder is whole, but of another run."""


def check_room(folder, model):
    """Raise OSError now if there is no room for what a run will write, and not at its end."""
    numbers = sum(tensor.numel() for tensor in model.state_dict().values())
    needed, free = 6 * 4 * numbers, shutil.disk_usage(folder).free  # weights, averages, momenta
    if free < needed:
        raise OSError(
            f"{folder} has room for {free:,} bytes, and the run may need {needed:,}: make room, "
            f"or name another folder"
        )
    with tempfile.TemporaryFile(dir=folder):
        pass


def refuse_stray_weights(folder):
    """Raise ValueError if there are weights that no run here can have written."""
    if (folder / WEIGHTS).exists() and not (folder / CHECKPOINT).exists():
        raise ValueError(f"{folder / WEIGHTS} is not of a run, as it has no record: {REMEDY}")


def refuse_another_run(folder, found, settings):
    """Raise AnotherRun if the settings that were found in `folder` are not these."""
    for part, wanted in settings.items():
        old = NEWER | found[part]
        different = [name for name in wanted if old.get(name) != wanted[name]]
        if different:
            raise AnotherRun(
                f"{folder} holds another run: its {part} differs in {', '.join(different)}; name "
                f"another folder, or remove this one"
            )


def read_record(folder):
    """Read the record of a finished run. ValueError if it is damaged."""
    path = Path(folder) / RECORD
    with _blaming(path, "a record of a run"):
        record = json.loads(path.read_bytes())
        for part in ("config", "recipe", "data", "result"):
            dict(record[part])
    return record


def write_record(folder, record):
    text = json.dumps(record, indent=1)
    atomic_write(folder / RECORD, lambda partial: partial.write_text(text))


def read_checkpoint(folder, device, load):
    """Let `load(state)` read a checkpoint whole. ValueError if it cannot."""
    path = folder / CHECKPOINT
    with _blaming(path, "a checkpoint of this version"):
        load(torch.load(path, map_location=device, weights_only=True))


def write_checkpoint(folder, state):
    """Write a checkpoint, or leave the one before it and raise OSError."""
    path = folder / CHECKPOINT
    try:
        atomic_write(path, lambda partial: torch.save(state, partial))
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError on a full disk
        kept = "; the one of an epoch before is kept" if path.is_file() else ""
        raise OSError(f"{path} cannot be written: {_first_line(error)}{kept}") from None


@contextmanager
def _blaming(path, what):
    try:
        yield
    except (AnotherRun, OSError, MemoryError, torch.OutOfMemoryError):
        raise  # that is not the file's fault, which may hold days of work
    except Exception as error:  # what damaged files make libraries raise has no end
        empty = "nothing in it" if path.stat().st_size == 0 else _first_line(error)
        raise ValueError(f"{path} is not {what} ({empty}): {REMEDY}") from None


def _first_line(error):
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return shorten(line, 150, placeholder=" ...")
