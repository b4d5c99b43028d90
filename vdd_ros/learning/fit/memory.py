"""Memory of long CPU runs: freed blocks are kept for the next step instead of going back to the system."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
GIBIBYTE = 1 << 30


def keep_freed_memory() -> bool:
    """Make the C library keep freed memory; return whether it supports that.

    A step of a transformer allocates and frees tensors of megabytes by the hundred. glibc returns such blocks at once,
    and every page of the next one is faulted in and zeroed again: a fifth of a step's time. Other C libraries keep
    their defaults.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return bool(library.mallopt(M_MMAP_THRESHOLD, GIBIBYTE)) and bool(library.mallopt(M_TRIM_THRESHOLD, GIBIBYTE))
