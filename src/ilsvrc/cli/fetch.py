"""`ilsvrc fetch`: get the archives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.filesize import decimal

import ilsvrc
from ilsvrc.cli.app import app
from ilsvrc.cli.output import progress, show
from ilsvrc.errors import UsageError

if TYPE_CHECKING:  # imported when they are used
    from ilsvrc.fetch import Fetched, FetchReport
    from ilsvrc.prepare.report import PrepareReport

_EXAMPLES = """**Examples**

`ilsvrc fetch train val devkit --to /data/imagenet --cookies cookies.txt` -- from image-net.org, with a login

`ilsvrc fetch train val --to /data/imagenet --torrent academic` -- from Academic Torrents

`ilsvrc fetch val --to /data/imagenet --url https://a/val.tar --url https://b/val.tar` -- from two mirrors at once

`ilsvrc fetch train val --to /data/archives --torrent academic --then prepare /data/imagenet` -- and unpack them

`ilsvrc fetch --hf --split val --to /data/hf` -- the Parquet files of Hugging Face, with its token (`hf auth login`)

`ilsvrc fetch --kaggle --to /data/kaggle` -- the zip of Kaggle's competition, with its API key
"""

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


@app.command(epilog=_EXAMPLES)
def fetch(
    archives: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ARCHIVE ...]", help="train, val, test, devkit or file names; by default all but test."
        ),
    ] = None,
    to: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the archives.")] = Path(),
    hf: Annotated[bool, typer.Option("--hf", help="Fetch the Parquet files of Hugging Face into DIR/data.")] = False,
    split: Annotated[
        list[str] | None,
        typer.Option(help="With --hf: train, val or test; again for more; train and val by default."),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="With --hf: a branch, tag or commit; main by default.")] = None,
    kaggle: Annotated[bool, typer.Option("--kaggle", help="Fetch the zip of Kaggle's competition.")] = False,
    url: Annotated[list[str] | None, typer.Option(help="A server of one archive; repeat for mirrors.")] = None,
    torrent: Annotated[
        list[str] | None, typer.Option(metavar="FILE|MAGNET|academic", help="A torrent of one archive.")
    ] = None,
    metalink: Annotated[list[Path] | None, typer.Option(help="A Metalink file: mirrors of archives.")] = None,
    cookies: Annotated[Path | None, typer.Option(help="Cookies of a logged-in browser (cookies.txt).")] = None,
    header: Annotated[list[str] | None, typer.Option(help="A header line for the server.")] = None,
    netrc: Annotated[Path | None, typer.Option(help="A netrc file with user and password.")] = None,
    connections: Annotated[int, typer.Option(help="Connections to the servers of one archive.")] = 16,
    max_speed: Annotated[str, typer.Option(metavar="RATE", help="Bytes per second, such as 20M; 0: no limit.")] = "0",
    seed_ratio: Annotated[float, typer.Option(help="Upload this share to other peers afterwards.")] = 0.0,
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", help="Keep trying for so long while no byte arrives.")
    ] = 300.0,
    dht: Annotated[bool, typer.Option(help="Find peers without a tracker.")] = True,
    then: Annotated[
        tuple[str, Path] | None, typer.Option(metavar="prepare DST", help="Then run `ilsvrc prepare DIR DST`.")
    ] = None,
) -> None:
    """Fetch the archives over many connections or BitTorrent, or from Hugging Face or Kaggle, and verify them.

    After any interruption (Ctrl-C, a kill, a power cut) the same command resumes where it stopped.
    """
    if then and then[0] != "prepare":
        raise UsageError(f"--then can't run {then[0]!r}", hint="write --then prepare DST")
    if hf and kaggle:
        raise UsageError("--hf and --kaggle exclude each other", hint="one command for each of them")
    with progress() as listener:
        report = ilsvrc.fetch(
            *archives or (),
            to=to,
            origin="hf" if hf else "kaggle" if kaggle else None,
            splits=split or (),
            revision=revision,
            urls=url or (),
            torrents=torrent or (),
            metalinks=metalink or (),
            cookies=cookies,
            headers=header or (),
            netrc=netrc,
            connections=connections,
            max_speed=rate(max_speed),
            seed_ratio=seed_ratio,
            patience=patience,
            dht=dht,
            listener=listener,
        )
        prepared = ilsvrc.prepare(to, then[1], listener=listener) if then else None
    document = report.to_json() | ({"prepared": prepared.to_dict()} if prepared else {})
    show(document, lambda console: _print(console, report, to, prepared), ok=prepared is None or prepared.ok)


def rate(text: str) -> int:
    """Return bytes per second for a number with k, M or G after it."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgG]?)", text)
    if match is None:
        raise UsageError(f"{text}: not a rate", hint="bytes per second, such as 500k, 20M or 0")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def _print_split(console: Console, split: str, files: list[Fetched]) -> None:
    """Print one line for the files of a split: there may be hundreds."""
    size, received = decimal(sum(one.size for one in files)), decimal(sum(one.received for one in files))
    where = files[0].path.parent / f"{split}-*.parquet"
    against = ", ".join(sorted({one.against or "nothing" for one in files}))
    line = f"{where}: {len(files):,} files, {size}, {received} received, sha256 verified against {against}"
    console.print(line, markup=False)


def _print(console: Console, report: FetchReport, to: Path, prepared: PrepareReport | None) -> None:
    parquet = [one for one in report.archives if one.path.suffix == ".parquet"]
    for split in dict.fromkeys(one.name.partition("-")[0] for one in parquet):
        _print_split(console, split, [one for one in parquet if one.name.startswith(f"{split}-")])
    for one in (one for one in report.archives if one not in parquet):
        came = f"{decimal(one.received)} received in {one.seconds:,.0f} s" if one.seconds else "it was on disk"
        against = f"verified against {one.against}" if one.against else "NOT verified"
        console.print(f"{one.path}: {decimal(one.size)}, {one.digest} {against}, {came}", markup=False)
    if prepared:
        from ilsvrc.cli.prepare import print_prepared

        print_prepared(console, prepared, to)
