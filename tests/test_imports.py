"""The program and its workers never import pandas, which pyarrow looks for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ilsvrc.testing import Form, MiniSpec, write_mini

TRACE = """
import os, pathlib
pathlib.Path(os.environ["TRACES"], str(os.getpid())).touch()
raise ImportError("this is no pandas")
"""


@pytest.fixture
def traced(tmp_path: Path) -> dict[str, str]:
    """Return the environment of processes that leave a file in `traces` when they import pandas."""
    package = tmp_path / "packages" / "pandas"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(TRACE)
    (tmp_path / "traces").mkdir()
    packages = os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": packages, "TRACES": str(tmp_path / "traces")}


def test_pyarrow_looks_for_pandas(tmp_path: Path, traced: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", "import pyarrow; pyarrow.array([1])"], env=traced, check=True)
    assert len(list((tmp_path / "traces").iterdir())) == 1


@pytest.mark.parametrize("form", [Form.ARCHIVES, Form.TREE, Form.KAGGLE_ZIP, Form.HF_PARQUET])
def test_no_process_of_ours_imports_pandas(form: Form, tmp_path: Path, traced: dict[str, str]) -> None:
    spec = MiniSpec(classes=3, per_class=2, val_per_class=1, mean_bytes=2_000, form=form)
    source = write_mini(tmp_path / "source", spec).folder
    words = ["-q", "prepare", str(source), str(tmp_path / "out"), "--jobs", "2", "--link", "copy"]
    subprocess.run([sys.executable, "-m", "ilsvrc", *words], env=traced, check=True, capture_output=True)
    assert not list((tmp_path / "traces").iterdir())


def test_pandas_that_is_imported_already_stays(tmp_path: Path, traced: dict[str, str]) -> None:
    (tmp_path / "packages" / "pandas" / "__init__.py").write_text("answer = 42")
    code = "import pandas, ilsvrc.imports as i; i.hide_pandas(); i.hide_pandas(); import pandas; print(pandas.answer)"
    done = subprocess.run([sys.executable, "-c", code], env=traced, check=True, capture_output=True, text=True)
    assert done.stdout == "42\n"
