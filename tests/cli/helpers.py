"""Run the real program as a user does: a subprocess."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def ilsvrc(*arguments: object, status: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run the program, expect this exit status (None: any) and never a traceback."""
    command = [sys.executable, "-m", "ilsvrc", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if status is not None:
        assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def ilsvrc_json(*arguments: object, status: int | None = 0) -> Any:
    """Run the program with --json and return its document."""
    return json.loads(ilsvrc("--json", *arguments, status=status).stdout)
