"""The sink of shards under its contract; what a folder holds before, while and after shards are published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ilsvrc import check, files, prepare
from ilsvrc.errors import DamageError, DataError, MachineError, UsageError
from ilsvrc.readers.shards import ShardReader
from ilsvrc.sinks import shards
from ilsvrc.sinks.formats.webdataset import WebDataset
from ilsvrc.sinks.shards import ShardSink
from ilsvrc.testing.contracts import UNITS, SinkContract, images_of, samples
from ilsvrc.tree.manifest import SHARDED, metadata_of, read_manifest, write_manifest
from tests.cli.helpers import ilsvrc as ilsvrc_command
from tests.prepare.test_prepare import val_txt


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class TestShardSink(SinkContract):
    @pytest.fixture
    def sink(self, tmp_path: Path) -> ShardSink:
        return ShardSink(tmp_path, "train", WebDataset(), len(UNITS), (("archive", "a.tar"),))

    def kept(self, sink: ShardSink) -> object:
        return contents(sink.root)

    def another(self, sink: ShardSink, folder: Path) -> ShardSink:
        return ShardSink(folder, sink.split, sink.format, sink.count, sink.provenance)

    def test_no_shard_has_its_name_before_all_are_whole(self, sink: ShardSink) -> None:
        receipts = [sink.write(unit, samples(unit)) for unit in UNITS]
        assert [p.name for p in sink.root.iterdir()] == [".ilsvrc"]
        sink.finish(receipts, (), images_of(UNITS))
        named = ["train-000000.tar", "train-000001.tar", "train-index.json"]
        assert sorted(p.name for p in sink.root.iterdir()) == [".ilsvrc", *named]
        assert [p.name for p in (sink.root / ".ilsvrc").iterdir()] == ["train.arrow"]

    def test_lost_cut_or_changed_shards_are_not_held(self, sink: ShardSink) -> None:
        receipt = sink.write(UNITS[0], samples(UNITS[0]))
        shard = sink.root / receipt.outputs[0].path
        whole = shard.read_bytes()
        for data in (whole[:-1], whole[:600] + b"!" + whole[601:]):
            shard.write_bytes(data)
            assert not sink.holds(receipt)
        shard.unlink()
        assert not sink.holds(receipt)
        shard.write_bytes(whole)
        assert sink.holds(receipt)

    def test_link_in_staging_is_not_followed(self, sink: ShardSink, tmp_path: Path) -> None:
        target = tmp_path / "precious"
        target.write_bytes(b"keep me")
        sink.staged.images.mkdir(parents=True)
        sink.unnamed(0).symlink_to(target)
        with pytest.raises(MachineError, match="000000"):
            sink.write(UNITS[0], samples(UNITS[0]))
        assert target.read_bytes() == b"keep me"

    @pytest.mark.parametrize("name", ["train-000001.tar", "train-index.json"])
    def test_nothing_of_anybodys_is_replaced(self, sink: ShardSink, name: str) -> None:
        """It appears while the run works."""
        receipts = [sink.write(unit, samples(unit)) for unit in UNITS]
        (sink.root / name).write_text("mine")
        with pytest.raises(UsageError, match=name):
            sink.finish(receipts, (), images_of(UNITS))
        assert (sink.root / name).read_text() == "mine"
        assert not sink.manifest.exists()


@pytest.fixture
def written(mini: Path, tmp_path: Path) -> Path:
    prepare(mini, tmp_path / "out", format="webdataset", shard_images=9, jobs=1)
    return tmp_path / "out"


def again(mini: Path, out: Path, **more: Any) -> None:
    prepare(mini, out, format="webdataset", shard_images=9, jobs=1, **more)


@pytest.mark.parametrize("kind", ["file", "link to a folder", "link to nothing"])
@pytest.mark.parametrize(
    ("name", "folder"), [("parquet", "data"), ("mds", "val"), ("tfrecord", "imagenet2012/5.1.0")]
)
def test_what_has_the_place_of_a_folder_of_shards_is_named_before_any_work(
    mini: Path, tmp_path: Path, name: str, folder: str, kind: str
) -> None:
    out, aside, taken = tmp_path / "out", tmp_path / "aside", tmp_path / "out" / folder
    taken.parent.mkdir(parents=True)
    aside.mkdir()
    if kind == "file":
        taken.write_text("mine")
    else:
        taken.symlink_to(aside if kind == "link to a folder" else "nowhere")
    with pytest.raises(UsageError, match=f"{folder} is a link or a file"):
        prepare(mini, out, format=name, shard_images=9, jobs=1, splits=["val"])
    assert not list(aside.iterdir())
    assert [path.name for path in out.iterdir()] == [Path(folder).parts[0]]


@pytest.mark.parametrize("stop", range(6))
def test_publishing_is_resumed_wherever_it_stopped(
    mini: Path, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Stopped after any number of shards have their names, before the index, before the manifest."""

    class Stop(BaseException):
        pass

    left = [stop]

    def counting(function: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object) -> object:
            if not left[0]:
                raise Stop
            left[0] -= 1
            return function(*arguments)

        return counted

    out = tmp_path / "other"
    with monkeypatch.context() as patch:
        patch.setattr(shards, "rename_new", counting(files.rename_new))
        patch.setattr(ShardSink, "_close", counting(ShardSink._close))
        with pytest.raises(Stop):
            again(mini, out)
    again(mini, out)
    shown = {name: data for name, data in contents(out).items() if not name.startswith(".ilsvrc/")}
    assert shown == {name: data for name, data in contents(written).items() if not name.startswith(".ilsvrc/")}
    assert not (out / ".ilsvrc/staging").exists()


