"""`ilsvrc prepare`: turn the official archives into class folders."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal

from ilsvrc.cli.app import app
from ilsvrc.cli.output import print_issues, progress, settings, show
from ilsvrc.files import printable
from ilsvrc.images.transform import FILTERS
from ilsvrc.paths import given_path
from ilsvrc.prepare.options import DAMAGED, FORMAT, LINK, ORDER, ORDER_BY, SOURCE, VERIFY
from ilsvrc.prepare.prepare import prepare as prepare_tree
from ilsvrc.prepare.report import PrepareReport, SplitReport
from ilsvrc.readers.reader import SHARDS
from ilsvrc.readers.subset import read_selection
from ilsvrc.run.engines.address import FORMS, MPI, PROCESSES, opened
from ilsvrc.words import counted

_EXAMPLES = """**Examples**

`ilsvrc prepare /data/archives /data/imagenet` -- folders named by wnid, as torchvision and timm read them

`ilsvrc prepare /data/archives /data/imagenet --layout padded` -- folders 0000 to 0999

`ilsvrc prepare /data/archives /data/dogs --classes n02085620,n02085782,pug` -- some classes

`ilsvrc prepare /data/archives /data/imagenette --classes imagenette` -- a class list: see `ilsvrc labels list`

`ilsvrc prepare /data/archives /data/shards --format webdataset` -- shuffled shards: see docs/how-to/which-format.md

`ilsvrc prepare /data/archives s3://bucket/shards --format webdataset` -- to a bucket

`ilsvrc prepare /data/archives /data/imagenet --layout '{split}/{wnid}_{word}/{name}'` -- a template of your own

`ilsvrc prepare /data/archives /data/small --format webdataset --resize 256` -- shards of smaller images

