"""Let every process below read and write files without leaving their pages in the cache (RWF_DONTCACHE).

Python imports this file at its start where its folder is on PYTHONPATH. A file system that does not know the flag
answers EOPNOTSUPP or EINVAL and is read and written as always. READS and WRITES choose what is uncached.
"""

import os
from collections.abc import Callable

FLAG = 0x80
SMALLEST = 4096


def _reading(pread: Callable[[int, int, int], bytes]) -> Callable[[int, int, int], bytes]:
    def read(fd: int, length: int, offset: int) -> bytes:
        if length < SMALLEST:
            return pread(fd, length, offset)
        buffer = bytearray(length)
        try:
            got = os.preadv(fd, [buffer], offset, FLAG)
        except OSError:
            return pread(fd, length, offset)
        return bytes(memoryview(buffer)[:got])

    return read


def _writing(write: Callable[[int, bytes], int]) -> Callable[[int, bytes], int]:
    def put(fd: int, data: bytes) -> int:
        if len(data) < SMALLEST:
            return write(fd, data)
        try:
            at = os.lseek(fd, 0, os.SEEK_CUR)
            done = os.pwritev(fd, [data], at, FLAG)
        except OSError:
            return write(fd, data)
        os.lseek(fd, at + done, os.SEEK_SET)
        return done

    return put


if os.environ.get("READS"):
    os.pread = _reading(os.pread)
if os.environ.get("WRITES"):
    os.write = _writing(os.write)  # type: ignore[assignment]