def test_a_lost_shard_is_named_and_repaired(mini: Path, written: Path) -> None:
    before = contents(written)
    (written / "train-000001.tar").unlink()
    with pytest.raises(DamageError, match=r"now 1 of 3 shards are missing") as caught:
        again(mini, written)
    assert "--repair" in caught.value.hint
    again(mini, written, repair=True)
    assert contents(written)["train-000001.tar"] == before["train-000001.tar"]


def test_a_lost_index_is_written_again(mini: Path, written: Path) -> None:
    before = (written / "val-index.json").read_bytes()
    (written / "val-index.json").unlink()
    assert "val-index.json" in ilsvrc_command("check", written, status=1).stdout
    again(mini, written)
    assert (written / "val-index.json").read_bytes() == before


def test_other_settings_need_another_folder(mini: Path, written: Path) -> None:
    before = contents(written)
    others: list[dict[str, Any]] = [{"seed": 1}, {"shard_images": 8}, {"format": "folders"}]
    for options in others:
        with pytest.raises(UsageError) as caught:
            prepare(mini, written, **{"format": "webdataset", "shard_images": 9, "jobs": 1, **options})
        assert "choose another folder" in caught.value.hint or "leave" in caught.value.hint
    changed = {name for name, data in contents(written).items() if before.get(name) != data}
    assert changed <= {".ilsvrc/journal.jsonl", ".ilsvrc/report.json", ".ilsvrc/lock"}


def test_shards_beside_a_prepared_tree_are_refused(mini: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path / "tree", jobs=1)
    before = contents(tmp_path / "tree")
    with pytest.raises(UsageError, match="another source or other settings"):
        again(mini, tmp_path / "tree")
    assert contents(tmp_path / "tree") == before


def test_folders_beside_shards_are_refused_and_not_called_damaged(mini: Path, tmp_path: Path) -> None:
    """MDS has its shards in a folder of the split's name, as a tree has its images."""
    prepare(mini, tmp_path / "out", format="mds", jobs=1)
    before = contents(tmp_path / "out")
    for repair in (False, True):
        with pytest.raises(UsageError, match="holds shards of train"):
            prepare(mini, tmp_path / "out", jobs=1, repair=repair)
    assert {name for name, data in contents(tmp_path / "out").items() if before[name] != data} <= {".ilsvrc/lock"}


def test_the_hint_of_a_run_that_finished_nothing_can_be_followed(mini: Path, tmp_path: Path) -> None:
    """EDM refuses the first JPEG: its hint names options, and the work that is there has none of value."""
    with pytest.raises(UsageError, match="no PNG") as caught:
        prepare(mini, tmp_path / "out", format="edm", jobs=1)
    assert "--crop 64 --encode png" in caught.value.hint
    assert prepare(mini, tmp_path / "out", format="edm", crop=64, encode="png", jobs=1).ok


