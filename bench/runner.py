"""Run one command and print what it took, as JSON, with the processes that it leaves behind included.

A program of its own, and a small one: the system takes the size of the process that starts a command for the least
peak memory of that command (Linux: getrusage(2), ru_maxrss across execve). Usage: runner.py COMMAND [ARGUMENT ...]
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def main(command: list[str]) -> None:
    if sys.platform == "linux":  # orphans become our children, so that they are counted too: prctl(2)
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    written, begun = written_bytes(), time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    with process.stdout as stdout:
        printed = stdout.read()
    found = reap(process, begun)
    print(json.dumps({**found, "written": written_bytes() - written, "printed": printed}))


def reap(process: subprocess.Popen[str], begun: float) -> dict[str, float]:
    """Wait for all children; return the status and seconds of this one, and what all of them took."""
    wall, cpu, rss = 0.0, 0.0, 0
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return {"status": process.returncode, "wall": wall, "cpu": cpu, "rss": rss * _RSS_UNIT}
        cpu += usage.ru_utime + usage.ru_stime
        rss = max(rss, usage.ru_maxrss)
        if pid == process.pid:
            wall = time.perf_counter() - begun
            process.returncode = os.waitstatus_to_exitcode(status)


def written_bytes() -> int:
    """Return the bytes that this process and its reaped children wrote (Linux: proc_pid_io(5)); 0 if not known."""
    try:
        text = Path("/proc/self/io").read_text(encoding="ascii")
    except OSError:
        return 0
    return int(text.partition("\nwrite_bytes: ")[2].partition("\n")[0])


if __name__ == "__main__":
    main(sys.argv[1:])
