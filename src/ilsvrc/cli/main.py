"""The program: exit statuses, and errors without tracebacks."""

from __future__ import annotations

import io
import os
import shlex
import sys
from importlib import import_module
from pathlib import Path

from ilsvrc.cli.app import app
from ilsvrc.cli.output import errors, print_document, settings
from ilsvrc.errors import ArchiveError, DamageError, IlsvrcError, MachineError, UsageError

USAGE, INTERRUPTED = 2, 130
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
}
"""The module of each command, in the order of `--help`."""

_COMMON = ("--json", "-q", "--quiet", "-v", "--verbose")
_MAY_BE_EMPTY = ("--classes", "--faults")
"""Options that say themselves what an empty list means."""


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit status; an expected failure prints no traceback."""
    words = _options_first(sys.argv[1:] if arguments is None else arguments)
    _accept_any_text()
    settings.json = "--json" in words
    try:
        _refuse_empty(words)
        _register(words)
        app(words, prog_name="ilsvrc")
    except SystemExit as end:  # typer ends so in any case
        return _ended(int(end.code or 0), as_json="--json" in words)
    except IlsvrcError as error:
        return _report(error)
    except OSError as error:
        return _report(MachineError.of(error))
    except KeyboardInterrupt:
        return _ended(INTERRUPTED, as_json="--json" in words)
    return 0


def run() -> None:
    """Run the program and end the process: the console command."""
    sys.exit(main())


def _register(words: list[str]) -> None:
    """Import the module of the command that is called, which registers itself; where it isn't clear, all of them."""
    called = next((word for word in words if not word.startswith("-")), None)
    for module in [_COMMANDS[called]] if called in _COMMANDS else _COMMANDS.values():
        import_module(f"ilsvrc.cli.{module}")


def _options_first(words: list[str]) -> list[str]:
    """Accept the options of all commands after the command too, where people write them."""
    end = words.index("--") if "--" in words else len(words)
    common = [word for word in words[:end] if word in _COMMON]
    return [*dict.fromkeys(common), *(word for word in words[:end] if word not in _COMMON), *words[end:]]


def _refuse_empty(words: list[str]) -> None:
    """Refuse an empty argument: mostly an unset shell variable, which as a path would be the current folder."""
    for before, word in zip(["", *words], words, strict=False):
        empty = not word and before not in _MAY_BE_EMPTY
        if empty or (word.startswith("--") and word.endswith("=") and word[:-1] not in _MAY_BE_EMPTY):
            hint = "is a shell variable unset? the current folder is written as ."
            raise UsageError(f"an argument is empty: ilsvrc {shlex.join(words)}", hint=hint)


def _accept_any_text() -> None:
    """Let names print that are no valid text, and let a closed standard output be no error."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  -- for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _ended(status: int, *, as_json: bool) -> int:
    """Say how the program ended where typer has not, and with --json as a document."""
    told = {
        INTERRUPTED: "interrupted: run the same command again to go on",
        USAGE: "a wrong call: see standard error",
    }
    if status == INTERRUPTED:
        errors().print(told[status], style="yellow")
    if as_json and status in told:
        print_document({"ok": False, "error": told[status]})
    return status


def _report(error: IlsvrcError) -> int:
    """Print an error for people, and with --json as the document; return its exit status."""
    console = errors()
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
