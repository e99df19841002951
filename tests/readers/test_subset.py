"""Which images a subset has: by class, by number, by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ilsvrc import ImageNet, facts
from ilsvrc.errors import UsageError
from ilsvrc.readers.locate import open_reader
from ilsvrc.readers.reader import Reader
from ilsvrc.readers.subset import Subset, SubsetReader, excluded_names, read_selection, select_classes, wanted_labels
from ilsvrc.testing.contracts import ReaderContract, Truth
from tests.readers.conftest import truth_of

EVEN = {split: np.arange(0, images, 2).astype(np.int32) for split, images in (("train", 24), ("val", 12))}
"""Every other image of the miniature."""


def names(dataset: ImageNet) -> list[str]:
    return [Path(path).name for path, _ in dataset.samples]


@given(st.frozensets(st.integers(0, 5), min_size=1), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_takes_so_many_of_every_class_wanted(mini: Path, labels: frozenset[int], count: int, seed: int) -> None:
    dataset = ImageNet(mini, classes=labels, per_class=count, seed=seed)
    targets = list(dataset.targets)
    assert {label: targets.count(label) for label in targets} == dict.fromkeys(labels, min(count, 4))
    assert names(dataset) == sorted(names(dataset))


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 99))
def test_smaller_fractions_lie_within_larger_ones(mini: Path, one: float, other: float, seed: int) -> None:
    small, large = (set(names(ImageNet(mini, fraction=part, seed=seed))) for part in sorted((one, other)))
    assert small <= large
    assert len(large) == 6 * max(1, round(max(one, other) * 4))


def test_seed_draws_the_images(mini: Path) -> None:
    drawn = {seed: tuple(names(ImageNet(mini, per_class=2, seed=seed))) for seed in range(20)}
    assert len(set(drawn.values())) > 10
    assert names(ImageNet(mini, per_class=2, seed=7)) == list(drawn[7])


def test_draws_are_the_same_for_ever(mini: Path) -> None:
    dataset = ImageNet(mini, per_class=1, seed=1)
    everything = names(ImageNet(mini))
    assert [everything.index(name) % 4 for name in names(dataset)] == [2, 2, 2, 2, 1, 1]


def test_trees_and_archives_draw_the_same(mini: Path, tree: Path) -> None:
    assert names(ImageNet(mini, fraction=0.5, seed=3)) == names(ImageNet(tree, fraction=0.5, seed=3))


def test_everything_needs_no_rows(mini: Path) -> None:
    assert len(ImageNet(mini, fraction=1.0)) == len(ImageNet(mini, classes=range(6))) == 24


def test_classes_come_from_a_list_or_a_file(tmp_path: Path) -> None:
    assert wanted_labels(None) is None
    assert wanted_labels(["n01440764", 1, "white_shark"]) == frozenset({0, 1, 2})
    assert wanted_labels("tench,goldfish") == frozenset({0, 1})
    (tmp_path / "wanted.txt").write_text("# mine\nn01440764\ttench\n999\n")
    assert (
        wanted_labels(tmp_path / "wanted.txt") == wanted_labels(str(tmp_path / "wanted.txt")) == frozenset({0, 999})
    )


def test_blacklist_is_left_out(thousand: Path) -> None:
    listed = {f"ILSVRC2012_val_{number:08}.JPEG" for number in facts.val_blacklist()}
    everything = names(ImageNet(thousand, "val"))
    left = names(ImageNet(thousand, "val", exclude="blacklist"))
    assert left == [name for name in everything if name not in listed]
    assert len(left) < len(everything)
    assert len(excluded_names("blacklist")) == 1762


def test_anomalies_are_known_by_name() -> None:
    assert {f"{name}.JPEG" for name in excluded_names("anomalies")} == set(facts.anomalies())


def test_images_are_excluded_by_name_path_and_file(mini: Path, tmp_path: Path) -> None:
    everything = names(ImageNet(mini))
    (tmp_path / "bad.txt").write_text(f"# broken\n{everything[3]}\n\nn01440764/{everything[4]} 0\n17\n")
    left = names(ImageNet(mini, exclude=[everything[0], f"train/x/{everything[1]}", tmp_path / "bad.txt"]))
    assert left == [name for i, name in enumerate(everything) if i not in (0, 1, 3, 4)]
    assert excluded_names(tmp_path / "bad.txt") >= {"ILSVRC2012_val_00000017"}


def test_files_of_other_endings_are_the_same_images(mini: Path, tmp_path: Path) -> None:
    dataset = ImageNet(mini)
    for index in range(8):
        path = tmp_path / "train" / dataset.wnids[dataset.targets[index]] / names(dataset)[index]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".jpg").write_bytes(dataset.bytes(index))
    assert len(ImageNet(tmp_path, exclude=names(dataset)[0])) == 7


@pytest.mark.parametrize(
    "options",
    [
        {"fraction": 0.0},
        {"fraction": 1.5},
        {"per_class": 0},
        {"fraction": 0.5, "per_class": 1},
        {"seed": -1},
        {"seed": 1 << 32},
    ],
)
def test_senseless_subsets_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Subset(**options)  # type: ignore[arg-type]


def test_what_names_no_image_is_refused(mini: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("cat.jpg\n")
    for exclude in ("blacklst", tmp_path / "bad.txt"):
        with pytest.raises(UsageError):
            excluded_names(exclude)
    with pytest.raises(UsageError, match="no image of train is left"):
        ImageNet(mini, classes=["toilet tissue"])


class TestSubsetOfArchive(ReaderContract):
    @pytest.fixture
    def truth(self, tree: Path, split: str) -> Truth:
        return every_other(tree, split)

    @pytest.fixture
    def reader(self, mini: Path, split: str) -> Reader:
        return SubsetReader(open_reader(mini, split), EVEN[split])


class TestSubsetOfTree(ReaderContract):
    @pytest.fixture
    def truth(self, tree: Path, split: str) -> Truth:
        return every_other(tree, split)

    @pytest.fixture
    def reader(self, tree: Path, split: str) -> Reader:
        return SubsetReader(open_reader(tree, split), EVEN[split])


def every_other(tree: Path, split: str) -> Truth:
    truth = truth_of(tree, split)
    return {key: truth[key] for key in sorted(truth)[::2]}


def test_identity_is_of_the_images_that_are_left(mini: Path) -> None:
    reader = open_reader(mini, "train")
    parts = [Subset(per_class=2, seed=seed).of(reader) for seed in (1, 1, 2)]
    assert parts[0].identity == parts[1].identity
    assert len({parts[0].identity, parts[2].identity, reader.identity}) == 3
    assert Subset().of(reader) is reader


@pytest.mark.parametrize(
    ("item", "label"),
    [
        ("n01440764", 0),
        ("0", 0),
        ("999", 999),
        ("tench", 0),
        ("Tinca tinca", 0),
        ("great_white_shark", 2),
        ("GREAT WHITE SHARK", 2),
        ("crane (lifting device)", 517),
        (" pug ", 254),
    ],
)
def test_one_class(item: str, label: int) -> None:
    assert select_classes([item]) == {label}


@pytest.mark.parametrize("item", ["crane", "maillot", "cardigan"])
def test_shared_names_are_refused_with_both_wnids(item: str) -> None:
    with pytest.raises(UsageError, match="names 2 classes: n0") as caught:
        select_classes([item])
    assert "wnid" in caught.value.hint


def test_a_typo_gets_close_matches() -> None:
    with pytest.raises(UsageError) as caught:
        select_classes(["tensh"])
    assert "tench" in caught.value.hint


@pytest.mark.parametrize("items", [["1000"], ["n99999999"], [], ["", " "]])
def test_what_is_no_class_is_refused(items: list[str]) -> None:
    with pytest.raises(UsageError):
        select_classes(items)


def test_a_file_is_one_class_a_line(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("# mine\nn01440764\ttench\n\n1\n")
    assert read_selection(str(path)) == {0, 1}


def test_a_list_has_commas() -> None:
    assert read_selection("0, goldfish,n01484850") == {0, 1, 2}


def test_a_class_list_is_selected_by_its_name() -> None:
    tiny = {facts.classes().by_wnid(wnid).index for wnid in facts.class_list("tinyimagenet").wnids}
    assert read_selection("tinyimagenet") == tiny
    assert read_selection("list:tinyimagenet") == tiny
    assert len(read_selection("imagenette,imagewoof")) == 20
    assert read_selection("imagenette, 5") == read_selection("imagenette") | {5}
    assert wanted_labels(["imagenette", 5]) == read_selection("imagenette,5")


def test_a_dataset_takes_the_name_of_a_class_list(mini: Path) -> None:
    assert {label for _, label in ImageNet(mini, split="val", classes="list:tinyimagenet").samples} == {1}


def test_a_file_with_the_name_of_a_class_list_neither_wins_nor_loses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imagenette").write_text("3\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="of a file in this folder") as caught:
        read_selection("imagenette")
    assert "./imagenette" in caught.value.hint
    assert "list:imagenette" in caught.value.hint
    assert read_selection("./imagenette") == {3}
    assert wanted_labels(Path("imagenette")) == frozenset({3})
    assert len(read_selection("list:imagenette")) == 10


def test_a_folder_with_the_name_of_a_class_list_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imagenette").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(read_selection("imagenette")) == 10


def test_an_unknown_class_list_gets_the_near_ones() -> None:
    for text in ("imagenete", "list:imagenete"):
        with pytest.raises(UsageError) as caught:
            read_selection(text)
        assert "imagenette" in caught.value.hint


def test_a_list_that_is_not_there_is_called_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no class of ILSVRC 2012, and no file"):
        read_selection(str(tmp_path / "classes.txt"))
    with pytest.raises(UsageError, match="no class of ILSVRC 2012, and no file"):
        wanted_labels(tmp_path / "classes.txt")


def test_every_wnid_index_and_unique_name_selects_its_class() -> None:
    for synset in facts.classes():
        assert select_classes([synset.wnid]) == select_classes([str(synset.index)]) == {synset.index}
        assert select_classes([synset.name]) == {synset.index}
