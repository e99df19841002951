"""Real object stores on loopback, each a process of its own.

`with moto(folder) as server: ...` gives an `S3`: its address, and the variables by which clients find it.
Tests take the fixtures of conftest.py and make themselves a bucket: `bucket = s3.new_bucket()`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trustme

from tests.fetch.nginx import Nginx, free_port

if TYPE_CHECKING:
    from obstore.store import S3Store

SECRET = "wJalrXUtnFEMIsecretOfTheTests7Kx0bPxR"
"""The secret key of every server here: tests look for it in all that is written and said."""

ACCESS_KEY = "AKIATESTSONLOOPBACK1"

REGION = "us-east-1"

_count = itertools.count()


@dataclass(frozen=True, slots=True)
class S3:
    """A server that speaks S3.

    kind     : which one: moto, radosgw
    endpoint : its address, http://127.0.0.1:PORT
    process  : it, or the one of its processes that answers requests
    """

    kind: str
    endpoint: str
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which obstore, boto3 and the AWS tools find the server and are let in."""
        return environment(self.endpoint)

    def new_bucket(self, word: str = "ilsvrc") -> Bucket:
        """Make an empty bucket with a name of its own."""
        name = f"{word}{os.getpid()}x{next(_count)}"  # obstore writes a hyphen as %2D to some servers
        client(self.endpoint).create_bucket(Bucket=name)
        return Bucket(self, name)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket on a server."""

    server: S3
    name: str

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which obstore and `ilsvrc` find the server of the bucket."""
        return self.server.environment

    def url(self, key: str = "") -> str:
        """Return the s3:// address of an object, or of the bucket."""
        return f"s3://{self.name}/{key}".rstrip("/")

    def store(self, endpoint: str = "", prefix: str = "") -> S3Store:
        """Return obstore's view of the bucket, through another endpoint (a proxy) if one is given."""
        from obstore.store import S3Store

        return S3Store(
            self.name,
            prefix=prefix or None,
            endpoint=endpoint or self.server.endpoint,
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET,
            region=REGION,
            client_options={"allow_http": True},
        )

    def put(self, files: Mapping[str, bytes]) -> None:
        """Put objects by their keys: an independent client does it."""
        s3 = client(self.server.endpoint)
        for key, data in files.items():
            s3.put_object(Bucket=self.name, Key=key, Body=data)

    def put_folder(self, folder: Path, prefix: str = "", pattern: str = "*") -> None:
        """Put every file of a folder, or those with such names, under a prefix."""
        s3 = client(self.server.endpoint)
        for path in sorted(p for p in folder.rglob(pattern) if p.is_file()):
            s3.upload_file(str(path), self.name, f"{prefix}/{path.relative_to(folder)}".lstrip("/"))

    def get(self, key: str) -> bytes:
        """Return the bytes of an object, by an independent client."""
        data: bytes = client(self.server.endpoint).get_object(Bucket=self.name, Key=key)["Body"].read()
        return data

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys of all objects below a prefix, sorted."""
        pages = (
            client(self.server.endpoint).get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        )
        return sorted(item["Key"] for page in pages for item in page.get("Contents", ()))


def environment(endpoint: str) -> dict[str, str]:
    """Return the variables that lead obstore and the AWS tools to an endpoint: a server, or a proxy before it."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": REGION,
        "AWS_ALLOW_HTTP": "true",
    }


def client(endpoint: str) -> Any:
    """Return boto3's client: what it puts and lists is no work of the client under test."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET,
        region_name=REGION,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
    )


@contextlib.contextmanager
def moto(home: Path) -> Iterator[S3]:
    """Run moto's server: S3 in the memory of one Python process, ready in two seconds.

    home : an empty folder for its log
    """
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, home / "moto.log") as process:
        wait_for(port, process, home / "moto.log")
        yield S3("moto", f"http://127.0.0.1:{port}", process)


@contextlib.contextmanager
def running(command: list[str], log: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; what it says goes to a log."""
    with open(log, "ab") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env={**os.environ, **variables}
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    """Return when the server listens on a port of loopback; fail with its log if it ends before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, log.read_text()[-4000:]
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nobody listens on port {port} after {seconds} s: {log.read_text()[-4000:]}")


@dataclass(frozen=True, slots=True)
class Web:
    """A web server of files, over http and https.

    server    : nginx, whose `root` has the files, and whose habits are named by the first part of a path
    authority : the file of the authority that signed its certificate
    """

    server: Nginx
    authority: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """The variable by which programs trust the authority."""
        return {"SSL_CERT_FILE": str(self.authority)}

    def url(self, name: str, habit: str = "ranges") -> str:
        """Return the https:// address of a file; `whole` is the habit of a server that gives no ranges."""
        return f"https://127.0.0.1:{self.server.tls_port}/{habit}/{name}"


@contextlib.contextmanager
def web(home: Path) -> Iterator[Web]:
    """Run nginx with a certificate of an authority that nobody else knows."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(home / "authority.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(home / "server.pem")
    server = Nginx(home / "nginx", certificate=home / "server.pem")
    try:
        yield Web(server, home / "authority.pem")
    finally:
        server.close()
