"""No message is a dead end: the command that it names is taken out of it and run, and goes forward."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ilsvrc import facts
from ilsvrc.testing.mini import MiniSpec, write_mini
from ilsvrc.testing.spec import STATES, Form, State
from tests.cli.helpers import ilsvrc, ilsvrc_json
from tests.fetch.hubs.conftest import ZIP, home, hub, kaggle, storage
from tests.fetch.hubs.servers import HuggingFace, Kaggle, Storage
from tests.fetch.nginx import Nginx
from tests.oracles import unpack

__all__ = ["home", "hub", "kaggle", "storage"]  # fixtures

CASES = [(state, form) for state, spec in STATES.items() if state != State.COMPLETE for form in spec.forms]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    write_mini(folder, MiniSpec(classes=4, per_class=3, val_per_class=2, mean_bytes=3_000))
    return folder


@pytest.fixture(scope="module")
def server(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """Has the archives; the official server wants a login."""
    nginx = Nginx(tmp_path_factory.mktemp("nginx"))
    for path in archives.glob("*.tar"):
        shutil.copy(path, nginx.root)
    yield nginx
    nginx.close()


@pytest.fixture
def hubs(storage: Storage, hub: HuggingFace, kaggle: Kaggle, tmp_path: Path) -> None:
    """Hugging Face and Kaggle have the same images."""
    storage.files.clear()
    for form in (Form.HF_PARQUET, Form.KAGGLE_ZIP):
        folder = tmp_path / f"whole-{form}"
        write_mini(folder, MiniSpec(classes=4, per_class=3, val_per_class=2, mean_bytes=3_000, form=form))
        for path in folder.rglob("*.parquet"):
            storage.files[str(path.relative_to(folder))] = path.read_bytes()
        for path in folder.glob("*.zip"):
            storage.files[ZIP] = path.read_bytes()


def command_in(told: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the words of the first command that a message names, without the program's name."""
    lines = [line for line in (told.stdout + told.stderr).splitlines() if re.match(r"\s*(next|hint|warning):", line)]
    commands = re.findall(r"`(ilsvrc [^`]+)`", "\n".join(lines))
    assert commands, f"no command in {told.stdout}\n{told.stderr}"
    return shlex.split(commands[0])[1:]


def run(command: list[str], server: Nginx) -> None:
    """Run a command; an official archive comes from the server of the test instead of image-net.org."""
    if command[0] == "fetch" and not {"--hf", "--kaggle"} & set(command):
        name = {"train": facts.TRAIN, "val": facts.VAL}[command[1]]
        command = [*command, "--url", server.url("ranges", name)]
    ilsvrc(*command, status=0)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_every_half_done_state_goes_forward(
    case: tuple[State, Form], archives: Path, server: Nginx, hubs: None, tmp_path: Path
) -> None:
    (state, form), source, target = case, tmp_path / "source", tmp_path / "target"
    write_mini(source, MiniSpec(classes=4, per_class=3, val_per_class=2, mean_bytes=3_000, form=form, state=state))
    shutil.copy(archives / "MD5SUMS", source)
    command = command_in(ilsvrc("check", source, status=None))
    run(command, server)
    split = command[command.index("--split") + 1] if "--split" in command else "train"
    if command[0] == "prepare":
        target = Path(command[2])
    else:
        ilsvrc("prepare", source, target, "--split", split)
    truth = unpack(archives, tmp_path / "truth")
    wanted = {path.name: path.read_bytes() for path in (truth / split).rglob("*.JPEG")}
    assert {path.name: path.read_bytes() for path in (target / split).rglob("*.JPEG")} == wanted
    told = ilsvrc_json("check", "--deep", target, "--against", archives)
    assert [part["comparison"]["equal"] for part in told["parts"]] == [len(wanted)]


def test_two_downloads_that_stopped_are_resumed_one_after_the_other(
    archives: Path, server: Nginx, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    spec = MiniSpec(
        classes=4, per_class=3, val_per_class=2, mean_bytes=3_000, form=Form.ARCHIVES, state=State.HALF_DOWNLOAD
    )
    write_mini(source, spec)
    shutil.copy(archives / "MD5SUMS", source)
    for split in ("train", "val"):
        command = command_in(ilsvrc("check", source, status=None))
        assert command == ["fetch", split, "--to", str(source)]
        run(command, server)
    told = ilsvrc_json("check", source, "--against", archives)
    assert [part["comparison"]["equal"] for part in told["parts"]] == [12, 8]


def names(folder: Path, *entries: str) -> Path:
    """Make a folder with files and folders of these names."""
    folder.mkdir()
    for entry in entries:
        path = folder / entry
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.endswith("/"):
            path.mkdir()
        else:
            path.write_bytes(b"junk")
    return folder


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "empty": ((), "a folder of official archives would have ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar"),
    "notes": (("readme.txt", "a/b/"), "there is a/, readme.txt (4 bytes)"),
    "shards": (("data/part.parquet",), "Hugging Face's would have data/train-00000-of-00294.parquet"),
    "lists": (
        ("LOC_synset_mapping.txt", "ILSVRC/ImageSets/"),
        "Kaggle's, unpacked, would have ILSVRC/Data/CLS-LOC/train",
    ),
    "download": (("imagenet.zip",), "Kaggle's zip would have imagenet-object-localization-challenge.zip"),
    "many": (tuple(f"{n}.txt" for n in range(9)), "0.txt (4 bytes), 1.txt (4 bytes), 2.txt (4 bytes), "),
}


