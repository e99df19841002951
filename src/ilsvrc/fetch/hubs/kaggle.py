"""Kaggle: the zip of the competition imagenet-object-localization-challenge.

Kaggle's client can resume a file, but over one connection, and under the file's final name. So the client only signs
in and resolves the address, a signed one on a storage server; our transfer fetches it.
"""

from __future__ import annotations

import base64
import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ilsvrc.archive.expected import Expected
from ilsvrc.errors import MissingExtraError, NetworkError, UsageError
from ilsvrc.events import Listener
from ilsvrc.facts import Digest
from ilsvrc.fetch.hubs.failures import Hub
from ilsvrc.fetch.hubs.files import Address, HubFile, fetch_files
from ilsvrc.fetch.request import FetchReport, Limits

if TYPE_CHECKING:
    from kaggle.api.kaggle_api_extended import KaggleApi
    from requests import Response

COMPETITION = "imagenet-object-localization-challenge"
PAGE = f"https://www.kaggle.com/c/{COMPETITION}/rules"
AGAINST = "kaggle"

HUB = Hub(
    "Kaggle",
    f"accept the rules at {PAGE} and make an API token in the settings of your account; keep it in "
    "~/.kaggle/access_token or ~/.kaggle/kaggle.json (or set KAGGLE_USERNAME and KAGGLE_KEY)",
    f"accept the rules at {PAGE} with this account; Kaggle may ask for a phone number first",
    f"look at {PAGE}: the competition may have moved",
)


def fetch_competition(to: Path, limits: Limits, listener: Listener) -> FetchReport:
    """Fetch the competition's zip into a folder."""
    api = _signed_in()
    response = _resolve(api)
    size = response.headers.get("Content-Length", "")
    file = HubFile(
        f"{COMPETITION}.zip", int(size) if size.isdigit() else 0, _expected(response), lambda: _address(_resolve(api))
    )
    return fetch_files(to, [file], limits, listener)


def _signed_in() -> KaggleApi:
    """Return Kaggle's client, signed in by the credentials in their usual places; UsageError if there are none."""
    with HUB.errors(), _quiet():
        try:
            from kaggle.api.kaggle_api_extended import KaggleApi  # its import signs in a first time, and may print
        except ImportError as error:  # of kaggle, or of a package that it imports and does not require
            raise MissingExtraError((error.name or "kaggle").partition(".")[0], "kaggle") from None
        api = KaggleApi()
        try:
            api.authenticate()
        except SystemExit:  # it has printed how to sign in
            raise UsageError("Kaggle wants a login: no credentials were found", hint=HUB.login) from None
    return api


def _resolve(api: KaggleApi) -> Response:
    """Ask Kaggle for the zip and return the answer of the server that has it, its body unread and closed."""
    from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFilesRequest

    request = ApiDownloadDataFilesRequest()
    request.competition_name = COMPETITION
    with HUB.errors(), _quiet(), api.build_kaggle_client() as client:
        response: Response = client.competitions.competition_api_client.download_data_files(request)
        response.close()
    return response


def _address(response: Response) -> Address:
    if not response.history:  # the body itself, as the answer to a POST: no address that could be resumed
        raise NetworkError("Kaggle gave no address of the file", hint="try again later, or install a newer kaggle")
    return Address(str(response.url))


def _expected(response: Response) -> Expected | None:
    """Return the MD5 that the storage server states; it has none for a file that was uploaded in parts.

    Google Cloud Storage sends x-goog-hash: crc32c=..., md5=..., in base64.
    """
    found = re.search(r"md5=([A-Za-z0-9+/]{22}==)", response.headers.get("x-goog-hash", ""))
    return Expected(Digest("md5", base64.b64decode(found[1]).hex()), AGAINST) if found else None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Kaggle's client prints off standard output and standard error."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
