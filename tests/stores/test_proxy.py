"""The faulty proxy does each fault that it promises, before each server, to a client that meets nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from http.client import HTTPConnection, IncompleteRead, RemoteDisconnected
from urllib.parse import urlsplit

import obstore
import pytest

from tests.stores.proxy import Fault, Proxy, Request, every, first, proxy_to
from tests.stores.servers import Bucket

DATA = bytes(range(256)) * 1000


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[Proxy]:
    bucket.put({"data.bin": DATA})
    with proxy_to(bucket.server.endpoint) as proxy:
        yield proxy


def connect(proxy: Proxy, timeout: float = 10) -> HTTPConnection:
    where = urlsplit(proxy.endpoint)
    return HTTPConnection(str(where.hostname), where.port, timeout=timeout)


def sign(bucket: Bucket, proxy: Proxy, key: str = "data.bin") -> str:
    """Return the path and query of a request that needs no header of a signature."""
    return obstore.sign(bucket.store(proxy.endpoint), "GET", key, timedelta(minutes=5)).removeprefix(proxy.endpoint)


def test_requests_are_counted_and_answers_are_the_servers(bucket: Bucket, proxy: Proxy) -> None:
    store = bucket.store(proxy.endpoint)
    assert bytes(obstore.get_range(store, "data.bin", start=1000, length=300)) == DATA[1000:1300]
    assert obstore.head(store, "data.bin")["size"] == len(DATA)
    obstore.put(store, "new", b"\0" * 70_000)
    assert bucket.get("new") == b"\0" * 70_000
    assert [item["path"] for chunk in obstore.list(store) for item in chunk] == ["data.bin", "new"]
    assert proxy.counts() == {"GET": 2, "HEAD": 1, "PUT": 1}
    assert proxy.count("GET", "data.bin") == 1
    assert proxy.sent("data.bin") == 300
    first_one = proxy.answers[0]
    assert first_one.status == 206
    assert first_one.request.headers["range"] == "bytes=1000-1299"


def test_a_connection_is_kept_between_requests(bucket: Bucket, proxy: Proxy) -> None:
    connection = connect(proxy)
    for _ in range(3):
        connection.request("GET", sign(bucket, proxy))
        socket = connection.sock
        assert connection.getresponse().read() == DATA
        assert connection.sock is socket
    connection.close()


def test_statuses_come_with_their_headers(bucket: Bucket, proxy: Proxy) -> None:
    proxy.plan = first(1, Fault(status=429, headers={"Retry-After": "7"}))
    connection = connect(proxy)
    connection.request("GET", sign(bucket, proxy))
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Retry-After"], answer.read()) == (429, "7", b"")
    connection.request("GET", sign(bucket, proxy))
    assert connection.getresponse().read() == DATA
    connection.close()


def test_a_body_is_cut(bucket: Bucket, proxy: Proxy) -> None:
    proxy.plan = first(1, Fault(cut=1000))
    connection = connect(proxy)
    connection.request("GET", sign(bucket, proxy))
    with pytest.raises(IncompleteRead) as cut:
        connection.getresponse().read()
    assert cut.value.partial == DATA[:1000]
    connection.close()


def test_a_body_stalls(bucket: Bucket, proxy: Proxy) -> None:
    proxy.plan = first(1, Fault(stall=1000))
    connection = connect(proxy, timeout=0.5)
    connection.request("GET", sign(bucket, proxy))
    answer = connection.getresponse()
    assert answer.read(1000) == DATA[:1000]
    with pytest.raises(TimeoutError):
        answer.read(1)
    connection.close()


def test_connections_are_dropped(bucket: Bucket, proxy: Proxy) -> None:
    proxy.plan = every(2, Fault(drop=True))
    connection = connect(proxy)
    connection.request("GET", sign(bucket, proxy))
    assert connection.getresponse().read() == DATA
    connection.request("GET", sign(bucket, proxy))
    with pytest.raises(RemoteDisconnected):
        connection.getresponse()
    connection.close()
    assert [answer.status for answer in proxy.answers] == [200, 0]


def test_headers_are_replaced(bucket: Bucket, proxy: Proxy) -> None:
    proxy.plan = first(1, Fault(headers={"ETag": '"another"', "Content-Range": "bytes 5-9/10"}))
    connection = connect(proxy)
    connection.request("GET", sign(bucket, proxy), headers={"Range": "bytes=0-4"})
    answer = connection.getresponse()
    assert answer.read() == DATA[:5]
    assert answer.headers.get_all("ETag") == ['"another"']
    assert answer.headers.get_all("Content-Range") == ["bytes 5-9/10"]
    connection.close()


def test_a_plan_may_change_the_object(bucket: Bucket, proxy: Proxy) -> None:
    def plan(request: Request) -> None:
        bucket.put({"data.bin": b"changed"})

    proxy.plan = plan
    assert bytes(obstore.get(bucket.store(proxy.endpoint), "data.bin").bytes()) == b"changed"


def test_requests_in_flight_are_counted(bucket: Bucket, proxy: Proxy) -> None:
    proxy.plan = lambda _: Fault(delay=0.3)
    starts = [at * 50_000 for at in range(5)]
    obstore.get_ranges(bucket.store(proxy.endpoint), "data.bin", starts=starts, lengths=[10] * 5, coalesce=0)
    assert proxy.most == 5
    proxy.forget()
    for start in starts:
        obstore.get_range(bucket.store(proxy.endpoint), "data.bin", start=start, length=10)
    assert proxy.most == 1