def test_a_dry_run_counts_shards(mini: Path, tmp_path: Path) -> None:
    for options, how in (("webdataset", "1 shard of webdataset"), ("lmdb", "one file of lmdb")):
        done = ilsvrc_command("prepare", mini, tmp_path / "out", "--format", options, "--dry-run").stdout
        assert f"  how: {how}, images byte for byte" in done.splitlines()


@pytest.mark.parametrize("name", ["ffcv", "array_record", "lmdb"])
def test_the_room_that_is_told_suffices(mini: Path, tmp_path: Path, name: str) -> None:
    """FFCV's pages have 8 MiB, however small the images are."""
    chosen: dict[str, Any] = {"format": name, "splits": ["val"], "jobs": 1}
    told = prepare(mini, tmp_path / "out", dry_run=True, **chosen).estimate
    prepare(mini, tmp_path / "out", **chosen)
    assert told is not None
    assert told.needs_bytes >= sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_options_that_contradict_each_other_are_refused(mini: Path, tmp_path: Path) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"shard_size": "1MB"}, "folders have none"),
        ({"format": "webdataset", "layout": "flat"}, "layout"),
        ({"format": "webdataset", "shard_size": "1MB", "shard_images": 3}, "contradict"),
        ({"format": "webdataset", "shard_size": "many"}, "no size"),
        ({"format": "webdataset", "shard_images": 0}, "1 or more"),
        ({"format": "webdataset", "source": "delete"}, "folders only"),
        ({"format": "tarball"}, "webdataset"),
        ({"format": "webdataset", "order": "none"}, "catalog"),
        ({"order": "catalog"}, "folders have none"),
        ({"format": "webdataset", "link": "hard"}, "leave link out"),
        ({"format": "webdataset", "seed": -1}, "0 or more"),
        ({"format": "webdataset", "seed": 1 << 64}, "2 to the 64th"),
        ({"format": "webdataset", "seed": 1, "order": "catalog"}, "leave seed or order out"),
    ]
    for options, word in refused:
        with pytest.raises(UsageError) as caught:
            prepare(mini, tmp_path / "out", **options)
        assert word in f"{caught.value.message} {caught.value.hint}"
    assert not (tmp_path / "out").exists()


def test_shards_are_cut_by_size(mini: Path, tmp_path: Path) -> None:
    prepare(mini, tmp_path / "out", format="webdataset", shard_size="20kB", jobs=1)
    index = json.loads((tmp_path / "out/train-index.json").read_text())
    sizes = [shard["filesize"] for shard in index["shardlist"]]
    assert len(sizes) > 3
    assert max(sizes) < 2 * min(sizes[:-1])
    assert sum(shard["nsamples"] for shard in index["shardlist"]) == 24


def test_shards_read_in_another_process_refuse_a_change(written: Path) -> None:
    import pickle

    from ilsvrc.readers.locate import open_reader

    reader = open_reader(written, "train")
    data = pickle.dumps(reader)
    shard = written / "train-000000.tar"
    shard.write_bytes(shard.read_bytes())
    with pytest.raises(Exception, match="changed while"):
        pickle.loads(data)
    with pytest.raises(Exception, match=r"changed while|replaced"):
        reader.require_unchanged()


@pytest.mark.parametrize("damage", ["cut", "empty", "folder"])
def test_shards_with_a_damaged_manifest_are_not_left_out(
    mini: Path, written: Path, tmp_path: Path, damage: str
) -> None:
    """Else val alone is taken, and called ready."""
    del mini
    manifest = written / ".ilsvrc/train.arrow"
    whole = manifest.read_bytes()
    manifest.unlink()
    if damage == "folder":
        manifest.mkdir()
    else:
        manifest.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"")
    with pytest.raises(DataError, match="shards of train can't be read"):
        prepare(written, tmp_path / "back", jobs=1)
    assert not (tmp_path / "back").exists()
    report = check(written)
    assert {part.split: [issue.key for issue in part.issues] for part in report.parts} == {
        "train": [".ilsvrc/train.arrow"],
        "val": [],
    }
    assert not report.ok


