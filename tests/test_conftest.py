"""The CI can't pass by skipping tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_HOOKS = "from tests.conftest import pytest_make_collect_report, pytest_runtest_makereport  # noqa\n"
_TESTS = {
    "in the test": "import pytest\ndef test_it():\n    pytest.skip('no devkit')\n",
    "by a mark": "import pytest\n@pytest.mark.skipif(True, reason='no devkit')\ndef test_it():\n    pass\n",
    "by a fixture": (
        "import pytest\n@pytest.fixture\ndef devkit():\n    pytest.skip('no devkit')\n\n"
        "def test_it(devkit):\n    pass\n"
    ),
    "the whole module": "import pytest\npytest.skip('no devkit', allow_module_level=True)\n",
    "a missing package": "import pytest\npytest.importorskip('no_such_package', reason='no devkit')\n",
}


def run(folder: Path, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(_HOOKS)
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "test_it.py"]
    inherited = {key: value for key, value in os.environ.items() if key != "ILSVRC_REQUIRE_ALL"}
    path = f"{Path(__file__).parents[1]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return subprocess.run(
        command,
        cwd=folder,
        env={**inherited, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("text", _TESTS.values(), ids=_TESTS)
def test_a_skipped_test_fails_in_the_ci_alone(tmp_path: Path, text: str) -> None:
    alone = run(tmp_path, text)
    assert alone.returncode in (0, 5), alone.stdout  # 5: no test was left to run
    assert "no devkit" in alone.stdout
    required = run(tmp_path, text, ILSVRC_REQUIRE_ALL="1")
    assert required.returncode not in (0, 5), required.stdout
    assert "no devkit" in required.stdout
    assert "ILSVRC_REQUIRE_ALL" in required.stdout


def test_what_root_can_not_test_may_be_skipped(tmp_path: Path) -> None:
    text = "import pytest\ndef test_it():\n    pytest.skip('root may write everywhere')\n"
    assert run(tmp_path, text, ILSVRC_REQUIRE_ALL="1").returncode == 0


def test_the_ci_requires_all() -> None:
    script = (Path(__file__).parents[1] / ".ci/run").read_text()
    assert "\nexport ILSVRC_REQUIRE_ALL=1\n" in script
