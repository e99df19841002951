"""Archives are read in place from real servers, through what networks do to requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ilsvrc import ImageNet
from ilsvrc.errors import ArchiveError, MachineError
from ilsvrc.facts import TRAIN, VAL
from ilsvrc.testing.mini import MiniSpec, write_mini
from tests.cli.helpers import ilsvrc
from tests.oracles import package
from tests.stores.proxy import Fault, Plan, Proxy, Request, every, first, proxy_to
from tests.stores.servers import Bucket, Web, environment

ARCHIVES = "archives"
TRAIN_KEY = f"{ARCHIVES}/{TRAIN}"


def raw(data: bytes) -> bytes:
    """Load an image as its bytes: a loader that can be pickled."""
    return data


@pytest.fixture
def stored(bucket: Bucket, mini: Path) -> Bucket:
    """A bucket with the official archives."""
    bucket.put({f"{ARCHIVES}/{path.name}": path.read_bytes() for path in mini.iterdir() if path.is_file()})
    return bucket


@pytest.fixture
def proxy(stored: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the bucket's server, where the environment leads."""
    with proxy_to(stored.server.endpoint) as proxy:
        for name, value in environment(proxy.endpoint).items():
            monkeypatch.setenv(name, value)
        yield proxy


def samples(source: Path | str, split: str = "train") -> list[tuple[bytes, int]]:
    """Return all images and labels, asked for in one batch as torch's DataLoader does."""
    images = ImageNet(source, split, loader=raw)
    batch: list[tuple[bytes, int]] = images.__getitems__(list(range(len(images))))
    return batch


@pytest.mark.parametrize("split", ["train", "val"])
def test_images_and_labels_are_those_of_the_files(stored: Bucket, mini: Path, split: str) -> None:
    assert samples(stored.url(ARCHIVES), split) == samples(mini, split)


