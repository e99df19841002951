"""The servers do what the tests of object stores rely on: two independent clients agree about them."""

from __future__ import annotations

import obstore

from tests.stores.servers import Bucket


def test_what_one_client_puts_the_other_gets(bucket: Bucket) -> None:
    bucket.put({"a/b.bin": bytes(range(256)) * 40})
    store = bucket.store()
    assert bytes(obstore.get_range(store, "a/b.bin", start=254, length=4)) == bytes([254, 255, 0, 1])
    obstore.put(store, "c.bin", b"from obstore")
    assert bucket.get("c.bin") == b"from obstore"
    assert bucket.keys() == ["a/b.bin", "c.bin"]