def test_shards_of_a_format_that_is_not_known_are_named(written: Path) -> None:
    """A later edition may write others."""
    manifest = written / ".ilsvrc/train.arrow"
    table = read_manifest(manifest, SHARDED)
    manifest.unlink()  # the table is mapped from it
    told = metadata_of(table)
    write_manifest(
        table, manifest, told | {"format": "zzz", "settings": told["settings"].replace("webdataset", "zzz")}
    )
    issues = [issue for part in check(written).parts for issue in part.issues]
    assert [(issue.key, "there is no format 'zzz'" in issue.detail) for issue in issues] == [
        (".ilsvrc/train.arrow", True)
    ]


def test_lost_shard_is_a_fault_of_the_data_and_the_hint_mends_it(written: Path) -> None:
    (written / "train-000000.tar").unlink()
    with pytest.raises(DataError, match="a shard is missing") as caught:
        ShardReader.open(written, "train")
    assert "--repair" in caught.value.hint


def test_unfinished_shards_beside_finished_ones_are_a_fault(written: Path) -> None:
    (written / ".ilsvrc/staging/test.shards").mkdir(parents=True)
    faults = {part.split: [issue.detail for issue in part.issues] for part in check(written).parts}
    assert faults == {"train": [], "val": [], "test": ["it is unfinished: run `prepare` again"]}


def test_manifest_with_another_name_is_not_called_compared(mini: Path, written: Path) -> None:
    manifest = written / ".ilsvrc/train.arrow"
    table = read_manifest(manifest, SHARDED)
    names = table.column("path").to_pylist()
    changed = table.set_column(0, SHARDED.field("path"), pa.array([names[0].replace(".JPEG", ".JPEH"), *names[1:]]))
    manifest.unlink()  # the table is mapped from it
    write_manifest(changed, manifest, metadata_of(table))
    with pytest.raises(UsageError, match=r"train\.arrow is damaged.*JPEH"):
        again(mini, written)


def test_damaged_manifest_is_not_called_one_of_other_settings(mini: Path, written: Path) -> None:
    (written / ".ilsvrc/train.arrow").write_bytes(b"")
    with pytest.raises(UsageError, match="whose manifest can't be read"):
        again(mini, written)
    (written / ".ilsvrc/train.arrow").unlink()
    with pytest.raises(UsageError, match="no manifest says that ilsvrc wrote it"):
        again(mini, written)


def altered(out: Path, change: Callable[[pa.Table, dict[str, str]], tuple[pa.Table, dict[str, str]]]) -> None:
    """Write the manifest of train with other values."""
    manifest = out / ".ilsvrc/train.arrow"
    table = read_manifest(manifest, SHARDED)
    changed, metadata = change(table, metadata_of(table))
    manifest.unlink()  # the table is mapped from it
    write_manifest(changed, manifest, metadata)


def labels_swapped(table: pa.Table, metadata: dict[str, str]) -> tuple[pa.Table, dict[str, str]]:
    labels = table.column("label").to_pylist()
    labels[3] = (labels[3] + 1) % 6
    return table.set_column(1, SHARDED.field("label"), pa.array(labels, pa.int16())), metadata


def format_exchanged(table: pa.Table, metadata: dict[str, str]) -> tuple[pa.Table, dict[str, str]]:
    return table, metadata | {"format": "mds"}


def image_of_another_split(table: pa.Table, metadata: dict[str, str]) -> tuple[pa.Table, dict[str, str]]:
    names = table.column("path").to_pylist()
    moved = pa.array([names[0].replace("train/", "val/"), *names[1:]])
    return table.set_column(0, SHARDED.field("path"), moved), metadata


@pytest.mark.parametrize("change", [labels_swapped, format_exchanged, image_of_another_split])
def test_altered_manifest_is_refused_wherever_it_is_read(mini: Path, written: Path, change: Any) -> None:
    altered(written, change)
    with pytest.raises(DataError, match=r"train\.arrow"):
        ShardReader.open(written, "train")
    [issue] = check(written).damage
    assert issue.key == ".ilsvrc/train.arrow"
    with pytest.raises(UsageError, match=r"train\.arrow"):
        again(mini, written)


