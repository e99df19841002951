"""What is let through to the pages, and what is not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from ilsvrc.web.guard import LARGEST_UPLOAD, POLICY, Guard, is_loopback

TOKEN = "the-token"


async def answer(request: Request) -> Response:
    body = await request.body()
    return PlainTextResponse(f"{request.url.path} {len(body)}")


def behind(**options: Any) -> TestClient:
    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "PUT", "DELETE"])])
    return TestClient(Guard(app, **options), base_url="http://127.0.0.1:8012", follow_redirects=False)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8012", "localhost", "LOCALHOST:80", "[::1]:8012", "[::1]", "127.9.9.9"]
)
def test_this_machine_is_answered(host: str) -> None:
    assert behind().get("/x", headers={"host": host}).text == "/x 0"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "", "127.0.0.1@x", "[::1"],
)
def test_other_names_are_not_answered(host: str) -> None:
    """A site whose name was turned to this machine's address sends its own name (DNS rebinding)."""
    found = behind().get("/x", headers={"host": host})
    assert (found.status_code, "/x" in found.text) == ((421, False) if host != "[::1" else (200, True))


def test_further_names_are_answered() -> None:
    assert behind(names=["Proxy.example"]).get("/", headers={"host": "proxy.example:443"}).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_pages_are_read_only(method: str) -> None:
    assert behind().request(method, "/").status_code == 405


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://127.0.0.1:8012"}, 200),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_forms_of_other_sites_are_refused(headers: dict[str, str], status: int) -> None:
    assert behind().post("/", headers=headers, content=b"x").status_code == status


def test_a_body_that_is_too_long_is_refused_by_its_header() -> None:
    found = behind().post("/", headers={"content-length": str(LARGEST_UPLOAD + 1)}, content=b"x")
    assert found.status_code == 413


def test_a_body_that_is_too_long_and_does_not_say_so_ends_the_request() -> None:
    """The client of the tests sends a body at once, so the server's side is called as a server does."""
    got, sent = [], []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request":
            got.append(len(message["body"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"x" * (1 << 20), "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"127.0.0.1")], "query_string": b""}
    asyncio.run(Guard(app)(scope, receive, send))
    assert sum(got) == LARGEST_UPLOAD


def test_every_answer_has_the_policy() -> None:
    for found in (behind().get("/"), behind().get("/", headers={"host": "x"}), behind(token=TOKEN).get("/")):
        assert found.headers["content-security-policy"] == POLICY
        assert found.headers["x-content-type-options"] == "nosniff"
        assert found.headers["x-frame-options"] == "DENY"
        assert found.headers["referrer-policy"] == "no-referrer"
        assert found.headers["cross-origin-resource-policy"] == "same-origin"


def test_token_of_the_url_becomes_a_cookie() -> None:
    client = behind(token=TOKEN, any_address=True, cookie="ilsvrc-1")
    client.base_url = "http://192.0.2.7:8012"
    for path in ("/", "/?token=wrong", "/?token=", "/thumb/train/0"):
        assert client.get(path).status_code == 401
    found = client.get(f"/class/x?a=1&token={TOKEN}&b=2")
    assert (found.status_code, found.headers["location"]) == (303, "/class/x?a=1&b=2")
    assert "HttpOnly" in found.headers["set-cookie"]
    assert "SameSite=strict" in found.headers["set-cookie"]
    assert client.get("/x").status_code == 200
    client.cookies.clear()
    assert client.get("/x", headers={"cookie": "ilsvrc-1=wrong"}).status_code == 401
    assert client.get("/x", headers=[(b"cookie", b"ilsvrc-1=\xff; =;;")]).status_code == 401


def test_redirect_stays_here() -> None:
    found = behind(token=TOKEN).get(f"http://127.0.0.1:8012//evil.example/?token={TOKEN}")
    assert found.headers["location"] == "/evil.example/"


@pytest.mark.parametrize(
    ("host", "known"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("cluster", False)],
)
def test_loopback_is_known(host: str, known: bool) -> None:
    assert is_loopback(host) is known


def test_cookies_of_other_programs_hide_no_token() -> None:
    """Cookies are shared by all ports of a host, and some hold JSON."""
    client = behind(token=TOKEN, cookie="ilsvrc-1")
    others = f'theme={{"dark": true}}; a b=c; ilsvrc-1={TOKEN}; other="x'
    assert client.get("/x", headers={"cookie": others}).status_code == 200
