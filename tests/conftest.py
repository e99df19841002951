"""Miniatures made once for all tests, and where the genuine devkit lies.

Where the devkit, a package or a program is missing, `make test` skips the tests that need it and says why. The CI
sets ILSVRC_REQUIRE_ALL, so that they fail there: it must not pass by running less.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from ilsvrc.testing.mini import MiniSpec, write_mini
from tests.oracles import unpack

settings.register_profile("ilsvrc", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("ilsvrc")

MAY_BE_SKIPPED = (
    "root may write everywhere",
    "can't be mounted here",
    "this file system makes clones",
    "there is no second file system here",
    "run in a job of its own",
)
"""Reasons to skip that hold in the CI too: root may do everything, and not every kernel has every file system."""


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure where all tests must run."""
    if not os.environ.get("ILSVRC_REQUIRE_ALL") or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not any(allowed in reason for allowed in MAY_BE_SKIPPED):
        report.outcome = "failed"
        report.longrepr = f"not run, though ILSVRC_REQUIRE_ALL is set: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_if_skipped(report)
    return report


APART = {"test_contract.py": "name", "test_forms.py": "form"}
"""Files whose tests are shared out by this parameter; those of any other file go to one worker together."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share what a fixture made on one worker: `--dist loadgroup` goes by these marks."""
    for item in items:
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        apart = parameters.get(APART.get(item.path.name, ""), "")
        item.add_marker(pytest.mark.xdist_group(f"{item.path.relative_to(item.config.rootpath)} {apart}".strip()))


SMALL = MiniSpec(classes=6, per_class=4, val_per_class=2, mean_bytes=4_000)
THOUSAND = MiniSpec(mean_bytes=2_500)


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six classes; read it, don't change it."""
    folder = tmp_path_factory.mktemp("mini")
    write_mini(folder, SMALL)
    return folder


@pytest.fixture(scope="session")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 1000 classes; read it, don't change it."""
    folder = tmp_path_factory.mktemp("thousand")
    write_mini(folder, THOUSAND)
    return folder


@pytest.fixture(scope="session")
def tree(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The six classes unpacked; read it, don't change it."""
    return unpack(mini, tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="session")
def thousand_tree(thousand: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 1000 classes unpacked; read it, don't change it."""
    return unpack(thousand, tmp_path_factory.mktemp("thousand-tree"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of verified facts with the genuine devkit; tests that need it skip where it is absent."""
    beside = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("ILSVRC_SHARED") or beside) / "facts"
    if not (folder / "ILSVRC2012_devkit_t12.tar.gz").is_file():
        pytest.skip("the genuine devkit is not here: set ILSVRC_SHARED to the folder that has facts/ with it")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what tests cache out of the user's folders."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
