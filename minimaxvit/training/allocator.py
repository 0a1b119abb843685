"""Keep glibc from giving memory back after every step, which makes training on a CPU faster."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # names and numbers of malloc.h


def keep_memory():
    """Let this process hold on to what it frees; page faults dominate small steps otherwise.

    All threads share one heap, since those of their own are given back whatever the threshold. To
    be called before the first thread. The same as MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0
    MALLOC_TRIM_THRESHOLD_=2147483647 in the environment. Does nothing where the C library is not
    glibc. Returns whether glibc accepted all of it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    wanted = (M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1)
    return all([mallopt(*option) for option in wanted])
