"""Write a file as a whole or not at all, whenever the process or the machine stops."""

import os
from pathlib import Path


def atomic_write(path, write):
    """Let `write(partial)` make a file beside `path`, then move it there: all of it or nothing."""
    path = Path(path).expanduser()
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")  # what a kill leaves, the next try overwrites
    try:
        write(partial)
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
