"""Run the real program as a user does: a process of its own."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.cli.forking import call


def ilsvrc(*arguments: object, status: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run the program, expect this exit status (None: any) and never a traceback."""
    done = call(list(map(str, arguments)))
    if status is not None:
        assert done.returncode == status, f"{done.args}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def ilsvrc_json(*arguments: object, status: int | None = 0) -> Any:
    """Run the program with --json and return its document."""
    return json.loads(ilsvrc("--json", *arguments, status=status).stdout)
