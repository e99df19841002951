"""Write one .beton file by FFCV's DatasetWriter, which encodes every image anew. Usage: see `writing`."""

from __future__ import annotations

from ffcv.fields import IntField, RGBImageField
from ffcv.writer import DatasetWriter
from PIL import Image as Pillow

from bench.peers.writing import Image, Job, main


class Pictures:
    """What the writer asks for: image and label."""

    def __init__(self, images: list[Image]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, at: int) -> tuple[Pillow.Image, int]:
        image = self.images[at]
        with Pillow.open(image.path) as opened:
            return opened.convert("RGB"), image.label


def write_all(job: Job) -> None:
    fields = {"image": RGBImageField(write_mode="jpg"), "label": IntField()}
    writer = DatasetWriter(str(job.target / "train.beton"), fields, num_workers=job.processes)
    writer.from_indexed_dataset(Pictures(job.images))


if __name__ == "__main__":
    main(write_all)
