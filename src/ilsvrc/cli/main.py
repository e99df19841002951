"""The program: exit statuses, and errors without tracebacks."""

from __future__ import annotations

import sys

from ilsvrc.cli import check, fetch, index, labels, mini, prepare, relabel  # noqa: F401  -- commands register themselves
from ilsvrc.cli.app import app
from ilsvrc.cli.output import errors, print_document, settings
from ilsvrc.errors import ArchiveError, DamageError, IlsvrcError, MachineError

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit status; an expected failure prints no traceback."""
    words = _json_first(sys.argv[1:] if arguments is None else arguments)
    try:
        app(words, prog_name="ilsvrc")
    except SystemExit as end:  # typer ends so in any case, wrong calls included
        return _interrupted() if end.code == INTERRUPTED else int(end.code or 0)
    except IlsvrcError as error:
        return _report(error)
    except OSError as error:
        return _report(MachineError.of(error))
    except KeyboardInterrupt:
        return _interrupted()
    return 0


def run() -> None:
    """Run the program and end the process: the console command."""
    sys.exit(main())


def _json_first(words: list[str]) -> list[str]:
    """Accept --json after the command too, where people write it."""
    options = words[: words.index("--")] if "--" in words else words
    return ["--json", *(w for w in words if w != "--json")] if "--json" in options else words


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


def _interrupted() -> int:
    errors().print("interrupted: run the same command again to go on", style="yellow")
    return INTERRUPTED
