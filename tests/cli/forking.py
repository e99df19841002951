"""Start the program without its imports: a server that has made them forks for each call.

To import numpy, pyarrow and typer takes half a second of processor time, and the tests call the program hundreds of
times. What is forked has a terminal's signals, its own standard streams, folder and environment, and runs
`ilsvrc.cli.main.run`, as `python -m ilsvrc` does. `tests/cli/test_main.py` and others start the real thing besides.
"""

from __future__ import annotations

import atexit
import functools
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, NoReturn

_LONGEST = 1 << 20
"""Bytes of a call."""


def call(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the program with these arguments, with nothing on its standard input."""
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        Path(os.devnull).open("rb") as nothing,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection,
    ):
        connection.connect(_server())
        request = json.dumps({"arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)})
        with tempfile.TemporaryFile() as told:
            told.write(request.encode())
            told.seek(0)
            descriptors = [file.fileno() for file in (nothing, out, err, told)]
            socket.send_fds(connection, [b"call"], descriptors)
            status = int(connection.recv(64) or b"-1")
        texts = [_text(file) for file in (out, err)]
    return subprocess.CompletedProcess(["ilsvrc", *arguments], status, *texts)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return io.TextIOWrapper(io.BytesIO(file.read())).read()


@functools.cache
def _server() -> str:
    """Start the server of this process; return its address, a name that no file has."""
    address = f"\0ilsvrc-tests-{os.getpid()}-{os.urandom(4).hex()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(address)
        listening.listen(64)
        command = [sys.executable, "-m", __name__, str(listening.fileno())]
        root = Path(__file__).parents[2]  # wherever the test is
        server = subprocess.Popen(command, pass_fds=[listening.fileno()], stdin=subprocess.PIPE, cwd=root)
    atexit.register(server.kill)
    return address


def _serve(listening: socket.socket) -> NoReturn:
    """Fork for every call, until whoever started this process is gone."""
    from importlib import import_module

    from ilsvrc.cli import main
    from ilsvrc.imports import hide_pandas

    hide_pandas()
    for module in main._COMMANDS.values():
        import_module(f"ilsvrc.cli.{module}")
    for module in ("numpy", "pyarrow", "pyarrow.compute", "xxhash", "PIL.Image", "simplejpeg"):
        import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system collects what was forked
    while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:  # it ends when whoever started this does
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            _answer(connection)
        connection.close()
    sys.exit()


def _answer(connection: socket.socket) -> NoReturn:
    """Run one call in a further process, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, descriptors, _, _ = socket.recv_fds(connection, 64, 4)
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(descriptors)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    connection.send(str(status).encode())
    os._exit(0)


def _become(descriptors: list[int]) -> NoReturn:
    """Be the program that the call asks for."""
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    with open(descriptors[3], "rb", closefd=False) as told:
        told.seek(0)
        request = json.loads(told.read())
    os.closerange(3, 256)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    sys.argv = ["ilsvrc", *request["arguments"]]
    from ilsvrc.cli.main import run

    run()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
