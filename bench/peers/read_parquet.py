"""Read Parquet files by datasets, from the copy that it makes of them at first, not timed. Usage: see `epoch`."""

from __future__ import annotations

from collections.abc import Iterator

from datasets import Image, load_dataset

from bench.peers.epoch import Epoch, Mapped, loaded, main, pixels


def sizes(epoch: Epoch) -> Iterator[int]:
    files = epoch.files("data/train-*.parquet")
    rows = load_dataset("parquet", data_files=files, split="train", cache_dir=str(epoch.folder / "cache"))
    rows = rows.cast_column("image", Image(decode=not epoch.raw))

    def size(index: int) -> int:
        image = rows[index]["image"]
        return len(image["bytes"]) if epoch.raw else pixels(image)

    return loaded(Mapped(len(rows), size), epoch)


if __name__ == "__main__":
    main(sizes)
