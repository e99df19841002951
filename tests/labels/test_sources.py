from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ilsvrc.errors import DataError
from ilsvrc.labels.sources import read_listing
from ilsvrc.labels.verify import verify
from tests.labels import files


def test_entries_carry_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_bytes(
        b"\xef\xbb\xbf# by hand\r\n\r\nILSVRC2012_val_00000007.JPEG 3\r\nwhat\r\nILSVRC2012_val_00000009.JPEG 4"
    )
    found = read_listing(path)
    assert (found.numbers.tolist(), found.labels.tolist()) == ([7, 9], [3, 4])
    assert (found.lines.tolist(), found.strays) == ([3, 5], (4,))
    assert len(found) == 2


def test_a_stray_keeps_its_place_where_position_counts(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_text("490\n361\noops\n822\n")
    found = read_listing(path)
    assert (found.numbers.tolist(), found.strays) == ([1, 2, 4], (3,))


def test_json_entries_carry_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_text(files.class_index_indented(files.WNIDS[:3]), newline="")
    assert read_listing(path).lines.tolist() == [2, 6, 10]


def test_short_lists_of_wnids(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_text("n01440764\nn01443537\nn01484850\n")
    assert read_listing(path).form.of_classes
    path.write_text("n01751748\nn09193705\nn02105855\n")
    assert not read_listing(path).form.of_classes


def test_a_script_is_read_and_never_run(tmp_path: Path) -> None:
    path = tmp_path / "valprep.sh"
    path.write_text(f"touch {tmp_path}/ran\n{files.valprep(files.TRUTH[:20])}")
    path.chmod(0o755)
    assert len(read_listing(path)) == 20
    assert os.listdir(tmp_path) == ["valprep.sh"]


def test_an_archive_without_ground_truth(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(__file__, "test.py")
    with pytest.raises(DataError, match="holds no ILSVRC2012_validation_ground_truth"):
        read_listing(tmp_path / "a.tar")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DataError, match="no form of label file"):
        read_listing(path)


LINE = st.one_of(
    st.text(max_size=30),
    st.from_regex(r"(val/)?ILSVRC2012_val_000[0-9]{5}\.JPEG[ \t,](n0[0-9]{7}|[0-9]{1,30})", fullmatch=True),
    st.from_regex(r'[0-9]{1,30}|n[0-9]{8}( [a-z]{3})?|"[0-9]{1,12}": \["n[0-9]{8}", "x"\]', fullmatch=True),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(LINE, max_size=12), st.sampled_from(["", "{"]))
@example(["9" * 30], "")
def test_any_text_gets_a_verdict_or_a_data_error(tmp_path: Path, lines: list[str], start: str) -> None:
    path = tmp_path / "labels"
    path.write_text(start + "\n".join(lines), encoding="utf-8", errors="replace")
    try:
        verdict = verify(path)
    except DataError:
        return
    assert not verdict.ok
    assert verdict.cause
    assert 0 <= verdict.agree <= len(lines)
