"""A proxy before a server of objects: it counts what is asked, and does to answers what networks and busy stores do.

    with proxy_to(s3.endpoint) as proxy:
        proxy.plan = first(2, Fault(status=503))
        ...
        assert proxy.count("GET") == 7

Requests are passed on as they came, so that their signatures hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived.

    number  : how many came before it
    method  : GET, HEAD, PUT, ...
    path    : bucket and key, decoded
    query   : text after the question mark
    headers : their names in lower case
    """

    number: int
    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one request; several may happen together.

    status  : answer so, and don't ask the server
    headers : of that answer; or those that replace the server's: ETag, Content-Range
    delay   : seconds before the request is passed on or answered
    cut     : close the connection after so many bytes of the body
    stall   : send no more after so many bytes of the body, and keep the connection
    drop    : close the connection without an answer
    pause   : seconds after every 64 KiB of the body
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0
    cut: int | None = None
    stall: int | None = None
    drop: bool = False
    pause: float = 0


@dataclass(slots=True)
class Answer:
    """What became of a request; listed as soon as the request has arrived.

    request : as it arrived
    fault   : what was done to it
    status  : of the answer; 0 if none was given
    sent    : bytes of its body
    ended   : whether no more of it will be sent
    """

    request: Request
    fault: Fault = field(default_factory=Fault)
    status: int = 0
    sent: int = 0
    ended: bool = False


Plan = Callable[[Request], Fault | None]
"""What happens to a request; called in the proxy's thread, so it may change an object before the server is asked."""


def first(count: int, fault: Fault, method: str = "GET", path: str = "") -> Plan:
    """Return a plan: the first requests of a method, for a path with this text in it, meet a fault."""
    met = 0

    def plan(request: Request) -> Fault | None:
        nonlocal met
        if request.method != method or path not in request.path or met >= count:
            return None
        met += 1
        return fault

    return plan


def every(step: int, fault: Fault, method: str = "GET", path: str = "") -> Plan:
    """Return a plan: every so-manieth request of a method, for a path with this text in it, meets a fault."""
    met = 0

    def plan(request: Request) -> Fault | None:
        nonlocal met
        if request.method != method or path not in request.path:
            return None
        met += 1
        return fault if met % step == 0 else None

    return plan


class Proxy:
    """What came through so far, and the plan for what will come.

    endpoint : its address, http://127.0.0.1:PORT
    plan     : what happens to each request; None is no fault
    answers  : given so far
    most     : requests in flight at once, at most
    """

    def __init__(self, target: str) -> None:
        self._host, self._port = urlsplit(target).hostname, urlsplit(target).port
        self.endpoint = ""
        self.plan: Plan | None = None
        self.answers: list[Answer] = []
        self.most = 0
        self._asked = 0

    def count(self, method: str = "", path: str = "") -> int:
        """Return how many requests of a method were answered or dropped, for paths with this text in them."""
        return sum(method in ("", a.request.method) and path in a.request.path for a in self.answers)

    def counts(self) -> Counter[str]:
        """Return how many requests there were of each method."""
        return Counter(answer.request.method for answer in self.answers)

    def sent(self, path: str = "") -> int:
        """Return the bytes of all bodies that were sent to clients."""
        return sum(answer.sent for answer in self.answers if path in answer.request.path)

    def forget(self) -> None:
        """Count anew."""
        self.answers = []
        self.most = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer the next request; return whether the connection stays."""
        start, headers = _parsed(await reader.readuntil(b"\r\n\r\n"))
        if headers.pop("expect", ""):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, target, _ = start.split(" ")
        path, _, query = target.partition("?")
        answer = Answer(Request(self._asked, method, unquote(path), query, headers))
        self._asked += 1
        self.answers.append(answer)
        self.most = max(self.most, sum(not other.ended for other in self.answers))
        try:
            answer.fault = fault = (self.plan and self.plan(answer.request)) or Fault()
            await asyncio.sleep(fault.delay)
            if fault.drop:
                return False
            if fault.status:
                answer.status, answer.ended = fault.status, True
                writer.write(_head(f"HTTP/1.1 {fault.status} Fault", {**fault.headers, "Content-Length": "0"}))
                await writer.drain()
                return True
            return await self._pass_on(_head(start, {**headers, "connection": "close"}) + body, answer, writer)
        finally:
            answer.ended = True

    async def _pass_on(self, message: bytes, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        """Send a request to the server, and its answer to the client; return whether the connection stays."""
        source, sink = await asyncio.open_connection(self._host, self._port)
        fault = answer.fault
        try:
            sink.write(message)
            status, headers = _parsed(await source.readuntil(b"\r\n\r\n"))
            answer.status = int(status.split(" ")[1])
            headers.pop("connection", "")
            bare = answer.request.method == "HEAD" or answer.status in (204, 304)
            length = 0 if bare else int(headers.get("content-length", -1))
            answer.ended = length == 0
            headers |= {name.lower(): value for name, value in fault.headers.items()}
            writer.write(_head(f"HTTP/1.1 {status.split(' ', 1)[1]}", headers))
            ends = min([end for end in (fault.cut, fault.stall) if end is not None], default=None)
            while answer.sent != length and (piece := await source.read(_PIECE)):
                piece = piece[: ends - answer.sent] if ends is not None else piece
                answer.sent += len(piece)
                answer.ended = answer.sent == length
                writer.write(piece)
                await writer.drain()
                if answer.sent == ends:
                    await asyncio.sleep(3600 if fault.stall is not None else 0)
                    return False
                await asyncio.sleep(fault.pause)
            await writer.drain()
            return length >= 0 or "transfer-encoding" in headers
        finally:
            sink.close()


def _parsed(head: bytes) -> tuple[str, dict[str, str]]:
    """Return the first line of a message and its headers."""
    start, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.split(":", 1) for line in lines)
    return start, {name.strip().lower(): value.strip() for name, value in pairs}


def _head(start: str, headers: Mapping[str, str]) -> bytes:
    return "\r\n".join([start, *(f"{name}: {value}" for name, value in headers.items()), "\r\n"]).encode("latin-1")


@contextlib.contextmanager
def proxy_to(endpoint: str, plan: Plan | None = None) -> Iterator[Proxy]:
    """Run a proxy before a server until the block ends, in a thread of its own."""
    proxy = Proxy(endpoint)
    proxy.plan = plan
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=1 << 20))
    proxy.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, name="proxy", daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
