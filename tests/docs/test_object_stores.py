"""The page of object stores: every example does what it says, on real servers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.helpers import ilsvrc
from tests.docs.blocks import blocks
from tests.oracles import package
from tests.stores.conftest import bucket, s3  # noqa: F401  -- fixtures
from tests.stores.servers import Bucket


@pytest.mark.filterwarnings("default")  # those of other packages are not ours to mend
def test_examples_run(bucket: Bucket, mini: Path, tmp_path: Path) -> None:  # noqa: F811
    bucket.put_folder(mini, "archives")
    shutil.copytree(mini, tmp_path / "archives")
    for block in blocks("how-to/object-stores.md"):
        code = block.code.replace("s3://my-bucket", f"{bucket.url()}/mine").replace("s3://bucket", bucket.url())
        code = code.replace("/data", str(tmp_path))
        if block.language == "python":
            for name in sorted(block.packages):
                package(name)
            names: dict[str, object] = {"__name__": "__main__"}
            exec(compile(code, str(block), "exec"), names)
            assert names.get("images", 24) == 24
            assert len(names.get("batch", "abc")) == 3  # type: ignore[arg-type]
            continue
        for line in code.splitlines():
            words = line.removeprefix("$ ").split()
            if line.startswith("$ ") and words[0] == "ilsvrc":
                ilsvrc(*words[1:])
    assert len(list((tmp_path / "imagenet" / "train").rglob("*.JPEG"))) == 24
    keys = bucket.keys()
    assert {f"mine/{key}" for key in ("imagenet/.ilsvrc/train.arrow", "imagenet/train-000000.tar")} <= set(keys)
    assert "mine/folders/val.txt" in keys
    assert not [key for key in keys if "staging" in key or key.endswith("/lock")]
