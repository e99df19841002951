"""Servers that the tests of object stores share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.stores.ceph import radosgw
from tests.stores.servers import S3, Bucket, Web, moto, web

SERVERS = {"moto": moto, "radosgw": radosgw}


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's proxies, endpoints and credentials away from the tests."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("AWS_", "GOOGLE_", "AZURE_", "SSL_CERT_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", params=SERVERS)
def s3(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A server that speaks S3, each of them in turn, the same for all tests: make a bucket of your own on it."""
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, and the environment in which obstore finds it."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3.new_bucket()


@pytest.fixture(scope="session")
def _web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with web(tmp_path_factory.mktemp("web")) as server:
        yield server


@pytest.fixture
def https(_web: Web, monkeypatch: pytest.MonkeyPatch) -> Web:
    """A web server with ranges, whose certificate is trusted."""
    for name, value in _web.environment.items():
        monkeypatch.setenv(name, value)
    return _web