Interrupted? Run the same command again: it resumes.
"""


@app.command(epilog=_EXAMPLES)
def prepare(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC", help="The data set, in any form: a folder, a file, or s3://..., gs://, az://, https://."
        ),
    ],
    target: Annotated[
        Path, typer.Argument(metavar="DST", help="Folder that gets train and val, or s3://BUCKET/FOLDER.")
    ],
    split: Annotated[list[str] | None, typer.Option(help="train, val or test; may be repeated.")] = None,
    layout: Annotated[str, typer.Option(help="wnid, index, padded, flat, or a template.")] = "wnid",
    classes: Annotated[
        str | None, typer.Option(metavar="FILE|LIST", help="Only these: wnids, indices, words, class lists.")
    ] = None,
    verify: Annotated[str, typer.Option(help=f"Digest to prove: {', '.join(VERIFY)}.")] = "md5",
    archives: Annotated[
        str, typer.Option("--source", help=f"What to do with each archive at the end: {', '.join(SOURCE)}.")
    ] = "keep",
    link: Annotated[
        str, typer.Option(help=f"Images of a tree: {', '.join(LINK)}; auto is reflink where it can be, else copy.")
    ] = "auto",
    val_labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Labels of validation images; compared with the built-in ones."),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust-val-labels", help="Use that file even where it disagrees with the truth.")
    ] = False,
    format_: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help=f"What to write: {', '.join(FORMAT)}.")
    ] = "folders",
    order: Annotated[str, typer.Option(help=f"Of shards: {', '.join(ORDER)}.")] = "shuffled",
    order_by: Annotated[
        str, typer.Option(help=f"How shards get it: {', '.join(ORDER_BY)}; auto measures if random reads are slow.")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Of the shuffled order; the same on every machine.")] = 0,
    shard_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Most bytes of images in a shard, such as 500MB.")
    ] = None,
    shard_images: Annotated[int | None, typer.Option(metavar="N", help="Images in a shard.")] = None,
    resize: Annotated[
        str | None, typer.Option(metavar="N|WxH", help="Resize images: shorter side, or width and height.")
    ] = None,
    crop: Annotated[
        int | None, typer.Option(metavar="N", help="Resize and crop to the middle square, as ADM and EDM do.")
    ] = None,
    max_side: Annotated[int | None, typer.Option(metavar="N", help="Resize images with a longer side.")] = None,
    enlarge: Annotated[bool, typer.Option("--enlarge", help="Enlarge smaller images too.")] = False,
    filter_: Annotated[
        str | None, typer.Option("--filter", help=f"Of resizing: {', '.join(FILTERS)}; bicubic by default.")
    ] = None,
    encode: Annotated[
        str | None, typer.Option(metavar="CODEC", help="jpeg:90, webp:90, png, or keep for the source's own.")
    ] = None,
    orient: Annotated[bool, typer.Option("--orient", help="Turn images as their EXIF orientation says.")] = False,
    ffcv_mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE",
            help="Of FFCV's file: jpg, raw (pixels), smart:500KB (pixels up to that), proportion:0.5.",
        ),
    ] = None,
    damaged: Annotated[
        str, typer.Option(help=f"Images that can't be decoded, where they are made anew: {', '.join(DAMAGED)}.")
    ] = "stop",
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Processes; one per processor by default.")] = None,
    engine: Annotated[
        str, typer.Option(metavar="ENGINE", help=f"Who does the work: {', '.join(FORMS)}.")
    ] = PROCESSES,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard an unfinished run that had other settings.")
    ] = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Read what is finished; write missing and changed images or shards again."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is there, what would be written, room and time; do nothing.")
    ] = False,
) -> None:
    """Turn the official archives, or ImageNet in any other form, into verified class folders or shards.

    Other forms are class tars, trees of any layout, Kaggle's zip, Hugging Face's Parquet, tars of trees.

    The digest is checked in the same pass that unpacks; no inner archive is written; a split appears by one rename
    when all of it is durable. Archives without an official digest are checked against MD5SUMS beside them.
    """
    if engine == MPI and _served():
        return
    with progress() as listener, opened(engine, jobs) as workers:  # from here on an error releases MPI's ranks
        chosen = None if classes is None else str(Path(classes).expanduser()) if classes.startswith("~") else classes
        labels = None if chosen is None else tuple(map(str, sorted(read_selection(chosen))))
        report = prepare_tree(
            source,
            target,
            splits=split,
            layout=layout,
            classes=labels,
            verify=verify,
            source=archives,
            link=link,
            jobs=jobs,
            restart=restart,
            repair=repair,
            val_labels=given_path(val_labels, "--val-labels") if val_labels else None,
            trust_val_labels=trust,
            format=format_,
            order=order,
            order_by=order_by,
            seed=seed,
            shard_size=shard_size,
            shard_images=shard_images,
            resize=resize,
            crop=crop,
            max_side=max_side,
            enlarge=enlarge,
            filter=filter_,
            encode=encode,
            orient=orient,
            ffcv_mode=ffcv_mode,
            damaged=damaged,
            dry_run=dry_run,
            engine=workers,
            listener=listener,
        )
    if report.dry_run:
        show(report.to_dict(), lambda console: print_decided(console, report))
        return
    show(report.to_dict(), lambda console: print_prepared(console, report, source), ok=report.ok)


def _served() -> bool:
    """Serve the driver to its end, if this process is a rank of an MPI job other than 0; return whether it is."""
    from ilsvrc.run.engines import mpi

    if mpi.is_worker():
        mpi.serve()
        return True
    return False


def print_decided(console: Console, report: PrepareReport) -> None:
    """Print what was decided about a tree."""
    for decided in report.decisions:
        for line in _decided(decided):
            console.print(line, markup=False)
    if report.estimate:
        room, seconds = report.estimate, report.estimate.seconds
        inodes = "" if room.free_inodes is None else f", {room.needs_inodes:,} of {room.free_inodes:,} free inodes"
        place = f" in {room.folder}" if room.folder != report.tree else ""
        console.print(
            f"room{place}: {decimal(room.needs_bytes)} of {decimal(room.free_bytes)} free{inodes}", markup=False
        )
        time = "unknown: it could not be measured there" if seconds is None else f"about {_duration(seconds)}"
        console.print(f"time: {time}", markup=False)
    console.print("nothing was written", markup=False)


def _decided(decided: dict[str, Any]) -> Iterator[str]:
    """Yield the lines about one split."""
    missing = f", {decided['missing']:,} images missing or changed" if decided["missing"] else ""
    proof = [f"hash {name}" for name in decided["hashes"]]
    proof += [f"{digest}, proved before" for digest in decided["proved_before"]]
    yield f"{decided['split']}: from {decided['source']} ({decided['form']})"
    there = "nothing yet" if decided["there"] == "fresh" else decided["there"]
    yield f"  there: {there}{missing}"
    yield f"  to do: {decided['action']}"
    made = f", made from {decimal(decided['bytes'])}" if decided["writes_bytes"] != decided["bytes"] else ""
    size = f"{'about ' if made else ''}{decimal(decided['writes_bytes'])}{made}"
    yield f"  to write: {decided['images']:,} of {decided['of_images']:,} images, {size}"
    yield f"  how: {decided['how']}"
    yield f"  proof: {', '.join(proof) or 'none of the whole: no digest is known, or none was asked for'}"
    yield from (f"  to delete, once it is proved and compared: {path}" for path in decided["deletes"])


def _duration(seconds: float) -> str:
    """Return a time in words."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def print_prepared(console: Console, report: PrepareReport, source: Path) -> None:
    """Print the report of a tree; one with damaged images is not called ready."""
    forms = {decided["split"]: decided["form"] for decided in report.decisions}
    for split in report.splits:
        console.print(_line(split, forms[split.split]), markup=False)
        for worker in split.workers if settings.verbosity > 0 else ():
            rate = f"{decimal(worker.bytes_per_second)}/s for {worker.seconds:.1f} s"
            console.print(
                f"  {worker.worker}: {worker.units:,} units, {worker.images:,} images, {rate}", markup=False
            )
    known = [issue for split in report.splits for issue in split.issues if not issue.is_damage]
    print_issues(console, "odd in the official archives too, as expected", known)
    print_issues(console, "damaged in the source itself", report.damage)
    what = f"layout {report.layout}" if report.format == "folders" else f"format {report.format}"
    if report.ok:
        console.print(f"{report.tree} is ready, {what}", markup=False)
        return
    count = len(report.damage)
    damaged = f"{count:,} damaged image{'' if count == 1 else 's'}"
    command = f"ilsvrc check --deep {shlex.quote(printable(str(source)))}"
    console.print(f"{report.tree} is written, {what}, with {damaged}", markup=False)
    console.print(f"  next: `{command}` decodes every image of the source and lists the faults", markup=False)


def _line(split: SplitReport, form: str) -> str:
    """Return one line for a split: its counts, and the digest that was proved, or those of its images."""
    proof = f"{split.digest} proved ({split.against})" if split.digest else "digest not verified"
    if not split.digest and form.endswith(SHARDS) and split.seconds:
        proof = "every image compared with its recorded digest"
    size, rate = decimal(split.bytes), f" in {split.seconds:.1f} s" if split.seconds else ""
    counts = f"{counted(split.images, 'image')}, {counted(split.classes, 'class')}"
    return f"{split.split}: {counts}, {size}{rate}; {proof}"
