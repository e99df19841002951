"""Memory of worker processes: what images were decoded to is used again for the next ones."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt, from glibc's malloc.h."""

_LARGEST_KEPT = 32 << 20
"""Bytes of a buffer up to which its pages are kept once it is freed: the limit to which glibc raises it itself."""

_MOST_FREE = 128 << 20
"""Bytes at the end of an arena that stay free before they are given back."""


@cache
def keep_freed_memory() -> None:
    """Let glibc keep the pages of freed buffers in this process; nothing elsewhere, and nothing a second time.

    glibc learns this by itself, unless a setting fixes its thresholds: Dask starts its workers with
    MALLOC_TRIM_THRESHOLD_=65536, so that every buffer of an image is new memory, which the system fills with zeros
    first. That took 12 % of a worker's time.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # another C library has none
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_TRIM_THRESHOLD, _MOST_FREE)
