"""Servers that speak as much of two hubs' protocols as the real client libraries need, and the storage behind both.

Protocols as the clients huggingface_hub 2.4 and kaggle 2.2 speak them, and as their issue trackers quote the answers.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import itertools
import json
import re
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

REPOSITORY = "ILSVRC/imagenet-1k"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN, STRANGER = "hf_" + "right", "hf_" + "stranger"
"""A token of an account that has accepted the terms, and of one that has not."""

USER, KEY, STRANGER_KEY = "reader", "0" * 32, "1" * 32


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[str] = []
        self.status = 0
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """Say nothing of connections that are closed early."""

    def close(self) -> None:
        """Stop."""
        self.shutdown()
        self.server_close()


class Storage(_Server):
    """Gives files in ranges by signed addresses, which may expire.

    files : bytes by path
    lifetime : bytes that one signature is good for
    refusal : status of the answer to an expired signature: 403 on CloudFront, 400 on Google Cloud Storage
    rate : bytes per second and connection
    sent : bytes sent so far
    leaked : whether anybody showed it an Authorization header
    headers : further header lines of every answer
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.lifetime: int | None = None
        self.refusal = 403
        self.rate: int | None = None
        self.sent = 0
        self.leaked = False
        self.headers: dict[str, str] = {}
        self.served: dict[str, int] = {}
        self._numbers = itertools.count()
        super().__init__(_StorageHandler)

    def sign(self, path: str) -> str:
        """Return an address of a file, another one each time."""
        signature = f"s{next(self._numbers)}"
        self.served[signature] = 0
        return f"{self.url}/{path}?X-Signature={signature}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def answer(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class _StorageHandler(_Handler):
    server: Storage

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server, parts = self.server, urlsplit(self.path)
        signature = parts.query.partition("=")[2]
        server.asked.append(f"{self.command} {parts.path} {self.headers.get('Range', '')}".strip())
        server.leaked |= "Authorization" in self.headers
        expired = server.lifetime is not None and server.served.get(signature, 0) >= server.lifetime
        if signature not in server.served or expired or server.status:
            self.answer(server.status or server.refusal)
            return
        data = server.files[unquote(parts.path).lstrip("/")]
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = (int(match[1]), int(match[2] or len(data) - 1)) if match else (0, len(data) - 1)
        last = min(last, len(data) - 1)
        self.send_response(206 if match else 200)
        if match:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        etag = hashlib.md5(data).hexdigest()
        for name, value in {"ETag": f'"{etag}"', "Accept-Ranges": "bytes", **server.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        if self.command == "GET":
            self._send(memoryview(data)[first : last + 1], signature)

    def _send(self, data: memoryview, signature: str) -> None:
        step = 1 << 14
        with contextlib.suppress(OSError):
            for start in range(0, len(data), step):
                chunk = data[start : start + step]
                self.wfile.write(chunk)
                self.server.sent += len(chunk)
                self.server.served[signature] += len(chunk)
                if self.server.rate:
                    time.sleep(len(chunk) / self.server.rate)


class HuggingFace(_Server):
    """The hub: lists the files of the storage and gives their addresses to those who accepted the terms.

    itself : serve the files itself, as a mirror may, instead of leading to the storage
    digests : SHA-256 by path where the hub states another than the true one
    status : the answer to everything, where it is not 0
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.itself = False
        self.digests: dict[str, str] = {}
        super().__init__(_HuggingFaceHandler)

    def sha256(self, path: str) -> str:
        """Return the digest that the hub states."""
        return self.digests.get(path) or hashlib.sha256(self.storage.files[path]).hexdigest()


class _HuggingFaceHandler(_Handler):
    server: HuggingFace

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server, path = self.server, unquote(urlsplit(self.path).path)
        server.asked.append(f"{self.command} {path}")
        if server.status:
            self.answer(server.status)
        elif match := re.fullmatch(rf"/api/datasets/{REPOSITORY}/revision/(.+)", path):
            self._list(match[1])
        elif match := re.fullmatch(rf"/datasets/{REPOSITORY}/resolve/{COMMIT}/(.+)", path):
            self._resolve(match[1])
        else:
            self.answer(404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})

    def _list(self, revision: str) -> None:
        if revision not in ("main", COMMIT):
            self.answer(404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": f"Invalid rev id: {revision}"})
            return
        server = self.server
        siblings: list[dict[str, Any]] = [{"rfilename": "README.md", "size": 5, "blobId": "0" * 40}]
        for path, data in server.storage.files.items():
            lfs = {"sha256": server.sha256(path), "size": len(data), "pointerSize": 134}
            siblings.append({"rfilename": path, "size": len(data), "blobId": "0" * 40, "lfs": lfs})
        document = {"_id": "x", "id": REPOSITORY, "sha": COMMIT, "private": False, "gated": "auto", "tags": []}
        body = json.dumps({**document, "siblings": siblings}).encode()
        self.answer(200, {"Content-Type": "application/json"}, body)

    def _resolve(self, path: str) -> None:
        server, given = self.server, self.headers.get("Authorization", "")
        if given == f"Bearer {STRANGER}":
            text = f"Access to dataset {REPOSITORY} is restricted and you are not in the authorized list."
            self.answer(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": text})
        elif given != f"Bearer {TOKEN}":
            text = f"Access to dataset {REPOSITORY} is restricted. You must be authenticated to access it."
            self.answer(401, {"X-Error-Code": "GatedRepo", "X-Error-Message": text})
        else:
            data, digest = server.storage.files[path], server.sha256(path)
            headers = {"X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{digest}"'}
            if server.itself:
                self._serve(data, headers)
            else:
                headers |= {"Location": server.storage.sign(path), "ETag": f'"{digest}"'}
                self.answer(302, headers)

    def _serve(self, data: bytes, headers: dict[str, str]) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = (int(match[1]), int(match[2] or len(data) - 1)) if match else (0, len(data) - 1)
        last = min(last, len(data) - 1)
        if match:
            headers = {**headers, "Content-Range": f"bytes {first}-{last}/{len(data)}"}
        self.answer(206 if match else 200, headers, data[first : last + 1])


class Kaggle(_Server):
    """Kaggle's API at http://localhost, where its client looks with KAGGLE_API_ENVIRONMENT=LOCALHOST: as its proxy.

    path : of the zip in the storage
    """

    def __init__(self, storage: Storage, path: str) -> None:
        self.storage = storage
        self.path = path
        super().__init__(_KaggleHandler)


class _KaggleHandler(_Handler):
    server: Kaggle

    def do_GET(self) -> None:
        """Pass a request on to the storage: the client keeps its proxy when it follows a redirect."""
        parts = urlsplit(self.path)
        connection = http.client.HTTPConnection(parts.netloc)
        connection.request("GET", f"{parts.path}?{parts.query}", headers={**self.headers, "Connection": "close"})
        response = connection.getresponse()
        self.send_response(response.status)
        for name, value in response.getheaders():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            while chunk := response.read(1 << 14):
                self.wfile.write(chunk)
        connection.close()
        self.close_connection = True

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        server.asked.append(f"{self.path} {body}")
        wanted = "http://localhost/api/v1/competitions.CompetitionApiService/DownloadDataFiles"
        login = self.headers.get("Authorization", "").removeprefix("Basic ")
        if server.status:
            self.answer(server.status)
        elif login == _basic(USER, STRANGER_KEY):
            self._refuse(403, "You must accept this competition's rules before you'll be able to download files.")
        elif login != _basic(USER, KEY):
            self._refuse(401, "Unauthenticated")
        elif self.path != wanted or body != {"competitionName": "imagenet-object-localization-challenge"}:
            self._refuse(404, "Not found")
        else:
            self.answer(302, {"Location": server.storage.sign(server.path)})

    def _refuse(self, status: int, message: str) -> None:
        body = json.dumps({"code": status, "message": message}).encode()
        self.answer(status, {"Content-Type": "application/json"}, body)


def _basic(user: str, key: str) -> str:
    return base64.b64encode(f"{user}:{key}".encode()).decode()
