"""The simulation of many workers, against what can be computed by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from bench.scaling import REQUESTS, Costs, Store, simulate

FREE = Store(latency=0.0, bandwidth=1e30)
UNITS = [100] * 64


def test_one_worker_takes_the_sum_of_all_units() -> None:
    costs = Costs(driver=0.0, image=0.01, spread=0.0, share=0.0)
    found = simulate(1, UNITS, costs, Store(latency=0.5, bandwidth=1e30))
    reading = 6400 * (147_897_477_120 / 1_281_167) / 1.25e9  # by the worker's own network
    assert found.seconds == pytest.approx(6400 * 0.01 + 64 * REQUESTS * 0.5 + reading)
    assert found.busy == pytest.approx(1.0)


def test_workers_that_share_nothing_divide_the_time() -> None:
    costs = Costs(driver=0.0, image=0.01, spread=0.0, share=0.0)
    one = simulate(1, UNITS, costs, FREE).seconds
    for workers in (2, 8, 64):
        assert simulate(workers, UNITS, costs, FREE).seconds == pytest.approx(one / workers)


def test_a_slow_driver_is_what_is_waited_for() -> None:
    costs = Costs(driver=10.0, image=0.01, spread=0.0, share=0.0)
    found = simulate(64, UNITS, costs, FREE)
    assert found.seconds == pytest.approx(64 * 10.0, rel=0.01)
    assert found.driver == pytest.approx(1.0, rel=0.01)
    assert found.busy < 0.05


def test_a_store_of_little_bandwidth_saturates() -> None:
    costs = Costs(driver=0.0, image=1e-6, spread=0.0, share=0.0)
    narrow = Store(latency=0.0, bandwidth=1.25e9)
    times = [simulate(workers, UNITS, costs, narrow).seconds for workers in (1, 8, 64)]
    assert times[0] == pytest.approx(times[2], rel=0.02)


def test_more_workers_are_never_slower_and_times_do_not_depend_on_the_machine() -> None:
    costs = Costs(driver=1e-4, image=0.005, spread=0.1, share=0.2)
    store = Store(latency=0.05, bandwidth=12.5e9)
    times = [simulate(workers, UNITS * 8, costs, store).seconds for workers in (1, 2, 8, 64)]
    assert all(more >= less for more, less in pairwise(times))
    assert times == [simulate(workers, UNITS * 8, costs, store).seconds for workers in (1, 2, 8, 64)]
