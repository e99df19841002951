"""Credentials are found where people keep them, and are shown nowhere."""

from __future__ import annotations

import os
import pickle
import socket
import traceback
from pathlib import Path

import pytest

from ilsvrc.errors import MachineError, MissingExtraError, UsageError
from ilsvrc.facts import TRAIN
from ilsvrc.stores.client import Bucket as Opened
from ilsvrc.stores.credentials import s3_options
from ilsvrc.stores.path import StorePath
from tests.cli.helpers import ilsvrc
from tests.stores.servers import ACCESS_KEY, REGION, SECRET, Bucket


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without credentials, on a machine without a role."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def profile(home: Path, name: str, endpoint: str) -> None:
    """Write a user's files of profiles."""
    (home / ".aws").mkdir()
    keys = f"[{name}]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET}\n"
    (home / ".aws" / "credentials").write_text(keys)
    section = name if name == "default" else f"profile {name}"
    (home / ".aws" / "config").write_text(f"[{section}]\nregion = {REGION}\nendpoint_url = {endpoint}\n")


def opened(bucket: Bucket) -> Opened:
    """Return a bucket that is opened anew: with the environment as it is now."""
    return Opened(StorePath(bucket.url()).url)


def without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["default", "lab"])
def test_a_profile_is_used(bucket: Bucket, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bucket.put({"a": b"content"})
    without_keys(monkeypatch)
    profile(tmp_path, name, bucket.server.endpoint)
    if name != "default":
        monkeypatch.setenv("AWS_PROFILE", name)
    assert opened(bucket).whole("a") == b"content"
    child = os.fork()
    if child == 0:
        os._exit(0 if opened(bucket).whole("a") == b"content" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_keys_of_the_environment_come_before_a_profile(bucket: Bucket, tmp_path: Path) -> None:
    profile(tmp_path, "default", "http://127.0.0.1:9")
    bucket.put({"a": b"content"})
    assert opened(bucket).whole("a") == b"content"
    assert s3_options() == {"endpoint": bucket.server.endpoint}


def test_a_profile_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UsageError, match="there is no profile 'nobody'"):
        s3_options()


def test_without_boto3_a_profile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "lab")
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(MissingExtraError, match="boto3") as caught:
        s3_options()
    assert "ilsvrc[cloud]" in caught.value.hint


def test_no_credentials_at_all_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MachineError, match="no credentials for S3") as caught:
        s3_options()
    assert "AWS_SKIP_SIGNATURE=true" in caught.value.hint
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MachineError, match="no credentials for S3"):
        s3_options()


def test_a_machine_with_a_role_is_left_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert s3_options() == {}


def test_a_public_bucket_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    assert s3_options() == {}


def test_secrets_are_shown_nowhere(bucket: Bucket, mini: Path, tmp_path: Path) -> None:
    """Not in output, reports, indices, pickles or messages: of a run that works, and of one that is refused."""
    bucket.put({TRAIN: (mini / TRAIN).read_bytes()})
    written = ilsvrc("-v", "prepare", bucket.url(), tmp_path / "tree", "--split", "train", "--verify", "none")
    refused = ilsvrc("-v", "index", f"s3://nobodys-bucket/{TRAIN}", status=None)
    told = (written.stdout + written.stderr + refused.stdout + refused.stderr).encode()
    files = [path.read_bytes() for path in (tmp_path / "tree" / ".ilsvrc").rglob("*") if path.is_file()]
    objects = [bucket.get(key) for key in bucket.keys(".ilsvrc")]
    pickled = pickle.dumps((StorePath(bucket.url(TRAIN)), opened(bucket)))
    assert files
    assert objects
    for text in (told, pickled, *files, *objects):
        assert SECRET.encode() not in text
        assert ACCESS_KEY.encode() not in text


def test_a_refusal_names_bucket_and_key_and_no_secret(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put({"a": b"content"})
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another" + SECRET)
    if bucket.server.kind == "moto":  # it lets everybody in
        return
    with pytest.raises(MachineError, match=f"s3://{bucket.name}/a: the server refuses these credentials") as caught:
        opened(bucket).whole("a")
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert ACCESS_KEY not in shown


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize(
    "endpoint",
    ["127.0.0.1:9000", "minio.lab", "http://", "http://a b", "ftp://lab", "http://[::1", "http://lab:99999"],
)
def test_an_endpoint_that_is_no_address_is_refused(name: str, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    with pytest.raises(UsageError, match="is no address") as caught:
        s3_options()
    assert "http://" in caught.value.hint


def test_a_store_that_can_not_be_opened_names_what_may_be_missing() -> None:
    with pytest.raises(MachineError, match="can't be opened") as caught:
        StorePath("az://container/x").is_file()
    assert "account" in caught.value.hint
