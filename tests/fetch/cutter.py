"""A TCP proxy that cuts every connection after so many bytes, and can hang up altogether."""

from __future__ import annotations

import contextlib
import socket
import threading


class Cutter:
    """Stand before a server; `budget` is the bytes that each connection may bring back before it is cut."""

    def __init__(self, port: int, budget: int | None) -> None:
        self.budget = budget
        self.silent = False
        self.cuts = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def close(self) -> None:
        """Stop, with every connection."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(5)

    def hang_up(self) -> None:
        """Cut every connection there is."""
        for connection in list(self._open):
            _shut(connection)

    def _run(self, function: object, *words: object) -> None:
        thread = threading.Thread(target=function, args=words, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._open |= {client, server}
            self._run(self._pump, client, server, False)
            self._run(self._pump, server, client, True)

    def _pump(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        left = self.budget if counted else None
        try:
            while left is None or left > 0:
                data = source.recv(1 << 14 if left is None else min(left, 1 << 14))
                if not data:
                    break
                left = None if left is None else left - len(data)
                if not self.silent:
                    target.sendall(data)
            else:
                self.cuts += 1
        except OSError:
            pass
        for connection in (source, target):
            _shut(connection)
            connection.close()
            self._open.discard(connection)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
