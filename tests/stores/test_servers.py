"""The servers do what ilsvrc relies on in an object store, as obstore asks for it; boto3 is the second opinion."""

from __future__ import annotations

import random
import ssl
from concurrent.futures import ThreadPoolExecutor
from urllib.request import Request, urlopen

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, PreconditionError

from tests.stores.servers import Bucket, Web, client


def test_what_one_client_puts_the_other_gets(bucket: Bucket) -> None:
    bucket.put({"a/b.bin": bytes(range(256)) * 40})
    store = bucket.store()
    assert bytes(obstore.get_range(store, "a/b.bin", start=254, length=4)) == bytes([254, 255, 0, 1])
    obstore.put(store, "c.bin", b"from obstore")
    assert bucket.get("c.bin") == b"from obstore"
    assert bucket.keys() == ["a/b.bin", "c.bin"]


def test_one_of_many_creates_an_object(bucket: Bucket) -> None:
    """If-None-Match: * on a put."""
    store = bucket.store()

    def create(number: int) -> int | None:
        try:
            obstore.put(store, "lock", str(number).encode(), mode="create")
        except AlreadyExistsError:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        made = [number for number in pool.map(create, range(16)) if number is not None]
    assert len(made) == 1
    assert bucket.get("lock") == str(made[0]).encode()


def test_an_object_is_replaced_only_as_it_was_seen(bucket: Bucket) -> None:
    """If-Match on a put. Ceph 16 refuses a tag in quotes, which the standard asks for: no lock may need it."""
    store = bucket.store()
    seen = obstore.put(store, "lock", b"mine")
    plain = str(seen["e_tag"]).strip('"')
    obstore.put(store, "lock", b"later", mode={"e_tag": plain if bucket.server.kind == "radosgw" else seen["e_tag"]})
    with pytest.raises(PreconditionError):
        obstore.put(store, "lock", b"stale", mode={"e_tag": seen["e_tag"]})
    assert bucket.get("lock") == b"later"


def test_a_range_is_read_only_of_the_object_that_was_seen(bucket: Bucket) -> None:
    """If-Match on a get."""
    store = bucket.store()
    bucket.put({"data": bytes(range(100))})
    seen = obstore.head(store, "data")["e_tag"]
    part = obstore.get(store, "data", options={"if_match": seen, "range": (10, 13)}).bytes()
    assert bytes(part) == bytes([10, 11, 12])
    bucket.put({"data": bytes(range(100, 200))})
    with pytest.raises(PreconditionError):
        obstore.get(store, "data", options={"if_match": seen, "range": (10, 13)})


def test_a_range_ends_with_the_object(bucket: Bucket) -> None:
    """A read past the end is short, and no error: whoever asks must count."""
    bucket.put({"data": b"0123456789"})
    assert bytes(obstore.get_range(bucket.store(), "data", start=7, length=10)) == b"789"


def test_an_object_of_many_parts_is_whole_or_absent(bucket: Bucket) -> None:
    data = random.Random(1).randbytes(12 << 20)
    writer = obstore.open_writer(bucket.store(), "big", buffer_size=5 << 20)
    writer.write(data[: 11 << 20])
    assert bucket.keys() == []
    writer.write(data[11 << 20 :])
    writer.close()
    assert bucket.get("big") == data
    head = obstore.head(bucket.store(), "big")
    assert str(head["e_tag"]).endswith('-3"')  # the digest of three parts, and not of the bytes
    assert head["size"] == len(data)


def test_an_upload_that_was_left_is_listed(bucket: Bucket) -> None:
    """Parts of a killed run take room, and are paid for, until somebody aborts them."""
    s3 = client(bucket.server.endpoint)
    upload = s3.create_multipart_upload(Bucket=bucket.name, Key="left")["UploadId"]
    s3.upload_part(Bucket=bucket.name, Key="left", PartNumber=1, UploadId=upload, Body=b"\0" * (5 << 20))
    assert [item["Key"] for item in s3.list_multipart_uploads(Bucket=bucket.name)["Uploads"]] == ["left"]
    assert bucket.keys() == []
    s3.abort_multipart_upload(Bucket=bucket.name, Key="left", UploadId=upload)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket.name)


def test_folders_are_listed_one_level_deep(bucket: Bucket) -> None:
    bucket.put(dict.fromkeys(("top", "d/a", "d/b", "d/e/f", "d/e/g"), b""))
    top = obstore.list_with_delimiter(bucket.store())
    assert (sorted(top["common_prefixes"]), [item["path"] for item in top["objects"]]) == (["d"], ["top"])
    inner = obstore.list_with_delimiter(bucket.store(), "d")
    assert (inner["common_prefixes"], sorted(item["path"] for item in inner["objects"])) == (["d/e"], ["d/a", "d/b"])


def test_long_lists_come_in_pages(bucket: Bucket) -> None:
    store = bucket.store()
    keys = [f"many/{number:04}" for number in range(1100)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: obstore.put(store, key, b"x"), keys))
    assert sorted(item["path"] for chunk in obstore.list(store, "many") for item in chunk) == keys
    obstore.delete(store, keys)
    assert bucket.keys() == []


def test_a_web_server_gives_ranges_or_does_not(https: Web) -> None:
    (https.server.root / "data").write_bytes(bytes(range(100)))

    def ask(habit: str) -> tuple[int, bytes]:
        trusted = ssl.create_default_context(cafile=str(https.authority))
        ranged = Request(https.url("data", habit), headers={"Range": "bytes=10-12"})
        with urlopen(ranged, context=trusted) as answer:
            return answer.status, answer.read()

    assert ask("ranges") == (206, bytes([10, 11, 12]))
    assert ask("whole") == (200, bytes(range(100)))
    from obstore.store import HTTPStore

    store = HTTPStore.from_url(https.url("").rstrip("/"))
    assert bytes(obstore.get_range(store, "data", start=10, length=3)) == bytes([10, 11, 12])
