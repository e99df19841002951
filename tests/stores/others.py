"""Servers of the other two kinds of stores: Azure's by Azurite, Google's, for reading alone, by moto."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.fetch.nginx import free_port
from tests.stores.servers import S3, running, wait_for

ACCOUNT = "devstoreaccount1"
KEY = base64.b64encode(b"the key of the tests' own Azurite, and of nothing else.........!").decode()
"""Azurite takes the accounts and keys of its environment."""

_VERSION = "2021-08-06"


@dataclass(frozen=True, slots=True)
class Container:
    """A container on Azurite.

    endpoint : address of the server and the account
    name     : of the container
    """

    endpoint: str
    name: str

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which obstore and `ilsvrc` find it."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_STORAGE_ENDPOINT": self.endpoint,
            "AZURE_ALLOW_HTTP": "true",
        }

    def url(self, key: str = "") -> str:
        """Return the az:// address of an object, or of the container."""
        return f"az://{self.name}/{key}".rstrip("/")

    def put_folder(self, folder: Path, prefix: str) -> None:
        """Put every file of a folder under a prefix."""
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            self.put(f"{prefix}/{path.relative_to(folder)}", path.read_bytes())

    def put(self, key: str, data: bytes) -> None:
        """Put an object, with a request of our own: no client of Azure is installed."""
        self.ask("PUT", f"/{key}", data=data, blob=True)

    def ask(self, method: str, path: str = "", query: str = "", *, data: bytes = b"", blob: bool = False) -> None:
        """Send a request with a shared key, as Microsoft's "Authorize with Shared Key" has it."""
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION}
        headers |= {"x-ms-blob-type": "BlockBlob"} if blob else {}
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        resource = f"/{ACCOUNT}/{ACCOUNT}/{self.name}{path}" + "".join(
            f"\n{pair.replace('=', ':')}" for pair in query.split("&") if pair
        )
        kind = "application/octet-stream"
        to_sign = f"{method}\n\n\n{len(data) or ''}\n\n{kind}\n\n\n\n\n\n\n{lines}{resource}"
        digest = hmac.new(base64.b64decode(KEY), to_sign.encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
        headers |= {"Content-Type": kind, "Content-Length": str(len(data))}
        url = f"{self.endpoint}/{self.name}{path}" + (f"?{query}" if query else "")
        urlopen(Request(url, data=data, headers=headers, method=method), timeout=10).close()


@contextlib.contextmanager
def azurite(home: Path) -> Iterator[Container]:
    """Run Azurite, with one container; everything is in its memory."""
    here = Path(__file__).parents[2] / ".azurite/node_modules/.bin"
    program = shutil.which("azurite-blob") or shutil.which("azurite-blob", path=here)
    if not program:
        pytest.skip("no Azurite on this machine: make azurite")
    port = free_port()
    words = [
        "--inMemoryPersistence",
        "--disableTelemetry",
        "--skipApiVersionCheck",
        "--silent",
    ]
    log = home / "azurite.log"
    with running([program, "--blobPort", str(port), *words], log, AZURITE_ACCOUNTS=f"{ACCOUNT}:{KEY}") as process:
        wait_for(port, process, log)
        container = Container(f"http://127.0.0.1:{port}/{ACCOUNT}", "ilsvrc")
        container.ask("PUT", query="restype=container")
        yield container


def google(server: S3) -> dict[str, str]:
    """Return the variables by which gs:// leads to moto's server.

    Google's XML interface has the lists, heads and ranges of S3. Writes are signed otherwise, and moto refuses them.
    """
    account = {
        "gcs_base_url": server.endpoint,
        "disable_oauth": True,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    }
    return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account), "GOOGLE_ALLOW_HTTP": "true"}
