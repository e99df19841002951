"""Read chunks by LitData's StreamingDataset, in order; it decodes to torch's arrays. Usage: see `epoch`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from litdata import StreamingDataLoader, StreamingDataset
from litdata.streaming.serializers import JPEGSerializer

from bench.peers.epoch import BATCH, Epoch, main


class Length(JPEGSerializer):  # type: ignore[misc]
    """Hands out the bytes of a file."""

    def deserialize(self, data: bytes) -> Any:
        """Return the bytes of a file, as a number."""
        return len(bytes(data))


def size(sample: Any) -> int:
    """Return the pixels of an array of shape (3, H, W); or the bytes, which are a size already."""
    image = sample["image"]
    return image if isinstance(image, int) else int(image[0].numel())


def sizes(epoch: Epoch) -> Iterator[int]:
    serializers = {"jpeg": Length()} if epoch.raw else None
    dataset = StreamingDataset(str(epoch.folder / "train"), serializers=serializers, transform=size)
    loader = StreamingDataLoader(dataset, batch_size=BATCH, num_workers=epoch.workers, collate_fn=list)
    return (one for batch in loader for one in batch)


if __name__ == "__main__":
    main(sizes)
