"""Progress as values: the library reports, whoever called decides how to show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Started:
    """A stage of work began: `total_bytes` and `total_images` are 0 where they are not known."""

    stage: str
    total_bytes: int = 0
    total_images: int = 0


@dataclass(frozen=True, slots=True)
class Advanced:
    """A stage moved on by so many bytes and images since its last event.

    `detail` is a few words on how it goes (speed, connections, time left), where the sender knows better.
    """

    stage: str
    bytes: int = 0
    images: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """A stage is over."""

    stage: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the user should read, now and in the final summary; `warning` where it can bite."""

    text: str
    warning: bool = False


Event = Started | Advanced | Finished | Note
Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """Listen to nothing: the default of every library call."""
