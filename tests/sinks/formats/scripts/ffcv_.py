"""Read a .beton file with FFCV, and write one of the same samples with FFCV's own writer.

The arguments: a .beton file, a folder with the official files under their names, a JSON list of [name, label] in the
order of the file, where to write: a .beton file, and beside it one of NumPy with the pixels of every image; a JSON
object, the parameters of FFCV's `RGBImageField`.
"""

import io
import json
import os
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
from ffcv.fields import IntField, RGBImageField, rgb_image
from ffcv.fields.decoders import CenterCropRGBImageDecoder, IntDecoder
from ffcv.libffcv import imdecode
from ffcv.loader import Loader, OrderOption
from ffcv.reader import Reader
from ffcv.writer import DatasetWriter
from PIL import Image

beton, folder, listing, other = sys.argv[1], Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text()), sys.argv[4]
chosen = json.loads(sys.argv[5])
files = [(folder / name).read_bytes() for name, _ in listing]
SIDE = 32


def pixels(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def cropped(image: np.ndarray) -> np.ndarray:
    """What the centre crop of FFCV makes of an image."""
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    return cv2.resize(image[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def loaded(os_cache: bool) -> dict:
    """Labels of every image that the loader hands out, and the greatest difference to a crop of its pixels.

    Without the system's cache it takes one batch: FFCV 0.0.3 counts batches on GPUs only, and refuses the second.
    """
    batch = 7 if os_cache else len(files)
    pipelines = {"image": [CenterCropRGBImageDecoder((SIDE, SIDE), ratio=1)], "label": [IntDecoder()]}
    order = OrderOption.SEQUENTIAL
    loader = Loader(
        beton, batch_size=batch, num_workers=1, os_cache=os_cache, order=order, drop_last=False, pipelines=pipelines
    )
    labels, worst, at = [], 0, 0
    for images, found in loader:
        labels += np.array(found).reshape(-1).tolist()
        for image in np.array(images):
            worst = max(worst, int(np.abs(image.astype(int) - cropped(decoded[at])).max()))
            at += 1
    return {"labels": labels, "worst": worst, "images": at}


def read_at_full_size() -> tuple[dict, list[np.ndarray]]:
    """What the tables say, and the pixels of every image by FFCV's own decoder."""
    reader, data = Reader(beton), np.fromfile(beton, "u1")
    sizes = {int(entry["ptr"]): int(entry["size"]) for entry in reader.alloc_table}
    images, raw = [], []
    for at, entry in enumerate(reader.metadata["f0"]):
        begin, height, width = int(entry["data_ptr"]), int(entry["height"]), int(entry["width"])
        stored = data[begin : begin + sizes[begin]]
        image = np.zeros((height, width, 3), "u1")
        if entry["mode"] == rgb_image.IMAGE_MODES["jpg"]:
            assert stored.tobytes() == files[at] or "max_resolution" in chosen
            imdecode(stored, image, height, width, height, width, 0, 0, 1, 1, False, False)
        else:
            raw.append(listing[at][0])
            image = stored.reshape(height, width, 3)
        images.append(image)
    told = {
        "raw": raw,
        "fields": reader.field_names,
        "handlers": [type(handler).__name__ for handler in reader.handlers.values()],
        "pages": sorted({int(pointer) // int(reader.page_size) for pointer in sizes}),
        "page": int(reader.page_size),
    }
    return told, images


class Picture(np.ndarray):
    """Pixels that know the file that they came from."""

    file: bytes = b""


class Pictures:
    """What FFCV's writer asks for: pixels and label."""

    def __len__(self) -> int:
        return len(listing)

    def __getitem__(self, at: int) -> tuple[np.ndarray, int]:
        picture = pixels(files[at]).view(Picture)
        picture.file = files[at]
        return picture, listing[at][1]


def write_theirs() -> None:
    """Write the same samples with FFCV's writer; in the place of its encoder, the file itself."""
    rgb_image.encode_jpeg = lambda picture, quality: np.frombuffer(picture.file, "u1")
    fields = {"image": RGBImageField(**chosen), "label": IntField()}
    DatasetWriter(other, fields, num_workers=1).from_indexed_dataset(Pictures())


def entries(path: str) -> list[tuple[list[int], np.ndarray]]:
    """Mode, width, height and label of every image in a .beton file, and the bytes that FFCV reads of it."""
    reader, data = Reader(path), np.fromfile(path, "u1")
    sizes = {int(entry["ptr"]): int(entry["size"]) for entry in reader.alloc_table}
    assert [int(entry["sample_id"]) for entry in reader.alloc_table] == list(range(len(listing)))
    found = []
    for image, label in zip(reader.metadata["f0"], reader.metadata["f1"], strict=True):
        begin = int(image["data_ptr"])
        assert begin // int(reader.page_size) == (begin + sizes[begin] - 1) // int(reader.page_size)
        told = [int(image[name]) for name in ("mode", "width", "height")]
        found.append(([*told, int(np.array(label).item())], data[begin : begin + sizes[begin]]))
    return found


def compared() -> dict:
    """Whether both files tell the same of every image, and the greatest difference of a byte that FFCV reads."""
    pairs = list(zip(entries(beton), entries(other), strict=True))
    worst = max(int(np.abs(a.astype(int) - b).max()) if len(a) == len(b) else 256 for (_, a), (_, b) in pairs)
    return {"told": [a == b for (a, _), (b, _) in pairs].count(False), "worst": worst}


def give_up(fault: threading.ExceptHookArgs) -> None:
    """End the process where a thread of the loader fails: the loader would wait for it for ever."""
    sys.__excepthook__(fault.exc_type, fault.exc_value, fault.exc_traceback)
    os._exit(1)


threading.excepthook = give_up
write_theirs()
told, decoded = read_at_full_size()
np.savez(f"{other}.npz", *decoded)
print(
    json.dumps(
        told | {"compared": compared()} | {"mapped": loaded(os_cache=True), "by pages": loaded(os_cache=False)}
    )
)
