"""Turn a failure of a server, the network or aria2c into one error with a hint."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

from ilsvrc.errors import ArchiveError, IlsvrcError, MachineError, NetworkError, UsageError
from ilsvrc.fetch.urls import shown
from ilsvrc.issues import Code

LOGIN_HINT = "log in with a browser and pass its cookies (--cookies FILE), or use --header or --netrc"
AGAIN = "run the same command again: it resumes where it stopped"

_UNKNOWN = 1
_TIMED_OUT, _NOT_FOUND, _CANT_RESUME, _NO_SPACE, _NO_NAME = 2, 3, 8, 9, 19
_CANT_OPEN, _CANT_CREATE, _IO_ERROR, _NO_FOLDER, _BAD_REPLY, _LOGIN = 15, 16, 17, 18, 22, 24
_FILES = {_CANT_OPEN, _CANT_CREATE, _IO_ERROR, _NO_FOLDER}


class DamagedControlError(NetworkError):
    """The control file of a part can't be read."""


class CannotResumeError(NetworkError):
    """The server broke off and can't resume in the middle of a file."""


def http_failure(url: str, status: int) -> IlsvrcError:
    """Return the error for an HTTP status of 400 and above."""
    where = shown(url)
    match status:
        case 401:
            return UsageError(f"{where}: the server wants a login (401)", hint=LOGIN_HINT)
        case 403:
            return UsageError(f"{where}: the server refuses this login (403)", hint=LOGIN_HINT)
        case 404 | 410:
            return UsageError(f"{where}: no such file on the server ({status})", hint="check the URL")
        case 416:
            detail = "the server has no bytes in the requested range (416): its file is empty, or shorter than before"
            return ArchiveError(Code.WRONG_SIZE, detail, where, hint="check the URL")
        case _ if status >= 500 or status in (408, 429):
            return NetworkError(f"{where}: the server can't answer now ({status})", hint="try again later")
    return UsageError(f"{where}: the server answers {status}", hint="check the URL")


def request_failure(url: str, error: Exception) -> IlsvrcError:
    """Return the error for a request that got no answer."""
    where, host = shown(url), urlsplit(url).hostname
    match error:
        case socket.gaierror():
            return NetworkError(f"{where}: no address is known for {host}", hint="check the URL and the network")
        case ConnectionRefusedError():
            return NetworkError(
                f"{where}: {host} refuses connections", hint="check the URL's port, or try again later"
            )
        case ssl.SSLCertVerificationError():
            return MachineError(f"{where}: the certificate of {host} can't be trusted: {error.verify_message}")
        case TimeoutError():
            return NetworkError(f"{where}: {host} does not answer", hint="try again later")
        case ConnectionError():
            return NetworkError(f"{where}: {host} broke off the connection", hint="try again later")
        case http.client.HTTPException() | ValueError():
            return bad_answer(url, str(error))
    return NetworkError(f"{where}: {error}", hint="try again later")


def bad_answer(url: str, what: str) -> NetworkError:
    """Return the error for an answer that breaks the rules of HTTP; the message quotes `what`."""
    hint = "use another server, or try again later"
    return NetworkError(f"{shown(url)}: the server's answer can't be understood: {what[:80]!r}", hint=hint)


def disk_full(name: str) -> MachineError:
    """Return the error for a disk without space."""
    return MachineError(f"{name}: the disk is full", hint=f"free some space, then {AGAIN}")


def engine_failure(name: str, status: dict[str, Any]) -> IlsvrcError:
    """Return the error for a download that aria2c gave up; `status` is its aria2.tellStatus.

    Codes are those of the section "EXIT STATUS" in aria2's manual.
    """
    code, message = int(status.get("errorCode", 1)), status.get("errorMessage", "")
    if code == _UNKNOWN and message == "Download aborted.":
        return DamagedControlError(f"{name}: aria2c can't read its control file", hint="remove its .part files")
    if code == _NO_SPACE or "No space left" in message:
        return disk_full(name)
    if code in _FILES or "write into the segment file" in message:
        return MachineError(f"{name}: can't be written: {message}", hint=f"check the folder, then {AGAIN}")
    if code == _NOT_FOUND:
        return UsageError(f"{name}: no such file on the server (404)", hint="check the URL")
    if code == _LOGIN:
        return UsageError(f"{name}: the server wants a login (401)", hint=LOGIN_HINT)
    if code == _CANT_RESUME:
        return CannotResumeError(f"{name}: the server broke off and can't resume")
    if code == _BAD_REPLY and "status=403" in message:
        return UsageError(f"{name}: the server refuses this login (403)", hint=LOGIN_HINT)
    known = {_TIMED_OUT: "no answer in time", _NO_NAME: "the server's name can't be resolved"}
    return NetworkError(f"{name}: {known.get(code, message or f'aria2c gave up ({code})')}", hint=AGAIN)
