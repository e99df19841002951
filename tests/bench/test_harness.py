from __future__ import annotations

import sys
from pathlib import Path

import pytest
from bench.harness import Run, Spread, Work, cpu, measure, ratio, run_once, stated, wall
from hypothesis import given
from hypothesis import strategies as st

BIG = 200_000_000
figures = st.floats(min_value=0.01, max_value=1000)


def run(seconds: float) -> Run:
    return Run(wall=seconds, cpu=seconds / 2, rss=1, written=0, stated=seconds / 4)


def python(code: str) -> list[str | Path]:
    return [sys.executable, "-c", code]


@given(st.lists(figures, min_size=1, max_size=9))
def test_spread_is_ordered_and_half_of_the_figures_lie_on_each_side(values: list[float]) -> None:
    found = Spread.of(values)
    assert (found.low, found.high) == (min(values), max(values))
    assert sum(value < found.median for value in values) <= len(values) / 2
    assert sum(value > found.median for value in values) <= len(values) / 2


@given(st.lists(st.tuples(figures, figures), min_size=1, max_size=9), st.sampled_from([wall, cpu, stated]))
def test_ratio_compares_neighbours_and_is_free_of_drift(pairs: list[tuple[float, float]], figure: object) -> None:
    """A machine that is three times slower in some rounds changes no ratio."""
    ours, theirs = [run(a) for a, _ in pairs], [run(b) for _, b in pairs]
    slow = [1 + 2 * (i % 2) for i in range(len(pairs))]
    slow_ours = [run(a * k) for (a, _), k in zip(pairs, slow, strict=True)]
    slow_theirs = [run(b * k) for (_, b), k in zip(pairs, slow, strict=True)]
    assert callable(figure)
    assert ratio(slow_ours, slow_theirs, figure).median == pytest.approx(ratio(ours, theirs, figure).median)


def test_ratio_needs_as_many_runs_of_each() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio([run(1)], [run(1), run(2)], wall)


def test_measure_takes_turns_and_does_not_count_warm_ups() -> None:
    said: list[str] = []

    def work(name: str) -> Work:
        return Work(name, ["true"], lambda: said.append(f"before {name}"), lambda: said.append(f"after {name}"))

    rounds = measure([work("a"), work("b")], runs=2, warmups=1)
    assert said == ["before a", "after a", "before b", "after b"] * 3
    assert {name: len(runs) for name, runs in rounds.items()} == {"a": 2, "b": 2}


def test_a_failure_says_what_was_printed_and_still_cleans_up() -> None:
    cleaned: list[bool] = []
    work = Work("fails", python("print('no such luck'); raise SystemExit(3)"), after=lambda: cleaned.append(True))
    with pytest.raises(RuntimeError, match=r"status 3:\nno such luck"):
        measure([work], runs=1)
    assert cleaned == [True]


def test_a_command_may_state_its_own_seconds() -> None:
    assert run_once(python("print('1 image'); print('seconds: 0.125')")).stated == 0.125


def test_a_command_that_states_nothing_took_its_wall_time() -> None:
    found = run_once(python("print('seconds: 9'); print('done')"))
    assert found.stated == found.wall


def test_peak_memory_is_the_commands_and_not_the_starters() -> None:
    ballast = bytearray(BIG)
    assert run_once(["true"]).rss < BIG / 4
    assert run_once(python(f"bytearray({BIG})")).rss > BIG
    assert len(ballast) == BIG


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to a chosen parent")
def test_a_process_that_outlives_its_parent_is_waited_for(tmp_path: Path) -> None:
    late = tmp_path / "late"
    run_once(["sh", "-c", f"(sleep 0.3; touch {late}) >/dev/null 2>&1 &"])
    assert late.exists()
