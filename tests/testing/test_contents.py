from __future__ import annotations

import re

from ilsvrc.facts import VAL, classes
from ilsvrc.testing import MiniReport
from tests.testing.helpers import files, train_images


def test_train_is_a_tar_of_tars_with_the_real_names(clean: MiniReport) -> None:
    images = train_images(clean.folder)
    assert list(images) == [synset.wnid for synset in classes()[:12]]
    for wnid, pictures in images.items():
        numbers = [int(re.fullmatch(rf"{wnid}_([1-9]\d*)\.JPEG", name)[1]) for name in pictures]  # type: ignore[index]
        assert len(set(numbers)) == 5
        assert max(numbers) - min(numbers) >= 5, "no gaps"
        assert list(pictures) != sorted(pictures)


def test_val_has_the_first_images_of_each_class_by_the_real_truth(clean: MiniReport) -> None:
    names = list(files((clean.folder / VAL).read_bytes()))
    assert len(names) == 24
    assert names != sorted(names)
    # two of tench's fifty, as the unpacked val/n01440764 of the real set begins
    assert {"ILSVRC2012_val_00000293.JPEG", "ILSVRC2012_val_00002138.JPEG"} <= set(names)