def test_shards_under_other_names_are_not_called_compared(mini: Path, written: Path) -> None:
    def renamed(table: pa.Table, metadata: dict[str, str]) -> tuple[pa.Table, dict[str, str]]:
        return table, metadata | {"shards": metadata["shards"].replace("train-000001.tar", "mine.tar")}

    (written / "train-000001.tar").rename(written / "mine.tar")
    altered(written, renamed)
    with pytest.raises(UsageError, match=r"is damaged.*mine\.tar"):
        again(mini, written)


def test_labels_of_the_users_may_differ_from_those_of_names(mini: Path, tmp_path: Path) -> None:
    """With --trust-val-labels they are those of the file, in the manifest too."""
    file = val_txt(tmp_path / "val.txt")
    lines = file.read_text().splitlines()
    lines[292] = "ILSVRC2012_val_00000293.JPEG 5"  # a tench, by the ground truth
    file.write_text("\n".join(lines))
    chosen: dict[str, Any] = {"splits": ["val"], "jobs": 1}
    prepare(mini, tmp_path / "out", format="mds", val_labels=file, trust_val_labels=True, **chosen)
    prepare(tmp_path / "out", tmp_path / "converted", format="webdataset", **chosen)
    for folder in (tmp_path / "out", tmp_path / "converted"):
        reader = ShardReader.open(folder, "val")
        assert dict(zip(reader.names.to_pylist(), reader.labels, strict=True))["ILSVRC2012_val_00000293.JPEG"] == 5
        assert check(folder).ok


@pytest.mark.parametrize(
    ("name", "index"),
    [("mds", "val/index.json"), ("webdataset", "val-index.json"), ("tfrecord", "imagenet2012/5.1.0/features.json")],
)
def test_damaged_index_is_written_again_with_repair(mini: Path, tmp_path: Path, name: str, index: str) -> None:
    out = tmp_path / "out"
    prepare(mini, out, format=name, jobs=1)
    whole = (out / index).read_bytes()
    (out / index).write_bytes(whole[:-9])
    with pytest.raises(UsageError, match="is not what ilsvrc writes there") as caught:
        prepare(mini, out, format=name, jobs=1)
    assert "--repair" in caught.value.hint
    assert not check(out).ok
    prepare(mini, out, format=name, jobs=1, repair=True)
    assert (out / index).read_bytes() == whole
    assert check(out).ok


def test_a_link_in_the_place_of_an_index_is_left_alone(mini: Path, written: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (written / "val-index.json").unlink()
    (written / "val-index.json").symlink_to(tmp_path / "mine")
    with pytest.raises(UsageError, match=r"val-index\.json"):
        again(mini, written, repair=True)
    assert (written / "val-index.json").is_symlink()


def test_images_that_tensorflow_fails_at_are_refused(mini: Path, tmp_path: Path) -> None:
    """It decodes WebP to four dimensions, as an animation, and TFDS wants three: as_dataset() ends at the first."""
    chosen: dict[str, Any] = {"splits": ["val"], "jobs": 1}
    with pytest.raises(UsageError, match="readers of tfrecord fail") as caught:
        prepare(mini, tmp_path / "out", format="tfrecord", encode="webp:90", **chosen)
    assert "--encode jpeg:90" in caught.value.hint
    assert not (tmp_path / "out").exists()
    prepare(mini, tmp_path / "webp", format="array_record", encode="webp:90", **chosen)
    with pytest.raises(UsageError, match="readers of tfrecord fail"):
        prepare(tmp_path / "webp", tmp_path / "out", format="tfrecord", **chosen)
    assert prepare(tmp_path / "webp", tmp_path / "out", format="tfrecord", encode="png", **chosen).ok


def test_what_shards_prove_is_said(written: Path, tmp_path: Path) -> None:
    """They have no digest as a whole: their reader compares every image with its own."""
    said = ilsvrc_command("prepare", written, tmp_path / "back").stdout
    assert said.count("; every image compared with its recorded digest\n") == 2
