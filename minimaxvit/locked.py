"""Let only one process at a time work in a folder."""

from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

LOCK = ".lock"


@contextmanager
def locked(folder):
    """Make `folder` if need be, and hold it in a `with` block; a killed process lets go of it.

    A folder that was made in vain goes again. ValueError if another process holds it, OSError if it
    cannot be made.
    """
    lock, made = FileLock(folder / LOCK), not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(
            f"another process is at work in {folder}: wait for it, or name another folder"
        ) from None
    except NotImplementedError:
        pass  # a file system without locks: two runs in one folder go unseen there
    except OSError as error:
        raise OSError(
            f"{folder} cannot be made or written ({error.strerror}): name another folder"
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # some systems keep a file that is open
            (folder / LOCK).unlink()
        lock.release()
        if made and not any(folder.iterdir()):
            folder.rmdir()
