"""`~` is the home folder in every path of every command, also where no shell has expanded it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer

from ilsvrc.cli.app import app
from ilsvrc.cli.main import main
from ilsvrc.facts import classes, val_labels
from ilsvrc.facts.names import val_name

COMMANDS = {
    "mini": ["~/fake", "--classes", "1", "--mean-bytes", "2000"],
    "index": ["~/archives"],
    "prepare": ["~/archives", "~/new", "--val-labels", "~/val.txt", "--classes", "~/classes.txt"],
    "check": ["~/tree", "--against", "~/archives", "--report", "~/report.html"],
    "ls": ["~/archives"],
    "cat": ["~/archives", "val/n01440764/ILSVRC2012_val_00000293.JPEG"],
    "relabel": ["~/tree"],
    "labels verify": ["~/val.txt"],
    "labels convert": ["~/val.txt", "--to", "wnid", "--output", "~/converted.txt"],
    "labels detect": ["~/predictions.csv", "--truth", "~/val.txt"],
}
"""Every command with paths, with `~` in all of them; those of `fetch` and `view` are in their own tests."""

WITHOUT_PATHS = {"labels show", "labels table", "labels list", "fetch", "view"}


@pytest.fixture(scope="module")
def home(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    shutil.copytree(mini, folder / "archives")
    (folder / "classes.txt").write_text("n01440764\ngoldfish\n")
    labels = val_labels().tolist()
    (folder / "val.txt").write_text("".join(f"{val_name(n)} {label}\n" for n, label in enumerate(labels, 1)))
    rows = "".join(f"{val_name(n)},{label}\n" for n, label in enumerate(labels[:400], 1))
    (folder / "predictions.csv").write_text(f"name,prediction\n{rows}")
    call(folder, "prepare", str(folder / "archives"), str(folder / "tree"))
    return folder


def call(home: Path, *words: str) -> None:
    """Run the program with this home, in an empty folder, in which no `~` may appear."""
    (home / "here").mkdir(exist_ok=True)
    environment = {**os.environ, "HOME": str(home)}
    command = [sys.executable, "-m", "ilsvrc", *words]
    done = subprocess.run(command, cwd=home / "here", env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert not list((home / "here").iterdir())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_tilde_is_the_home_folder(home: Path, command: str) -> None:
    call(home, *command.split(), *COMMANDS[command])


def test_what_was_written_is_in_the_home_folder(home: Path) -> None:
    call(home, "labels", "convert", "~/val.txt", "--to", "devkit", "--output", "~/devkit.txt")
    first = classes()[int(val_labels()[0])].devkit_id
    assert (home / "devkit.txt").read_text().startswith(f"{val_name(1)} {first}\n")


def test_the_table_has_every_command_and_every_path_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A new command, or a new option with a path, must be put into the table."""
    main(["--help"])  # imports every command
    assert "relabel" in capsys.readouterr().out
    found = dict(functions(app))
    assert set(found) == set(COMMANDS) | WITHOUT_PATHS
    for name, words in COMMANDS.items():
        paths = [parameter for parameter, hint in get_type_hints(found[name]).items() if "Path" in str(hint)]
        paths += ["classes"] if name == "prepare" else []  # a list or a file
        assert sum(word.startswith("~") for word in words) == len(paths), f"{name}: {paths}"


def functions(group: typer.Typer, name: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the full name and the function of every command below a group."""
    for command in group.registered_commands:
        assert command.callback is not None
        yield f"{name} {command.name or command.callback.__name__}".strip(), command.callback
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from functions(inner.typer_instance, str(inner.name))
