"""What a bucket holds, told by a client that is not the one under test."""

from __future__ import annotations

import os
from typing import Any

from ilsvrc.stores.path import StorePath
from tests.stores.servers import client


def objects(root: StorePath) -> dict[str, bytes]:
    """Return the bytes of every object below a folder, by path below it."""
    s3 = client(os.environ["AWS_ENDPOINT_URL"])
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=root.url.bucket, Prefix=f"{root.key}/")
    keys = sorted(item["Key"] for page in pages for item in page.get("Contents", ()))
    return {key.removeprefix(f"{root.key}/"): got(s3, root, key) for key in keys}


def got(s3: Any, root: StorePath, key: str) -> bytes:
    data: bytes = s3.get_object(Bucket=root.url.bucket, Key=key)["Body"].read()
    return data


def unfinished(root: StorePath) -> list[str]:
    """Return the keys of uploads in parts that were neither completed nor aborted."""
    s3 = client(os.environ["AWS_ENDPOINT_URL"])
    return [one["Key"] for one in s3.list_multipart_uploads(Bucket=root.url.bucket).get("Uploads", ())]
