"""Serve the pages of a data set: the verb `view`."""

from __future__ import annotations

import errno
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ilsvrc.errors import IlsvrcError, MachineError, UsageError
from ilsvrc.web.collection import Collection
from ilsvrc.web.guard import Guard, is_loopback, own_names, too_large
from ilsvrc.web.label_pages import LabelPages
from ilsvrc.web.pages import Pages
from ilsvrc.web.report_page import ReportPage
from ilsvrc.web.templating import compile_templates, templates, text_of

PORT = 8012
"""The port where none is asked for; if it is taken, one of the next."""

TRIED = 20
"""Ports that are tried."""

_STATIC = {
    "base.css": ("templates", "text/css"),
    "view.css": ("static", "text/css"),
    "view.js": ("static", "text/javascript"),
    "htmx.min.js": ("static", "text/javascript"),
}
"""Folder and type of each file that pages load."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where pages are served.

    sock : the listening socket
    url : what to open, with the token
    token : what a request must know; empty where only this machine can ask
    """

    sock: socket.socket
    url: str
    token: str


def bind(host: str, port: int | None) -> Address:
    """Listen at an address, with a token if other machines reach it.

    Parameters
    ----------
    host
        Name or address to listen at.
    port
        The port; 0 for any that is free; None for PORT, or the next that is free.

    Raises
    ------
    UsageError
        If the port is taken or not to be had, or the address is none of this machine's.
    """
    token = "" if is_loopback(host) else secrets.token_urlsafe(24)
    for tried in range(PORT, PORT + TRIED) if port is None else [port]:
        try:
            sock = _listen(host, tried)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and port is None:
                continue
            raise _not_to_be_had(host, tried, error) from None
        name = f"[{host}]" if ":" in host else host
        name = socket.gethostname() if host in ("0.0.0.0", "::") else name  # noqa: S104  -- only where the user says so
        query = f"/?token={token}" if token else "/"
        return Address(sock, f"http://{name}:{sock.getsockname()[1]}{query}", token)
    raise UsageError(f"the ports {PORT} to {PORT + TRIED - 1} are taken", hint="--port 0 takes any that is free")


def _listen(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.create_server(address[:2], family=family, backlog=256)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # an answer's head and body are written one by one
    return sock


def _not_to_be_had(host: str, port: int, error: OSError) -> UsageError:
    why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        hint = "--host 127.0.0.1 for this machine alone, --host 0.0.0.0 for all that reach it"
        return UsageError(f"{host} is no address of this machine: {why}", hint=hint)
    hint = "--port 0 takes any that is free"
    return UsageError(f"port {port} can't be had: {why}", hint=hint)


def serve(collection: Collection, address: Address, *, names: Iterable[str] = ()) -> None:
    """Answer requests until the process is interrupted.

    Parameters
    ----------
    collection
        The data set.
    address
        Where to listen; its socket is closed in the end.
    names
        Further names under which the page is asked for, such as a proxy's.

    Raises
    ------
    MachineError
        If the system refuses to go on.
    """
    app = guarded(application(collection), address, names)
    config = uvicorn.Config(
        app, log_level="error", access_log=False, lifespan="off", server_header=False, timeout_graceful_shutdown=1
    )
    with address.sock:
        try:
            uvicorn.Server(config).run(sockets=[address.sock])
        except OSError as error:
            raise MachineError.of(error) from error


def guarded(app: ASGIApp, address: Address, names: Iterable[str] = ()) -> Guard:
    """Return an application that answers only requests for an address."""
    port = address.sock.getsockname()[1]
    known = {*names, *own_names()} if address.token else set(names)
    return Guard(app, names=known, any_address=bool(address.token), token=address.token, cookie=f"ilsvrc-{port}")


def application(collection: Collection) -> Starlette:
    """Return the application of a data set."""
    compile_templates()
    pages, labels, report = Pages(collection), LabelPages(collection), ReportPage(collection)
    routes = [
        Route("/", pages.classes),
        Route("/tree", pages.tree),
        Route("/tree/{wnid}", pages.tree),
        Route("/class/{split}/{wnid}", pages.images),
        Route("/image/{split}/{row}", pages.image),
        Route("/thumb/{split}/{row}", pages.thumbnail),
        Route("/picture/{split}/{row}", pages.picture),
        Route("/file/{split}/{row}", pages.file),
        Route("/sample", pages.sample),
        Route("/compare", pages.compare),
        Route("/labels", labels.labels),
        Route("/labels/detect", labels.detect, methods=["POST"]),
        Route("/report", report.report),
        Route("/report/again", report.again, methods=["POST"]),
        *(Route(f"/static/{name}", _static(name, *kind)) for name, kind in _STATIC.items()),
    ]
    failures = dict.fromkeys((HTTPException, IlsvrcError, OSError), _failed(collection))
    failures[ClientDisconnect] = _too_large
    return Starlette(routes=routes, exception_handlers=failures)


def _static(name: str, folder: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    text = text_of(name, folder)

    async def answer(_: Request) -> Response:
        return Response(text, media_type=media_type, headers={"Cache-Control": "private, max-age=3600"})

    return answer


def _too_large(_: Request, __: Exception) -> Response:
    """Answer where the guard ended a body that is too long; where its sender ended it, nobody reads the answer."""
    return too_large()


def _failed(collection: Collection) -> Callable[[Request, Exception], Response]:
    """Return the handler of expected failures: a page that says what is wrong, and what to do."""

    def answer(_: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            status, message, hint = error.status_code, error.detail, ""
            message = "There is no such page here." if message == HTTPStatus(status).phrase else message
        else:
            told = error if isinstance(error, IlsvrcError) else MachineError.of(error)  # type: ignore[arg-type]
            status, message, hint = 500, told.message, told.hint
        text = templates().get_template("failed.html").render(collection=collection, message=message, hint=hint)
        return HTMLResponse(text, status)

    return answer
