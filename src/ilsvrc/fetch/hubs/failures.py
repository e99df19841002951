"""Turn a failure of a hub's client into one error: what the hub refused, and the page to visit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from ilsvrc.errors import IlsvrcError, NetworkError, UsageError

_HTTP_LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")
"""The libraries under the clients: which one it is, differs between versions; some of their errors are no OSError."""


@dataclass(frozen=True, slots=True)
class Hub:
    """How a hub is spoken of in messages.

    name : for people
    login : how to log in
    terms : what to do if the account has not accepted the terms, with the page to visit
    missing : what to do if the hub does not have the files
    """

    name: str
    login: str
    terms: str
    missing: str

    def failure(self, status: int, detail: str = "") -> IlsvrcError:
        """Return the error for an HTTP status of 400 and above; `detail` is the hub's own message."""
        said = f": {_one_line(detail)}" if detail else ""
        match status:
            case 401:
                return UsageError(f"{self.name} wants a login (401){said}", hint=self.login)
            case 403:
                return UsageError(f"{self.name} refuses this account (403){said}", hint=self.terms)
            case 404 | 410:
                return UsageError(f"{self.name} does not have it ({status}){said}", hint=self.missing)
            case _ if status >= 500 or status in (408, 429):
                return NetworkError(f"{self.name} can't answer now ({status}){said}", hint="try again later")
        return UsageError(f"{self.name} answers {status}{said}", hint=self.login)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn the errors of a client that is called in the block: those with an HTTP answer, and of the network.

        Any other error is a fault of the program and passes.
        """
        try:
            yield
        except IlsvrcError:
            raise
        except Exception as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            if isinstance(status, int) and status >= 400:
                raise self.failure(status, _hub_message(error)) from error
            if isinstance(error, ValueError) and not isinstance(error, OSError):  # no JSON, or not that of the hub
                text = f"{self.name}: the answer can't be understood: {_one_line(str(error))[:80]!r}"
                raise NetworkError(
                    text, hint="try again later; behind a proxy or a mirror, check its address"
                ) from error
            if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _HTTP_LIBRARIES:
                text = f"{self.name} can't be reached: {_one_line(str(error))[:200]}"
                raise NetworkError(text, hint="check the network, then run the same command again") from error
            raise


def _hub_message(error: Exception) -> str:
    """Return the hub's own message in an error, without the client's advice around it; empty if there is none."""
    stated = getattr(error, "server_message", None)
    with contextlib.suppress(ValueError, KeyError, TypeError, RuntimeError):  # no JSON, or another document
        stated = stated or error.response.json()["message"]  # type: ignore[attr-defined]
    return str(stated or "")


def _one_line(text: str) -> str:
    return " ".join(text.split())