WRONG_CALLS = [*(("check", name) for name in WRONG), *((verb, "notes") for verb in ("prepare", "ls", "--against"))]


@pytest.mark.parametrize(("verb", "name"), WRONG_CALLS)
def test_wrong_path_is_told_what_lies_there_and_what_would(verb: str, name: str, tmp_path: Path, mini: Path) -> None:
    entries, words = WRONG[name]
    folder = names(tmp_path / name, *entries)
    commands = {"--against": ["check", mini, "--against", folder], "prepare": ["prepare", folder, tmp_path / "out"]}
    told = ilsvrc(*commands.get(verb, [verb, folder]), status=2)
    assert words in told.stderr
    assert "in any known form: there is " in told.stderr
    assert told.stderr.count(" would have ") >= 2
    [_, command] = re.findall(r"`(ilsvrc [^`]+)`", told.stderr)
    ilsvrc(*shlex.split(command)[1:], "--classes", 2, "--mean-bytes", 2_000)
    ilsvrc("check", folder)


def test_fetch_command_of_a_wrong_path_is_of_the_nearest_form(hubs: None, tmp_path: Path) -> None:
    for name, entries in {"hf": ("data/",), "kaggle": ("LOC_synset_mapping.txt",)}.items():
        folder = names(tmp_path / name, *entries)
        command = command_in(ilsvrc("check", folder, status=2))
        assert f"--{name}" in command
        ilsvrc(*command)
        assert ilsvrc_json("check", folder, status=None)["parts"][0]["images"] == 12


def test_path_that_does_not_exist_leads_to_one_like_it(mini: Path, tmp_path: Path) -> None:
    (tmp_path / "imagenet").symlink_to(mini)
    command = command_in(ilsvrc("check", tmp_path / "imagnet" / "x", status=2))
    assert command == ["check", str(tmp_path / "imagenet")]
    ilsvrc(*command)


def test_path_that_does_not_exist_leads_to_the_folder_above(mini: Path) -> None:
    command = command_in(ilsvrc("ls", mini / "xyzzy", status=2))
    assert command == ["check", str(mini)]


def test_path_that_does_not_exist_can_be_made(tmp_path: Path) -> None:
    told = ilsvrc("check", tmp_path / "new folder", status=2)
    [_, command] = re.findall(r"`(ilsvrc [^`]+)`", told.stderr)
    ilsvrc(*shlex.split(command)[1:], "--classes", 2, "--mean-bytes", 2_000)
    ilsvrc("check", tmp_path / "new folder")


def test_split_that_is_not_there_leads_to_one_that_is(mini: Path, tmp_path: Path) -> None:
    shutil.copy(mini / facts.VAL, tmp_path)
    told = ilsvrc("prepare", tmp_path, tmp_path / "out", "--split", "train", status=2)
    assert f"{tmp_path} holds no train, only val" in told.stderr
    ilsvrc("prepare", tmp_path, tmp_path / "out", "--split", "val", "--verify", "none")


def test_classes_that_are_not_there_lead_to_those_that_are(mini: Path, tmp_path: Path) -> None:
    command = command_in(ilsvrc("prepare", mini, tmp_path / "out", "--classes", "toucan", status=2))
    assert "train/n01440764/" in ilsvrc(*command).stdout


def test_devkit_is_named_where_an_archive_is_wanted(mini: Path, tmp_path: Path) -> None:
    told = ilsvrc("prepare", mini / facts.DEVKIT, tmp_path / "out", status=1).stderr
    assert "this is the devkit" in told


def test_split_is_offered_instead_only_if_it_is_there(archives: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / f"{facts.TRAIN}.part").write_bytes(b"begun")
    (source / f"{facts.VAL}.part").write_bytes(b"begun")
    assert "--split" not in ilsvrc("prepare", source, tmp_path / "out", status=2).stderr
    (source / f"{facts.VAL}.part").unlink()
    shutil.copy(archives / facts.VAL, source)
    assert "add --split val to prepare without it" in ilsvrc("prepare", source, tmp_path / "out", status=2).stderr
