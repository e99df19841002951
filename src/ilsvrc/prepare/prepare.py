"""The main job: official archives to verified class folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ilsvrc import facts
from ilsvrc.errors import UsageError, system_errors
from ilsvrc.events import Listener, Note, silent
from ilsvrc.files import printable
from ilsvrc.paths import given_location
from ilsvrc.prepare.carryout import Workers, carry_out, changed_images, delete_source, make_way
from ilsvrc.prepare.decision import Action, Decision, decide
from ilsvrc.prepare.destination import Destination, destination
from ilsvrc.prepare.estimate import estimate, need_of_all
from ilsvrc.prepare.options import Options, bytes_in
from ilsvrc.prepare.plans import plans_of
from ilsvrc.prepare.report import Estimate, PrepareReport, SplitReport
from ilsvrc.prepare.transforms import transform_of
from ilsvrc.readers.units import Transform
from ilsvrc.run.claim import Hold
from ilsvrc.run.engine import Engine, PoolEngine, default_jobs
from ilsvrc.run.engines.address import Given, opened
from ilsvrc.run.engines.preflight import refuse_unfit_workers
from ilsvrc.run.plan import Plan
from ilsvrc.sinks.room import Room, refuse_full
from ilsvrc.stores.path import Location, StorePath
from ilsvrc.tree.layout import TEMPLATES, Layout


@system_errors()
def prepare(  # noqa: PLR0913  -- a public verb: each is named where it is used
    src: Location | str,
    dst: Location | str,
    *,
    splits: Sequence[str] | None = None,
    layout: str = "wnid",
    classes: Sequence[str] | None = None,
    verify: str = "md5",
    source: str = "keep",
    link: str = "auto",
    jobs: int | None = None,
    restart: bool = False,
    repair: bool = False,
    val_labels: Path | str | None = None,
    trust_val_labels: bool = False,
    format: str = "folders",  # noqa: A002  -- as the command line calls it
    order: str = "shuffled",
    order_by: str = "auto",
    seed: int = 0,
    shard_size: int | str | None = None,
    shard_images: int | None = None,
    resize: int | str | None = None,
    crop: int | None = None,
    max_side: int | None = None,
    enlarge: bool = False,
    filter: str | None = None,  # noqa: A002  -- likewise
    encode: str | None = None,
    orient: bool = False,
    ffcv_mode: str | None = None,
    transform: Transform | None = None,
    damaged: str = "stop",
    dry_run: bool = False,
    engine: Given = None,
    listener: Listener = silent,
) -> PrepareReport:
    """Turn the archives or the tree in `src` into class folders below `dst`: verified, whole.

    Each split appears by one rename. Run again after any interruption, it resumes where it stopped. Nothing at `dst`
    but its own unfinished work is ever overwritten.

    Parameters
    ----------
    src
        The folder that holds the archives, one archive, or a tree that any tool made: class folders, or one heap. Or
        the address of archives or shards in an object store, such as `s3://bucket/imagenet`.
    dst
        The folder that gets `train`, `val`, `classes.json`, lists of labels and `.ilsvrc`; on a disk, or in a bucket:
        `s3://BUCKET/FOLDER`, `gs://`, `az://`.
    splits
        Which of train, val and test; each must be there. None for those of train and val that are there.
    layout
        wnid, index, padded, flat, or a template.
    classes
        wnids, indices or words; None for all.
    verify
        Digest to prove: md5, sha256 or none.
    source
        keep the archives, or delete each once it is proved and the tree is compared with it byte for byte.
    link
        Images that are files of their own in the source: `hard` gives each file a second name, `reflink` makes clones
        that share blocks until one is changed, `copy` writes them again, `auto` clones where the file system can and
        else copies.
    jobs
        Processes; None for one per processor, or none where there are few images. Of a cluster: units at once; None
        for as many as it has places now.
    restart
        Throw away an unfinished run that was made with other settings.
    repair
        Compare every image of a published split with its digest in the manifest, and write those again that are
        missing or changed. Where the manifest is lost or damaged, compare every image with the source, then write the
        manifest anew.
    val_labels
        File with the labels of validation images, in any form; None for the packaged truth.
    trust_val_labels
        Use that file even where it disagrees with the truth.
    format
        What is written: folders, or one of the shard formats of docs/how-to/which-format.md.
    order
        Of shards: `shuffled` over the whole split, or `catalog`, by label and name.
    order_by
        How shards get their images in that order: `random` reads of the source; a sweep of the source into `buckets`,
        which take the room of the images once more; `auto` for buckets where random reads are measured to be slow.
    seed
        Of the shuffled order, which is the same on every machine.
    shard_size
        Most bytes of images in a shard, such as `500MB`; None for what suits the format.
    shard_images
        Images in a shard, in place of its size.
    resize
        Make images anew: 256 pixels on the shorter side, as torchvision's Resize does, or `256x256`, whatever their
        shape was. Images that are small enough keep every byte, if they have the format asked for. An image that is
        made anew is RGB and has no EXIF.
    crop
        Make images anew as ADM and EDM do: the shorter side resized to so many pixels, and the middle square of it.
    max_side
        Make images anew whose longer side has more pixels, as FFCV's max_resolution.
    enlarge
        Enlarge images that are smaller, with `resize=N` and `max_side`; `crop` and `256x256` always do.
    filter
        Pillow's bilinear, bicubic, lanczos or box; None for bicubic.
    encode
        `jpeg:90`, `webp:90`, `png`, or `keep` for the source's own format, of JPEG with its own tables. None for
        jpeg:90 of images that are made anew. Without a size, it encodes all of them again.
    orient
        Turn images as their EXIF orientation says. Otherwise it is ignored, as training code mostly does, and the
        report names such images.
    ffcv_mode
        How FFCV's file holds images, as the `write_mode` of its RGBImageField: `jpg` files, which is the default;
        `raw` pixels; `smart:500KB`, pixels of images that have at most so many bytes of them; `proportion:0.5`, files
        of this share of the images, pixels of the others.
    transform
        A transform of your own, in place of these options.
    damaged
        What becomes of images that can't be decoded, where they are made anew: `stop`, `skip` them and name each, or
        `list` all and publish nothing.
    dry_run
        Decide what would be done, with room and time, and do nothing.
    engine
        Does the work in place of `jobs` processes: `dask://HOST:PORT`, `dask:SCHEDULER_FILE`, `ray://HOST:PORT`,
        `ray`, `mpi`; or a `distributed.Client` or any `concurrent.futures.Executor`, which stays its owner's.
        Workers on other machines must see `src` and `dst` under the same paths, which is looked at first.
    listener
        Gets progress and notes.

    Raises
    ------
    IlsvrcError
        DataError for archives that are not what they should be, UsageError for a call that makes no sense,
        MachineError for lack of space, of permission, or another run on the same target.
    """
    options = Options(
        splits=None if splits is None else tuple(splits),
        layout=layout,
        classes=None if classes is None else tuple(classes),
        verify=verify,
        source=source,
        link=link,
        jobs=jobs,
        restart=restart,
        repair=repair,
        val_labels=val_labels,
        trust_val_labels=trust_val_labels,
        format=format,
        order=order,
        order_by=order_by,
        seed=seed,
        shard_size=None if shard_size is None else bytes_in(shard_size),
        shard_images=shard_images,
        transform=transform
        or transform_of(
            resize=resize,
            crop=crop,
            max_side=max_side,
            enlarge=enlarge,
            filter=filter,
            encode=encode,
            orient=orient,
            ffcv_mode=ffcv_mode,
        ),
        ffcv_mode=ffcv_mode,
        damaged=damaged,
    )
    given, target = given_location(src, "SRC"), given_location(dst, "DST")
    if source == "delete" and isinstance(given, StorePath):
        hint = "leave out --source, and delete the objects yourself when the tree is checked: `ilsvrc check --deep`"
        raise UsageError(f"--source delete is for files of this machine, not for {given}", hint=hint)
    if transform and engine is None:
        jobs = jobs or default_jobs()  # one that does not pickle fails on few images too
    with opened(engine, jobs) as hands:
        given = given if hands.local else given.absolute()  # workers elsewhere have other working folders
        plans = plans_of(given, options, listener)
        to = destination(target, durable=not hands.local)
        to.refuse_impossible(options)
        if dry_run:
            decisions = [decide(plan, to, options) for plan in plans]
            needed = estimate(decisions, to.room, options)
            return _report(to.root, options, decisions, dry_run=True, needed=needed)
        with to.claimed(listener) as claim:
            return _prepared(plans, to, options, _workers(hands, claim, plans), listener)


def _prepared(
    plans: Sequence[Plan], to: Destination, options: Options, workers: Workers, listener: Listener
) -> PrepareReport:
    """Decide about every split, carry it out, and save the report."""
    decisions = [_decided(plan, to, options, workers, listener) for plan in plans]
    for decision in decisions:
        make_way(decision, to.journal, listener)
    linkable = any(decision.could_be_linked for decision in decisions)
    refuse_full(need_of_all(decisions), to.room, Room.of(to.room), linkable=linkable, way=to.way_to_room)
    done = tuple(carry_out(decision, to.journal, workers, listener) for decision in decisions)
    report = _report(to.root, options, decisions, done)
    to.save(report.to_dict())
    if not options.sharded:
        _warn_of_string_order(Layout.parse(options.layout), listener)
    if options.source == "delete":
        _delete_sources(decisions, report, workers, listener)
    return report


def _workers(engine: Engine, claim: Hold, plans: Sequence[Plan]) -> Workers:
    """Return the workers of an engine; those on other machines see source and target."""
    if isinstance(engine, PoolEngine) and not engine.local:
        refuse_unfit_workers(engine, claim, plans)
    return Workers(engine, claim)


def _decided(plan: Plan, to: Destination, options: Options, workers: Workers, listener: Listener) -> Decision:
    """Decide about a split; one that is to be repaired is compared with its manifest first."""
    decision = decide(plan, to, options)
    if decision.action is not Action.COMPARE:
        return decision
    return decide(plan, to, options, changed=changed_images(decision, workers, listener))


def _report(  # noqa: PLR0913  -- the parts of a report
    target: Location,
    options: Options,
    decisions: Sequence[Decision],
    splits: tuple[SplitReport, ...] = (),
    *,
    dry_run: bool = False,
    needed: Estimate | None = None,
) -> PrepareReport:
    decided = tuple(decision.to_dict() for decision in decisions)
    layout = Layout.parse(options.layout).name
    return PrepareReport(printable(str(target)), layout, splits, decided, dry_run, needed, options.format)


def _warn_of_string_order(layout: Layout, listener: Listener) -> None:
    """Warn of a layout whose folders sort otherwise as strings than as numbers."""
    if layout.template != TEMPLATES["index"]:
        return
    count = len(facts.classes())
    moved = sum(int(name) != place for place, name in enumerate(sorted(map(str, range(count)))))
    text = (
        "loaders that sort folder names as strings (torchvision's ImageFolder and its like) would give "
        f"{moved} of {count} classes a wrong label; for them, use --layout padded"
    )
    listener(Note(text, warning=True))


def _delete_sources(
    decisions: Sequence[Decision], report: PrepareReport, workers: Workers, listener: Listener
) -> None:
    if not report.ok:
        listener(Note("the archives are kept, since there is damage", warning=True))
        return
    for decision in decisions:
        delete_source(decision, workers, listener)
