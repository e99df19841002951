from __future__ import annotations

from dataclasses import replace

import pytest

from ilsvrc.errors import UsageError
from ilsvrc.facts import classes
from ilsvrc.testing import STATES, Fault, Form, MiniSpec, State
from ilsvrc.testing.spec import MiniFields, faults_of


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("classes", 1, 1000),
        ("per_class", 1, 1300),
        ("val_per_class", 1, 50),
        ("seed", 0, 2**32 - 1),
        ("mean_bytes", 2000, 400_000),
    ],
)
def test_numbers_have_ranges(name: str, low: int, high: int) -> None:
    for right in (low, high):
        assert getattr(replace(MiniSpec(), **{name: right}), name) == right  # type: ignore[arg-type]
    for wrong in (low - 1, high + 1):
        with pytest.raises(UsageError, match=name):
            replace(MiniSpec(), **{name: wrong})  # type: ignore[arg-type]


def test_the_default_has_all_classes() -> None:
    assert MiniSpec().images == 4000
    assert MiniSpec().synsets == classes()[:]
    assert [s.wnid for s in MiniSpec(classes=2).synsets] == ["n01440764", "n01443537"]


def test_a_form_and_a_state_may_be_words() -> None:
    spec = MiniSpec(form="kaggle", state="half-valprep")
    assert (spec.form, spec.state) == (Form.KAGGLE, State.HALF_VALPREP)
    assert isinstance(spec.form, Form)
    for fields in (MiniFields(form="zip"), MiniFields(state="zip")):
        with pytest.raises(UsageError, match=r"no such (form|state): zip") as caught:
            MiniSpec(**fields)
        assert "half-valprep" in caught.value.hint or "hf-parquet" in caught.value.hint


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("state", State)
def test_a_form_has_only_its_states(form: Form, state: State) -> None:
    if form in STATES[state].forms:
        assert MiniSpec(form=form, state=state).state == state
        return
    with pytest.raises(UsageError, match=state) as caught:
        MiniSpec(form=form, state=state)
    assert STATES[state].forms[0] in caught.value.hint


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        (MiniFields(form="heap", layout="flat"), "layout"),
        (MiniFields(form="tree", layout="{split}/{name}.{nothing}"), "no layout"),
        (MiniFields(form="tree", layout="../{name}"), "does not start"),
        (MiniFields(form="heap", compressed=True), "compressed"),
        (MiniFields(form="inner", state="some-removed", classes=1), "no inner tar"),
        (MiniFields(form="tree", faults=frozenset({Fault.SYMLINK})), "symlink"),
        (MiniFields(form="inner", faults=frozenset({Fault.HTML_AS_TAR})), "html-as-tar"),
        (MiniFields(form="inner", state="half-inner", faults=frozenset({Fault.PATH_TRAVERSAL})), "path-traversal"),
        (MiniFields(state="half-download", faults=frozenset({Fault.FLIPPED_BYTES})), "flipped-bytes"),
    ],
)
def test_what_a_form_cannot_be_is_refused(fields: MiniFields, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong) as caught:
        MiniSpec(**fields)
    assert caught.value.hint


def test_every_form_has_the_faults_of_images_and_tars_those_of_tars() -> None:
    assert set(faults_of(Form.ARCHIVES)) == set(Fault)
    assert set(Fault) - set(faults_of(Form.INNER)) == {
        Fault.TRUNCATED_ARCHIVE,
        Fault.FLIPPED_BYTES,
        Fault.HTML_AS_TAR,
    }
    images = ["truncated-image", "png-as-jpeg", "cmyk", "zero-byte-image", "missing-class", "missing-images"]
    assert list(faults_of(Form.HF_PARQUET)) == images
