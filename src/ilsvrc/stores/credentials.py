"""Credentials for S3, from where people keep them: the environment, a profile, the machine's role.

The library looks at the environment and asks for the machine's role, but knows no profiles. Those are read by boto3,
and only where the environment has no keys. No value that is read here is kept, logged or shown.
"""

from __future__ import annotations

import importlib
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ilsvrc.errors import MachineError, MissingExtraError, UsageError
from ilsvrc.stores.library import library

_HELP = "docs/how-to/object-stores.md"

_OWN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Variables by which the library finds credentials itself."""

_PROFILES = {
    "AWS_SHARED_CREDENTIALS_FILE": Path("~/.aws/credentials"),
    "AWS_CONFIG_FILE": Path("~/.aws/config"),
}
"""Variables that name the files of profiles, and where they lie otherwise."""

_METADATA = "http://169.254.169.254"
"""Where a machine of EC2 asks for its role; on other machines nobody answers."""

_SECONDS = 1.0


def s3_options() -> dict[str, Any]:
    """Return what the library has to be told of credentials, region and endpoint; nothing where it finds all itself.

    Raises
    ------
    UsageError
        If the profile that is named is not there, or the endpoint is no address.
    MissingExtraError
        If there is a profile to read, and boto3 is not installed.
    MachineError
        If there are no credentials anywhere.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    _refuse_no_address(endpoint)
    options: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    if os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true") or any(map(os.environ.get, _OWN)):
        return options
    if os.environ.get("AWS_PROFILE") or _has_profiles():
        found = _of_profile()
        if found is not None:
            return found | options
    _refuse_no_role()
    return options


def _refuse_no_address(endpoint: str) -> None:
    """Refuse an endpoint that is no address: the library would panic. It is not shown: it may hold a password."""
    try:
        address = urlsplit(endpoint)
        sound = address.scheme in ("http", "https") and address.hostname and (address.port or True)
    except ValueError:
        sound = False
    if endpoint and not (sound and endpoint.isascii() and endpoint.isprintable() and " " not in endpoint):
        hint = f"write it with http:// or https://, such as AWS_ENDPOINT_URL=https://minio.lab:9000: {_HELP}"
        raise UsageError("the endpoint in AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_S3 is no address", hint=hint)


def _has_profiles() -> bool:
    return any(Path(os.environ.get(name) or path).expanduser().is_file() for name, path in _PROFILES.items())


def _of_profile() -> dict[str, Any] | None:
    """Return provider, region and endpoint of the profile in use; None if it has no credentials."""
    library()
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ProfileNotFound

        auth: Any = importlib.import_module("obstore.auth.boto3")
    except ImportError:
        raise MissingExtraError("boto3, which reads profiles of AWS,", "cloud") from None
    name = os.environ.get("AWS_PROFILE", "")
    try:
        session = boto3.Session()
        if session.get_credentials() is None:
            return None
        options: dict[str, Any] = {"credential_provider": auth.Boto3CredentialProvider(session)}
        endpoint = str(session.client("s3", region_name=session.region_name or "us-east-1").meta.endpoint_url)
    except ProfileNotFound:
        hint = "`aws configure list-profiles` lists those that are there; AWS_PROFILE names the one in use"
        raise UsageError(f"there is no profile {name!r} of AWS", hint=hint) from None
    except (BotoCoreError, ValueError) as error:
        raise MachineError(f"the profile of AWS can't be used: {type(error).__name__}", hint=f"see {_HELP}") from None
    if not str(urlsplit(endpoint).hostname).endswith((".amazonaws.com", ".amazonaws.com.cn")):
        options["endpoint"] = endpoint
    return options


def _refuse_no_role() -> None:
    """Refuse a machine that has no role to ask for: the library would ask again and again, for minutes."""
    service = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or os.environ.get("AWS_METADATA_ENDPOINT")
    address = urlsplit(service or _METADATA)
    disabled = os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true"
    try:
        if not disabled:
            socket.create_connection((address.hostname or "", address.port or 80), _SECONDS).close()
            return
    except OSError:
        pass
    hint = f"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE: {_HELP}"
    raise MachineError(
        "there are no credentials for S3: none in the environment, in a profile, or by a role of this machine",
        hint=f"{hint}; for a public bucket, AWS_SKIP_SIGNATURE=true",
    )
