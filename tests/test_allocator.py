"""The hint to the C library says whether it was taken, and does no harm."""

import platform
import subprocess
import sys

import pytest

from minimaxvit import allocator
from minimaxvit.allocator import keep_memory

# A process of its own, as the hint holds for a whole process. What it frees must come back to use.
TWICE = """
import torch
from minimaxvit.allocator import keep_memory
taken = [keep_memory(), keep_memory()]
assert sum(torch.ones(1_000_000).sum().item() for _ in range(50)) == 50_000_000
print(*taken)
"""


def twice():
    ran = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def test_calling_it_twice_is_harmless_and_tells_the_same_each_time():
    first, second = twice()
    assert first == second and first in ("True", "False")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the hint is glibc's")
def test_glibc_takes_it():
    assert twice() == ["True", "True"]


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(allocator.ctypes, "CDLL", None)  # any use of it fails
    assert keep_memory() is False


def test_glibc_is_told_by_the_numbers_of_its_malloc_h(monkeypatch):
    told = []  # glibc says yes to numbers that it does not know
    library = type("Library", (), {"mallopt": lambda *hint: told.append(hint) or 1})
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _: library)
    assert keep_memory() is True
    assert sorted(told) == [(-4, 0), (-1, 2**31 - 1)]


def test_a_refusal_of_either_hint_is_told(monkeypatch):
    def refusing(name):
        return lambda option, value: int(option != name)

    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("glibc", "2.36"))
    for name in (allocator.M_TRIM_THRESHOLD, allocator.M_MMAP_MAX):
        library = type("Library", (), {"mallopt": staticmethod(refusing(name))})
        monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _, library=library: library)
        assert keep_memory() is False
