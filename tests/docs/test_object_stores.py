"""The page of object stores: its commands, with a bucket on a server of the tests for the one that they name."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.cli.helpers import ilsvrc
from tests.docs.blocks import blocks
from tests.stores.conftest import _no_settings_of_the_user, bucket, s3
from tests.stores.servers import Bucket

__all__ = ["_no_settings_of_the_user", "bucket", "s3"]


def test_what_the_page_writes_is_in_the_bucket(
    mini: Path,
    bucket: Bucket,
    tmp_path: Path,
) -> None:
    shutil.copytree(mini, tmp_path / "archives")
    lines = [line[2:] for block in blocks("how-to/object-stores.md") for line in block.code.splitlines()]
    writing = [line for line in lines if line.startswith("ilsvrc prepare ") and " s3://my-bucket/" in line]
    assert len(writing) > 1
    for line in writing:
        here = line.replace("/data/", f"{tmp_path}/").replace("s3://my-bucket", bucket.url())
        ilsvrc(*here.split()[1:])
    keys = bucket.keys()
    assert {"imagenet/.ilsvrc/train.arrow", "imagenet/train-000000.tar", "folders/val.txt"} <= set(keys)
    assert not [key for key in keys if "staging" in key or key.endswith("/lock")]