def test_an_index_is_made_once_and_lies_beside_the_archive(stored: Bucket, proxy: Proxy, mini: Path) -> None:
    assert samples(stored.url(ARCHIVES)) == samples(mini)
    assert stored.keys(f"{ARCHIVES}/.ilsvrc/") == [f"{ARCHIVES}/.ilsvrc/{TRAIN}.arrow"]
    headers = proxy.count("GET", TRAIN_KEY)
    proxy.forget()
    images = ImageNet(stored.url(ARCHIVES), "train", loader=raw)
    assert proxy.count("GET", TRAIN_KEY) == 0 < headers
    assert images[5] == ImageNet(mini, "train", loader=raw)[5]
    assert proxy.count("GET", TRAIN_KEY) == 1


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images so large that the first of each class are far from one another."""
    folder = tmp_path_factory.mktemp("large")
    write_mini(folder, MiniSpec(classes=6, per_class=10, val_per_class=1, mean_bytes=300_000))
    return folder


def test_images_of_a_batch_are_fetched_together(stored: Bucket, proxy: Proxy, large: Path) -> None:
    stored.put({TRAIN_KEY: (large / TRAIN).read_bytes()})
    images = ImageNet(stored.url(ARCHIVES), "train", loader=raw)
    firsts = [images.targets.index(label) for label in range(6)]
    proxy.forget()
    proxy.plan = lambda _: Fault(delay=0.5)
    local = ImageNet(large, "train", loader=raw)
    assert images.__getitems__(firsts) == [local[index] for index in firsts]
    assert proxy.most == proxy.count() == 6
    assert proxy.sent() == sum(len(local.bytes(index)) for index in firsts)


def test_neighbours_are_fetched_with_one_request(stored: Bucket, proxy: Proxy) -> None:
    images = ImageNet(stored.url(ARCHIVES), "train", loader=raw)
    proxy.forget()
    images.__getitems__([0, 1, 2, 3])
    assert proxy.count() == 1


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_two_workers_train_an_epoch(stored: Bucket, mini: Path, method: str) -> None:
    """A linear model learns from what a DataLoader with two workers reads; all images and labels come, once each."""
    torch: Any = package("torch")
    from torch.utils.data import DataLoader

    images = ImageNet(stored.url(ARCHIVES), "train", loader=raw)
    assert images[0][0][:2] == b"\xff\xd8"  # this process has spoken with the server before it forks
    loader = DataLoader(
        images, batch_size=4, shuffle=True, num_workers=2, collate_fn=list, multiprocessing_context=method
    )
    model = torch.nn.Linear(64, 6)
    before = model.weight.clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    seen = []
    for batch in loader:
        seen += batch
        inputs = torch.tensor([list(data[-64:]) for data, _ in batch], dtype=torch.float32) / 255
        labels = torch.tensor([label for _, label in batch])
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), labels % 6).backward()
        optimizer.step()
    assert sorted(seen) == sorted(samples(mini))
    assert not torch.equal(model.weight, before)


BUSY: dict[str, Callable[[], Plan]] = {
    "503": lambda: first(5, Fault(status=503)),
    "503 now and then": lambda: every(3, Fault(status=503)),
    "429": lambda: first(2, Fault(status=429, headers={"Retry-After": "1"})),
    "500": lambda: first(2, Fault(status=500)),
    "cut off": lambda: every(4, Fault(cut=100)),
    "dropped": lambda: every(4, Fault(drop=True)),
    "slow": lambda: lambda _: Fault(delay=0.05, pause=0.05),
}
"""Faults that pass, if the request is sent again; each plan counts, so that every test needs its own."""


@pytest.mark.parametrize("name", BUSY)
def test_a_busy_server_costs_time_alone(stored: Bucket, proxy: Proxy, mini: Path, name: str) -> None:
    proxy.plan = BUSY[name]()
    assert samples(stored.url(ARCHIVES)) == samples(mini)
    assert any(answer.fault != Fault() for answer in proxy.answers)


def _replace(bucket: Bucket, data: bytes) -> Plan:
    """Return a plan: the archive is replaced when the third range of it is asked for."""
    asked = 0

    def plan(request: Request) -> None:
        nonlocal asked
        if request.method == "GET" and request.path.endswith(TRAIN):
            asked += 1
            if asked == 3:
                bucket.put({TRAIN_KEY: data})

    return plan


def test_an_archive_that_is_replaced_is_no_longer_read(stored: Bucket, proxy: Proxy, mini: Path) -> None:
    images = ImageNet(stored.url(ARCHIVES), "train", loader=raw)
    proxy.plan = _replace(stored, bytes(1_000_000))
    local = ImageNet(mini, "train", loader=raw)
    assert [images[index] for index in range(2)] == [local[index] for index in range(2)]
    with pytest.raises(ArchiveError, match="changed while it was in use"):
        images[2]


def test_an_index_of_a_replaced_archive_is_made_again(stored: Bucket, mini: Path, tmp_path: Path) -> None:
    assert samples(stored.url(ARCHIVES)) == samples(mini)
    write_mini(tmp_path / "other", MiniSpec(classes=6, per_class=5, val_per_class=2, mean_bytes=4_000, seed=7))
    stored.put({TRAIN_KEY: (tmp_path / "other" / TRAIN).read_bytes()})
    assert samples(stored.url(ARCHIVES)) == samples(tmp_path / "other")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(headers={"ETag": '"stale"'}),
        Fault(headers={"Content-Range": "bytes 7-9/99999999"}),
    ],
    ids=["another ETag", "another range"],
)
def test_an_answer_about_another_object_is_refused(stored: Bucket, proxy: Proxy, fault: Fault) -> None:
    images = ImageNet(stored.url(ARCHIVES), "train", loader=raw)
    proxy.plan = first(1000, fault, path=TRAIN)
    with pytest.raises((ArchiveError, MachineError)):
        images[3]


def test_an_archive_that_is_removed(stored: Bucket) -> None:
    import obstore

    images = ImageNet(stored.url(ARCHIVES), "train", loader=raw)
    obstore.delete(stored.store(), TRAIN_KEY)
    with pytest.raises(ArchiveError, match="removed while it was in use"):
        images[3]


def test_the_commands_read_buckets(stored: Bucket, mini: Path) -> None:
    url, local = stored.url(ARCHIVES), str(mini)
    assert ilsvrc("ls", f"{url}").stdout == ilsvrc("ls", local).stdout
    ilsvrc("index", stored.url(TRAIN_KEY))
    name = ImageNet(mini, "train").path(3).removeprefix(f"{mini}/")
    assert ImageNet(url, "train").path(3) == f"{url}/{name}"
    ilsvrc("check", "--deep", url)


def test_an_archive_over_https(https: Web, mini: Path) -> None:
    for name in (TRAIN, VAL):
        (https.server.root / name).write_bytes((mini / name).read_bytes())
    assert samples(https.url(TRAIN)) == samples(mini)
    assert samples(https.url(VAL), "val") == samples(mini, "val")
    assert samples(https.url("").rstrip("/")) == samples(mini)


def test_a_server_that_is_not_trusted(https: Web, mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (https.server.root / TRAIN).write_bytes((mini / TRAIN).read_bytes())
    monkeypatch.delenv("SSL_CERT_FILE")
    done = ilsvrc("index", https.url(TRAIN), status=3)
    assert "certificate is not trusted" in done.stderr


def test_https_to_a_port_without_tls_is_named(https: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilsvrc.stores.client.RETRIES", 0)
    with pytest.raises(MachineError, match="does not speak TLS there: http://"):
        ImageNet(f"https://127.0.0.1:{https.server.port}/ranges/{TRAIN}", "train")


def test_a_server_without_ranges_names_the_way(https: Web, mini: Path) -> None:
    (https.server.root / TRAIN).write_bytes((mini / TRAIN).read_bytes())
    url = https.url(TRAIN, "whole")
    done = ilsvrc("index", url, status=None)
    assert done.returncode in (2, 3)
    assert f"ilsvrc fetch {TRAIN} --url {url} --to " in done.stderr


def test_a_server_that_stays_away_is_an_error_of_the_machine(stored: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("ilsvrc.stores.client.RETRIES", 1)
    with pytest.raises(MachineError, match="connection refused"):
        ImageNet(stored.url(ARCHIVES), "train")
