"""The root of the command line: the typer app that each command module registers itself on."""

from __future__ import annotations

from typing import Annotated

import typer

from ilsvrc.cli.output import settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from ilsvrc.version import __version__

        typer.echo(f"ilsvrc {__version__}")
        raise typer.Exit


@app.callback()
def ilsvrc(
    context: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors, warnings and faults only.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="List every fault, not only the first 20.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    events: Annotated[
        bool, typer.Option("--events", help="Print one JSON object per event on standard error.")
    ] = False,
    version: Annotated[  # noqa: ARG001  -- handled by its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Get the ILSVRC 2012 (ImageNet-1K) archives ready to train on, and every label right.

    Exit status: 0 done; 1 the data is at fault; 2 the call is at fault; 3 the machine is at fault;
    130, 143, 129 ended by Ctrl-C, SIGTERM, SIGHUP: the same command resumes.
    """
    settings.verbosity = int(verbose) - int(quiet)
    settings.json = as_json
    settings.events = events
    settings.command = context.invoked_subcommand or ""
