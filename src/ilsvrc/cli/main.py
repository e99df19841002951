"""The program: exit statuses, and errors without tracebacks.

Everything slow to import is imported after signals are answered.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from ilsvrc.cli import process
from ilsvrc.cli.process import Phase
from ilsvrc.imports import hide_pandas

if TYPE_CHECKING:
    from ilsvrc.errors import IlsvrcError

USAGE, MACHINE, INTERRUPTED = 2, 3, 130
_COMMANDS = {
    "check": "check",
    "fetch": "fetch",
    "index": "index",
    "labels": "labels",
    "ls": "ls",
    "cat": "ls",
    "mini": "mini",
    "prepare": "prepare",
    "relabel": "relabel",
    "view": "view",
}
"""The module of each command, in the order of `--help`."""

_COMMON = ("--json", "--events", "-q", "--quiet", "-v", "--verbose")
_SHORTAGES = ("can't start new thread", "failed to map segment", "cannot allocate memory", "bad_alloc")
"""Messages of libraries that lack memory or processes, in errors whose type does not say so."""


def run() -> NoReturn:
    """Run the program and end the process: the console command."""
    process.listen()
    hide_pandas()
    process.prepare_streams()
    threading.excepthook = _end_if_short
    process.end(main())


_MAY_BE_EMPTY = ("--classes", "--faults")
"""Options that handle an empty value themselves."""


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit status; an expected failure prints no traceback."""
    words = _options_first(sys.argv[1:] if arguments is None else arguments)
    status = _status(words)
    if "--events" in words:
        _tell_event("ended", {"exit_status": status})
    return status


def _status(words: list[str]) -> int:
    """Run the program and return its exit status."""
    as_json = "--json" in words
    try:
        status = _run(words)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except Exception as error:
        if not process.received():
            return _report_any(error, as_json=as_json)
        status = INTERRUPTED  # a failure after a signal is a consequence of it
    return _ended(INTERRUPTED if status and process.received() else status, as_json=as_json)


def _run(words: list[str]) -> int:
    """Run a command and return its exit status."""
    try:
        _refuse_empty(words)
        _register(words)
        from ilsvrc.cli.app import app

        process.enter(Phase.RUNNING)
        app(words, prog_name="ilsvrc")
    except SystemExit as end:  # typer always ends with this
        return int(end.code or 0)
    return 0


def _register(words: list[str]) -> None:
    """Import the module of the called command, which registers it; if no command is recognised, import all."""
    called = next((word for word in words if not word.startswith("-")), None)
    for module in [_COMMANDS[called]] if called in _COMMANDS else _COMMANDS.values():
        import_module(f"ilsvrc.cli.{module}")


def _options_first(words: list[str]) -> list[str]:
    """Accept the common options after the command too, where people write them."""
    end = words.index("--") if "--" in words else len(words)
    common = [word for word in words[:end] if word in _COMMON]
    return [*dict.fromkeys(common), *(word for word in words[:end] if word not in _COMMON), *words[end:]]


def _refuse_empty(words: list[str]) -> None:
    """Refuse an empty argument: mostly an unset shell variable, which as a path would be the current folder."""
    for before, word in zip(["", *words], words, strict=False):
        empty = not word and before not in _MAY_BE_EMPTY
        if empty or (word.startswith("--") and word.endswith("=") and word[:-1] not in _MAY_BE_EMPTY):
            from ilsvrc.cli.output import settings
            from ilsvrc.errors import UsageError

            settings.json = "--json" in words
            hint = "is a shell variable unset? the current folder is written as ."
            raise UsageError(f"an argument is empty: ilsvrc {shlex.join(words)}", hint=hint)
        if ":/" in word and not word.startswith("-"):
            _refuse_no_bucket(word, words)


def _refuse_no_bucket(word: str, words: list[str]) -> None:
    """Refuse an address without a bucket, such as `s3:///folder`: as a path it would name another bucket."""
    from ilsvrc.cli.output import settings
    from ilsvrc.stores.url import has_no_bucket, parse_url

    if has_no_bucket(word):
        settings.json = "--json" in words
        parse_url(word)  # raises


def _ended(status: int, *, as_json: bool) -> int:
    """Print how the program ended if typer has not, with --json as a document; return its exit status."""
    if status == INTERRUPTED:
        number = process.received() or signal.SIGINT
        message, status = process.ended_by(number), 128 + number
        process.write_error(f"{message}\n")
    elif status == USAGE:
        message = "a wrong call: see standard error"
    else:
        return status
    if as_json:
        process.write_document({"ok": False, "error": message})
    return status


def _tell_event(event: str, fields: dict[str, object]) -> None:
    """Write an event of the program's own, for --events."""
    from ilsvrc.cli.event_lines import line

    process.write_error(line(event, fields))


def _is_shortage(error: BaseException) -> bool:
    """Whether an error means that the machine has too little memory, or allows too few processes or threads."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _SHORTAGES)


def _end_if_short(fault: threading.ExceptHookArgs) -> None:
    """End the program if a library's thread dies for lack of memory or threads: others would wait for it for ever."""
    if fault.exc_value is not None and _is_shortage(fault.exc_value):
        os._exit(_report_shortage(fault.exc_value, as_json="--json" in sys.argv))
    threading.__excepthook__(fault)


def _report_shortage(error: BaseException, *, as_json: bool) -> int:
    """Report a shortage of memory or threads, with as little memory as possible."""
    message = (
        "out of memory" if isinstance(error, MemoryError) else f"the machine is short of memory or threads: {error}"
    )
    hint = "give it more (ulimit -v, ulimit -u, the container's limits), or try fewer --jobs; then run it again"
    process.write_error(f"error: {message}\nhint: {hint}\n")
    if as_json:
        process.write_document({"ok": False, "error": message, "hint": hint, "issues": []})
    return MACHINE


def _report_any(error: Exception, *, as_json: bool) -> int:
    """Report an expected failure and return its exit status; raise any other error again."""
    if isinstance(error, MemoryError | RuntimeError | ImportError) and _is_shortage(error):
        return _report_shortage(error, as_json=as_json)  # imports nothing: there is no memory for it
    from ilsvrc.errors import IlsvrcError, MachineError

    if isinstance(error, IlsvrcError):
        return _report(error)
    if isinstance(error, OSError):
        return _report(MachineError.of(error))
    raise error


def _report(error: IlsvrcError) -> int:
    """Print an error for people, and with --json as the document; return its exit status."""
    from ilsvrc.cli.output import errors, nowhere, print_document, settings
    from ilsvrc.errors import ArchiveError, DamageError

    if settings.events:
        _tell_event("failed", {"error": error.message, "hint": error.hint, "exit_status": error.exit_status})
    console = errors() if not settings.events else nowhere()
    console.print("error:", error.message, style="bold red", markup=False)
    issues = error.issues if isinstance(error, DamageError) else ()
    for issue in issues:
        console.print(f"  {issue}", markup=False)
    if error.hint:
        console.print("hint:", error.hint, markup=False)
    if settings.json:
        listed = [{"key": i.key, "code": i.code, "detail": i.detail, "known": i.known} for i in issues]
        code = {"code": error.code} if isinstance(error, ArchiveError) else {}
        print_document({"ok": False, "error": error.message, "hint": error.hint, "issues": listed} | code)
    return error.exit_status
