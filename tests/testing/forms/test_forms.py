"""What all forms have in common."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ilsvrc.errors import UsageError
from ilsvrc.testing import FORMS, STATES, Fault, Form, State, write_mini
from ilsvrc.testing.forms import top_names
from ilsvrc.testing.spec import MiniSpec
from tests.testing.conftest import CLEAN, Written
from tests.testing.helpers import decode, images_of, tree

PAGE = Path(__file__).parents[3] / "docs/reference/mini.md"
EVERY = [(form, state) for state in State for form in STATES[state].forms]
FOLDERS = [Form.HEAP, Form.TREE, Form.KAGGLE, Form.HF_PARQUET, Form.HF_TAR]


@pytest.mark.parametrize(("form", "state"), EVERY)
def test_the_same_call_gives_the_same_bytes(written: Written, tmp_path: Path, form: Form, state: State) -> None:
    write_mini(tmp_path, replace(CLEAN, form=form, state=state, test_images=3))
    assert tree(tmp_path) == tree(written(form, state=state))


@pytest.mark.parametrize(("form", "state"), EVERY)
def test_nothing_else_lies_in_the_folder(written: Written, form: Form, state: State) -> None:
    spec = MiniSpec(form=form, state=state)
    names = {path.name for path in written(form, state=state).iterdir()}
    assert names <= {*top_names(spec), "MD5SUMS"}


@pytest.mark.parametrize("form", Form)
def test_the_report_counts_images_and_bytes(tmp_path: Path, form: Form) -> None:
    report = write_mini(tmp_path, form=form, classes=2, per_class=3, mean_bytes=2000, test_images=2)
    assert (report.form, report.state, report.images) == (form, State.COMPLETE, 10)
    assert report.bytes == sum(map(len, tree(tmp_path).values()))
    assert set(report.sizes) == {f"{p.name}/" if p.is_dir() else p.name for p in tmp_path.iterdir()}
    assert report.to_json()["form"] == form


@pytest.mark.parametrize("form", FOLDERS)
def test_the_report_says_where_a_fault_of_an_image_sits(written: Written, tmp_path: Path, form: Form) -> None:
    faults = frozenset({Fault.ZERO_BYTE_IMAGE, Fault.CMYK, Fault.MISSING_IMAGES, Fault.MISSING_CLASS})
    report = write_mini(tmp_path, replace(CLEAN, form=form, faults=faults))
    places = {(planted.fault, planted.archive): planted.member for planted in report.planted}
    missing = {fault: member for (fault, archive), member in places.items() if archive == "train"}
    assert set(missing) == {Fault.MISSING_CLASS, Fault.MISSING_IMAGES}
    assert missing[Fault.MISSING_CLASS] == "n01484850"
    assert missing[Fault.MISSING_IMAGES].startswith("n01491361/")
    assert places[Fault.MISSING_IMAGES, "val"] in images_of(written())["val"]
    for fault in (Fault.ZERO_BYTE_IMAGE, Fault.CMYK):
        [(path, member)] = [(tmp_path / p.archive, p.member) for p in report.planted if p.fault == fault]
        assert path.is_file()
        if not member:
            data = path.read_bytes()
            assert data == b"" if fault == Fault.ZERO_BYTE_IMAGE else decode(data).mode == "CMYK"


def test_inner_tars_have_the_faults_of_tars(tmp_path: Path) -> None:
    report = write_mini(
        tmp_path, replace(CLEAN, form="inner", faults=frozenset({Fault.SYMLINK, Fault.GZIPPED_INNER}))
    )
    symlink, gzipped = report.planted
    assert (symlink.archive, symlink.member) == ("train", "n01440764.tar/n01440764_0.JPEG")
    assert (gzipped.archive, gzipped.member) == ("train", "n01443537.tar")
    assert (tmp_path / "train/n01443537.tar").read_bytes()[:2] == b"\x1f\x8b"


@pytest.mark.parametrize("form", [form for form in Form if form not in (Form.ARCHIVES, Form.INNER)])
def test_scipy_is_needed_for_a_devkit_alone(tmp_path: Path, form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("scipy was asked for")

    monkeypatch.setattr("ilsvrc.testing.devkit._savemat", refuse)
    write_mini(tmp_path, form=form, classes=1, per_class=1, mean_bytes=2000)


@pytest.mark.parametrize(("form", "state"), EVERY)
def test_what_is_there_is_never_replaced_unasked(tmp_path: Path, form: Form, state: State) -> None:
    spec = MiniSpec(classes=2, per_class=2, mean_bytes=2000, form=form, state=state)
    write_mini(tmp_path / "made", spec)
    for path in (tmp_path / "made").iterdir():
        target = tmp_path / "mine" / path.name
        target.mkdir(parents=True)
        (target / "precious").write_text("mine")
        for force in (False, True):
            with pytest.raises(UsageError, match=path.name):
                write_mini(tmp_path / "mine", spec, force=force)
        assert tree(tmp_path / "mine") == {f"{path.name}/precious": b"mine"}
        (target / "precious").unlink()
        target.rmdir()
        target.parent.rmdir()


def test_files_are_replaced_by_force_and_large_ones_are_not(tmp_path: Path) -> None:
    spec = MiniSpec(classes=1, per_class=1, mean_bytes=2000, form=Form.TREE_TAR)
    (tmp_path / "train.tar").write_text("mine")
    write_mini(tmp_path, spec, force=True)
    assert (tmp_path / "train.tar").stat().st_size > 2000
    with (tmp_path / "val.tar").open("wb") as file:
        file.truncate(6_700_000_000)
    with pytest.raises(UsageError, match="too large"):
        write_mini(tmp_path, spec, force=True)


def test_every_form_and_state_is_explained_on_the_page() -> None:
    assert list(FORMS) == list(Form)
    assert list(STATES) == list(State)
    text = PAGE.read_text(encoding="utf-8")
    for form, description in FORMS.items():
        assert f"| `{form}` | {description} |\n" in text
    for state, spec in STATES.items():
        forms = "every form" if len(spec.forms) == len(FORMS) else ", ".join(f"`{form}`" for form in spec.forms)
        assert f"| `{state}` | {spec.description} | {forms} |\n" in text
