"""The packaged meta.bin, read by torch and by torchvision's own ImageNet."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ilsvrc import facts
from tests.cli.helpers import ilsvrc
from tests.oracles import package


def test_torch_loads_the_words_of_each_wnid_and_the_wnid_of_each_validation_image() -> None:
    loaded = package("torch").load(io.BytesIO(facts.torchvision_meta()), weights_only=True)
    words, val_wnids = loaded
    assert words == {s.wnid: tuple(s.words.split(", ")) for s in facts.classes()}
    assert val_wnids == [facts.classes()[label].wnid for label in facts.val_labels().tolist()]


def test_it_is_what_torchvision_makes_of_the_genuine_devkit(shared: Path, tmp_path: Path) -> None:
    theirs = package("torchvision.datasets.imagenet")
    shutil.copy(shared / facts.DEVKIT, tmp_path)
    theirs.parse_devkit_archive(tmp_path)
    made = theirs.load_meta_file(tmp_path)
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / facts.TORCHVISION_META).write_bytes(facts.torchvision_meta())
    assert theirs.load_meta_file(tmp_path / "ours") == made
    assert facts.TORCHVISION_META == theirs.META_FILE


@pytest.fixture(scope="module")
def prepared(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared tree of the six classes, with meta.bin."""
    root = tmp_path_factory.mktemp("prepared") / "imagenet"
    ilsvrc("prepare", mini, root, "--layout", "wnid")
    return root


@pytest.mark.parametrize("split", ["train", "val"])
def test_torchvisions_imagenet_opens_a_prepared_tree(prepared: Path, split: str) -> None:
    theirs = package("torchvision.datasets").ImageNet(prepared, split=split)
    assert len(theirs) == {"train": 24, "val": 12}[split]
    assert theirs.wnids == list(facts.classes().wnids[:6])
    assert theirs.classes == [tuple(s.words.split(", ")) for s in facts.classes()[:6]]
    assert theirs.wnid_to_idx == {s.wnid: s.index for s in facts.classes()[:6]}
    listed = dict(line.split() for line in (prepared / f"{split}.txt").read_text().splitlines())
    labels = {Path(path).relative_to(prepared / split).as_posix(): str(label) for path, label in theirs.samples}
    assert labels == listed


def test_check_passes_with_it_in_the_tree(prepared: Path) -> None:
    assert "meta.bin" not in ilsvrc("check", "--deep", prepared).stdout


def test_nothing_of_torch_is_imported() -> None:
    code = "import ilsvrc.facts as f, sys; f.torchvision_meta(); print({'torch', 'torchvision'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"
