"""The program: options, exit statuses, and errors without tracebacks."""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import sys
from typing import Annotated

import click
import typer

from ilsvrc.cli.output import errors, settings
from ilsvrc.errors import DamageError, IlsvrcError, MachineError

INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ilsvrc {importlib.metadata.version('ilsvrc')}")
        raise typer.Exit


@app.callback()
def ilsvrc(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors and warnings.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    version: Annotated[  # noqa: ARG001  -- handled by its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Get the ILSVRC 2012 (ImageNet-1K) archives ready to train on, and every label right.

    Exit status: 0 done; 1 the data is at fault; 2 the call is at fault; 3 the machine is at fault; 130 interrupted.
    """
    settings.verbosity = int(verbose) - int(quiet)
    settings.json = as_json


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit status; an expected failure prints no traceback."""
    words = _json_first(sys.argv[1:] if arguments is None else arguments)
    try:
        result = app(words, prog_name="ilsvrc", standalone_mode=False)
    except click.exceptions.Abort:
        return _interrupted()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except IlsvrcError as error:
        return _report(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _report(machine_error(error))
    except KeyboardInterrupt:
        return _interrupted()
    return result if isinstance(result, int) else 0


def run() -> None:
    """Run the program and end the process: the console command."""
    sys.exit(main())


def machine_error(error: OSError) -> MachineError:
    """Say in one sentence what the machine would not do."""
    hints = {
        errno.ENOSPC: "free some space and run the same command again",
        errno.EDQUOT: "free some of your quota and run the same command again",
        errno.EACCES: "change the permissions, or choose another folder",
        errno.EROFS: "choose a folder that can be written",
    }
    where = f"{error.filename}: " if error.filename else ""
    return MachineError(f"{where}{error.strerror or error}", hint=hints.get(error.errno or 0, ""))


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
        document = {"ok": False, "error": error.message, "hint": error.hint, "issues": listed}
        code = getattr(error, "code", None)
        json.dump(document | ({"code": code} if code else {}), sys.stdout, indent=2)
        sys.stdout.write("\n")
    return error.exit_status


def _interrupted() -> int:
    errors().print("interrupted: run the same command again to go on", style="yellow")
    return INTERRUPTED
