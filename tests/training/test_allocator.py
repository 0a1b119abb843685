"""The hint to the C library says whether it was taken, and does no harm."""

import os
import platform
import subprocess
import sys

import pytest

from minimaxvit.training import allocator
from minimaxvit.training.allocator import keep_memory

# A process of its own, as the hint holds for a whole process. What it frees must come back to use.
TWICE = """
import torch
from minimaxvit.training.allocator import keep_memory
taken = [keep_memory(), keep_memory()]
assert sum(torch.ones(1_000_000).sum().item() for _ in range(50)) == 50_000_000
print(*taken)
"""
# As in training: a thread that is not the first takes some megabytes at a time, and frees them.
FAULTS = """
import resource, threading, torch
from minimaxvit.training.allocator import keep_memory
keep_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    for turn in range(10):
        before = faults()
        kept = [torch.ones(1_000_000) for _ in range(40)]
        del kept
    print(faults() - before)  # of the last turn
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def in_a_process(program):
    plain = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=plain)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def twice():
    return in_a_process(TWICE)


def test_calling_it_twice_is_harmless_and_says_the_same_each_time():
    first, second = twice()
    assert first == second and first in ("True", "False")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the hint is glibc's")
def test_glibc_takes_it():
    assert twice() == ["True", "True"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the hint is glibc's")
def test_what_a_thread_frees_comes_back_to_use_without_a_page_fault():
    assert int(*in_a_process(FAULTS)) < 100  # thousands where threads have heaps of their own


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
    assert sorted(told) == [(-8, 1), (-4, 0), (-1, 2**31 - 1)]


def test_a_refusal_of_any_hint_is_reported(monkeypatch):
    def refusing(name):
        return lambda option, value: int(option != name)

    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("glibc", "2.36"))
    for name in (allocator.M_TRIM_THRESHOLD, allocator.M_MMAP_MAX, allocator.M_ARENA_MAX):
        library = type("Library", (), {"mallopt": staticmethod(refusing(name))})
        monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _, library=library: library)
        assert keep_memory() is False
