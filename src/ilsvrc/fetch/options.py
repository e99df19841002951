"""Options for aria2c, by its long option names."""

from __future__ import annotations

import os

from ilsvrc.fetch.aria2 import Options
from ilsvrc.fetch.relay import HOST
from ilsvrc.fetch.request import Limits

SMALLEST_PIECE = 1 << 20
"""Bytes: the least piece length that aria2c uses with servers."""

_LARGEST, _PIECES = 16 << 20, 512

WHOLE_OPTIONS = {"split": "1", "max-connection-per-server": "1", "enable-http-pipelining": "false"}
"""For a server that sends no ranges."""


def engine_settings(limits: Limits) -> dict[str, str]:
    """Return the options of the whole process; aria2c takes the proxy from the environment itself."""
    return {
        "no-netrc": "true",
        "max-overall-download-limit": str(limits.max_speed),
        "enable-dht": str(limits.dht).lower(),
        "enable-dht6": "false",
        "disk-cache": "32M",
    }


def file_options(limits: Limits, piece: int) -> dict[str, str]:
    """Return the options of one file that is fetched in pieces of `piece` bytes.

    aria2c requests the pieces in order, each by its exact range, over connections that it keeps. So the beginning of
    the file arrives first and hashing keeps up, and no connection is closed while bytes are in flight.
    """
    return {
        "split": str(limits.connections),
        "max-connection-per-server": str(limits.connections),
        "piece-length": str(max(piece, SMALLEST_PIECE)),
        "min-split-size": str(max(piece, SMALLEST_PIECE)),
        "stream-piece-selector": "inorder",
        "enable-http-pipelining": "true",
        "file-allocation": "none",
        "auto-file-renaming": "false",
        "allow-overwrite": "true",
        "allow-piece-length-change": "true",
        "continue": "true",
        "max-tries": "10",
        "retry-wait": "1",
        "timeout": str(seconds(limits.patience, 60)),
        "connect-timeout": str(seconds(limits.patience, 30)),
        "no-proxy": ",".join(filter(None, (os.environ.get("no_proxy"), HOST))),
        "http-accept-gzip": "false",
        "follow-torrent": "false",
        "follow-metalink": "false",
        "no-want-digest-header": "true",
        "seed-time": "0",
    }


def seeding_options(limits: Limits) -> Options:
    """Return the options for uploading a verified archive to peers."""
    return {"seed-ratio": str(limits.seed_ratio), "bt-seed-unverified": "true", "check-integrity": "false"}


def piece_length(size: int) -> int:
    """Return the bytes of a piece: a power of two that makes about 512 of the file, from 1 to 16 MiB.

    It depends on the size alone, so that every run agrees with the control file of an earlier one.
    """
    return min(max(1 << (size // _PIECES).bit_length(), SMALLEST_PIECE), _LARGEST)


def seconds(patience: float, most: int) -> int:
    """Return the whole seconds to wait for one answer: `patience`, at most `most`."""
    return max(1, min(int(patience), most))
