"""`ilsvrc labels`: look up, write, verify, convert and detect label mappings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console

from ilsvrc.cli import labels_text as text
from ilsvrc.cli.app import app
from ilsvrc.cli.output import settings, show
from ilsvrc.errors import UsageError
from ilsvrc.facts import ClassList, class_list, class_lists, scheme, schemes
from ilsvrc.facts.names import val_number
from ilsvrc.labels.detect import detect_scheme
from ilsvrc.labels.predictions import Predictions, read_predictions
from ilsvrc.labels.query import find
from ilsvrc.labels.rewrite import Conversion, rewrite
from ilsvrc.labels.tables import rows, table
from ilsvrc.labels.verify import read_val_labels, verify
from ilsvrc.paths import given_path

labels = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(
    labels, name="labels", help="Look up label mappings; verify, convert and recognise those of files and models."
)

_SCHEMES = "**Schemes**\n\n" + "\n".join(f"- `{s.name}` ({s.range}): {s.used_by}" for s in schemes())


@labels.command(
    "show",
    epilog="**Examples**\n\n`ilsvrc labels show n01751748`\n\n`ilsvrc labels show crane`\n\n"
    "`ilsvrc labels show devkit:490`\n\n`ilsvrc labels show ILSVRC2012_val_00000001.JPEG`\n\n" + _SCHEMES,
)
def show_command(
    query: Annotated[str, typer.Argument(help="wnid, number, SCHEME:NUMBER, word or part of one, image name.")],
) -> None:
    """Show a class: its label in every scheme, its words, and its place in WordNet.

    A bare number shows what it would be under each scheme.
    """
    found = find(query)
    show(
        {"query": query, "matches": [m.to_json() for m in found]}, lambda console: text.print_matches(console, found)
    )


@labels.command(
    "table",
    epilog="**Examples**\n\n`ilsvrc labels table --scheme index --scheme devkit`\n\n"
    "`ilsvrc labels table --format class_index > imagenet_class_index.json`\n\n"
    "`ilsvrc labels table --format synsets --scheme devkit` -- line n is ILSVRC2012_ID n\n\n" + _SCHEMES,
)
def table_command(
    scheme_names: Annotated[
        list[str] | None,
        typer.Option("--scheme", metavar="S", help="A scheme; may be repeated. Rows are sorted by the first."),
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format", metavar="F", help="table, csv, json, classes.txt, synsets, synset_words or class_index."
        ),
    ] = "table",
) -> None:
    """Write the whole mapping, also in the exact forms that other tools read."""
    chosen = [scheme(name) for name in scheme_names or ()]
    if settings.json:
        show({"classes": rows(chosen)}, lambda _: None)
    elif form == "table":
        text.print_table(Console(highlight=False), rows(chosen))
    else:
        typer.echo(table(form, chosen), nl=False)


@labels.command(
    "list",
    epilog="**Examples**\n\n`ilsvrc labels list`\n\n`ilsvrc labels list imagenette`\n\n"
    "`ilsvrc prepare /data/archives /data/imagenette --classes imagenette` -- the names are for `--classes`",
)
def list_command(
    name: Annotated[str | None, typer.Argument(help="A class list; all of them without it.")] = None,
) -> None:
    """Show the class lists that `--classes` takes by name, and where each comes from.

    All their classes are classes of ILSVRC 2012.
    """
    if name is None:
        found = class_lists()
        show({"lists": [_document(listed) for listed in found]}, lambda console: text.print_lists(console, found))
    else:
        one = class_list(name)
        show(_document(one), lambda console: text.print_list(console, one))


def _document(listed: ClassList) -> dict[str, Any]:
    source = {"repository": listed.repository, "path": listed.path, "commit": listed.commit}
    return {
        "name": listed.name,
        "title": listed.title,
        "source": source,
        "classes": [{"index": s.index, "wnid": s.wnid, "name": s.name} for s in listed.synsets],
    }


@labels.command(
    "verify",
    epilog="**Examples**\n\n`ilsvrc labels verify val.txt`\n\n`ilsvrc labels verify ILSVRC2012_devkit_t12.tar.gz`\n\n"
    "`ilsvrc labels verify imagenet/val` -- a folder tree\n\n"
    "`ilsvrc labels verify caffe_ilsvrc12.tar.gz` -- every file in it\n\n"
    "It knows a file by its content: the devkit archive, its ground truth, Caffe's train.txt, val.txt, synsets.txt, "
    "synset_words.txt, ImageNet_val_label.txt, imagenet_class_index.json, Kaggle's LOC_train_solution.csv, "
    "LOC_val_solution.csv and LOC_synset_mapping.txt, the lists that prepare writes, TFDS' and MXNet's lists, and "
    "valprep.sh, which it reads and never runs. Files without labels, as in ImageSets/CLS-LOC, are told as such.",
)
def verify_command(file: Annotated[Path, typer.Argument(help="A label file, devkit archive or folder.")]) -> None:
    """Compare a label file with the true labels: how many agree, in which scheme, and the likely cause of faults.

    Exit status: 0 all agrees; 1 something does not, or the file holds no labels.
    """
    verdict = verify(given_path(file))
    show(verdict.to_json(), lambda console: text.print_verdict(console, verdict), ok=verdict.ok)


@labels.command(
    "convert",
    epilog="**Examples**\n\n`ilsvrc labels convert val.txt --from devkit --to index`\n\n"
    "`ilsvrc labels convert val.txt --to wnid --output val_wnid.txt` -- the file's scheme is recognised\n\n"
    "`ilsvrc labels convert ground_truth.txt --from devkit --to index --form val.txt`\n\n" + _SCHEMES,
)
def convert_command(
    file: Annotated[Path, typer.Argument(help="A file with a label at the end of each line.")],
    target: Annotated[str, typer.Option("--to", metavar="S", help="The scheme wanted.", show_default=False)],
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="S", help="The file's scheme; validation labels show it by default."),
    ] = None,
    form: Annotated[
        str | None, typer.Option(metavar="F", help="val.txt, list or csv, instead of the form the file has.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write here, not to standard output.")] = None,
) -> None:
    """Rewrite a label file from one scheme to another; only the labels change, not even the line ends."""
    done = rewrite(given_path(file), Conversion(target, source, form))
    saved = given_path(output, "--output") if output else None
    if saved:
        _save(saved, done.text)
    document = {"labels": done.labels, "from": done.source, "to": done.target}
    place: dict[str, str | None] = {"output": str(saved)} if saved else {"text": done.text}
    show(document | place, lambda console: text.print_rewritten(console, done, saved))


@labels.command(
    "detect",
    epilog="**Examples**\n\n`ilsvrc labels detect predictions.csv`\n\n"
    "`ilsvrc --json labels detect scores.npz` -- arrays `names` and `scores`\n\n"
    "A CSV file has rows of `name,prediction`, header or not; JSON lines, npz and Parquet have the same two names. "
    "A prediction is a label, a top-k list or a row of scores; a few hundred images do.\n\n" + _SCHEMES,
)
def detect_command(
    predictions: Annotated[Path, typer.Argument(help="CSV, JSON lines, npz or Parquet.")],
    truth: Annotated[
        Path | None, typer.Option(help="Label file of the images, in place of the packaged validation labels.")
    ] = None,
) -> None:
    """Find from a model's predictions which label mapping it was trained with.

    Exit status: 0 a scheme is named; 1 the predictions show none.
    """
    given = read_predictions(given_path(predictions))
    right = None if truth is None else _true_labels(given, given_path(truth, "--truth"))
    detection = detect_scheme(given.names, given.values, right)
    show(detection.to_json(), lambda console: text.print_detection(console, detection), ok=bool(detection.scheme))


def _true_labels(given: Predictions, truth: Path) -> npt.NDArray[np.int64]:
    """Return the index of each image by a label file, which is trusted."""
    labelled = read_val_labels(truth, trust=True)
    numbers = [val_number(name) or 0 for name in given.names]
    missing = [
        name
        for name, n in zip(given.names, numbers, strict=True)
        if not 0 < n <= len(labelled) or labelled[n - 1] < 0
    ]
    if missing:
        raise UsageError(f"{truth} has no label for {len(missing):,} of the images, the first {missing[0]}")
    return np.asarray(labelled[np.array(numbers) - 1], np.int64)


def _save(path: Path, content: str) -> None:
    """Write a temporary file beside the target and rename it, so that the target is never half written."""
    beside = path.with_name(f".{path.name}.part")
    with beside.open("w", newline="", encoding="utf-8") as file:
        file.write(content)
    beside.replace(path)
