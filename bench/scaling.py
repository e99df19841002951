"""How far one driver carries: one and two workers for real, and a simulation of 8 to 512 workers.

The simulation is one of discrete events. The driver hands out a unit at a time and takes a receipt at a time, as
`PoolEngine` does; a unit takes it the time that was measured with an executor whose workers do nothing. A worker
reads its unit from a store (a latency for each of the requests that it makes one after the other, then the bytes, by
its share of the store's bandwidth), does it for the time that was measured of it, and writes its shard likewise.
"""

from __future__ import annotations

import argparse
import heapq
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import DATA, ILSVRC, miniature, warm
from bench.harness import Command, Run, Work, measure, stated
from bench.table import aligned, machine
from ilsvrc.prepare.options import Options
from ilsvrc.prepare.plans import plans_of
from ilsvrc.prepare.transforms import transform_of
from ilsvrc.readers.units import Unit
from ilsvrc.run.engine import AHEAD, PoolEngine
from ilsvrc.run.loop import Machinery, Task, work
from ilsvrc.run.plan import Plan
from ilsvrc.run.proof import NoProof
from ilsvrc.sinks.base import Receipt
from ilsvrc.sinks.null import NullSink

WORKERS = (1, 2, 8, 16, 32, 64, 128, 256, 512)
LATENCIES = (0.01, 0.05, 0.1)
BANDWIDTHS = (1.25e9, 12.5e9, 125e9)
"""Bytes per second of the store, all workers together: 10, 100 and 1,000 Gbit/s."""

LINK = 1.25e9
"""Bytes per second of one worker's network."""

IMAGES, BYTES = 1_281_167, 147_897_477_120
SHARD = 250
"""Images in a shard: 5,125 units, so that 512 workers have ten each."""

REQUESTS = 4
"""Requests of a unit, one after the other: its images, announced together; shard, part of the manifest, claim."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured here.

    driver : seconds of the driver for each unit
    image : seconds of a worker for each image
    spread : standard deviation of the time of a unit, by its mean
    share : bytes of an image made anew by those in the source
    """

    driver: float
    image: float
    spread: float
    share: float


@dataclass(frozen=True, slots=True)
class Store:
    """Where source and target lie.

    latency : seconds to the first byte of a request
    bandwidth : bytes per second, for all workers together
    """

    latency: float
    bandwidth: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a simulated run came to.

    seconds : its length
    busy : the share of the workers' time in which they had a unit
    driver : the share of the time in which the driver was at work
    """

    seconds: float
    busy: float
    driver: float


def simulate(workers: int, units: Sequence[int], costs: Costs, store: Store, seed: int = 0) -> Outcome:
    """Return what a run comes to, unit by unit.

    Parameters
    ----------
    workers
        How many there are.
    units
        Images of each unit.
    costs, store
        See there.
    seed
        Of these times.
    """
    random = np.random.default_rng(seed)
    vary = random.lognormal(0, costs.spread, len(units))
    rate = min(LINK, store.bandwidth / workers)
    size = BYTES / IMAGES
    works = [
        REQUESTS * store.latency + images * (size * (1 + costs.share) / rate + costs.image * factor)
        for images, factor in zip(units, vary, strict=True)
    ]
    free, driver, spent, busy = workers, 0.0, 0.0, 0.0
    waiting: list[int] = []  # submitted, and no worker free
    running: list[tuple[float, int]] = []  # end, unit
    handed, flying = iter(range(len(units))), 0
    left: int | None = next(handed, None)
    done = 0
    end = 0.0
    while done < len(units):
        if left is not None and flying < AHEAD * workers:  # the driver fills its slots before it waits
            driver, spent = driver + costs.driver, spent + costs.driver
            waiting.append(left)
            flying, left = flying + 1, next(handed, None)
        else:
            finished, _ = heapq.heappop(running)
            driver = max(driver, finished)
            free, flying, done = free + 1, flying - 1, done + 1
            if waiting:  # the worker had its next unit at hand: it began when the last one ended
                free, busy = free - 1, busy + works[unit := waiting.pop(0)]
                heapq.heappush(running, (finished + works[unit], unit))
            end = max(end, finished, driver)
            continue
        if free:
            free, busy = free - 1, busy + works[unit := waiting.pop(0)]
            heapq.heappush(running, (driver + works[unit], unit))
    return Outcome(end, busy / (workers * end), spent / end)


class Idle(Executor):
    """An executor whose workers do nothing: a unit is done when it is handed out."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return a future that is done."""
        del fn, kwargs
        future: Future[Any] = Future()
        piece = args[0]
        future.set_result(Receipt(piece.id, (), piece.unit.images, piece.unit.bytes, synced=True))
        return future


def driver_cost(plan: Plan, units: Sequence[Unit]) -> float:
    """Return the seconds that the driver spends on a unit: part, pickle, submit, receipt, progress.

    What is measured is the real loop on a real plan, with an executor whose workers do nothing. Pickling, which a
    real executor does in its own way, is done here once for each unit.
    """
    import pickle

    class Pickling(Idle):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            pickle.dumps((fn, args))
            return super().submit(fn, *args, **kwargs)

    engine = PoolEngine(Pickling(), 512, local=False)
    begun = time.process_time()
    work(plan, units, NullSink(), Machinery(engine, None, NoProof()))
    return (time.process_time() - begun) / len(units)


def image_cost(plan: Plan, unit: Unit) -> float:
    """Return the seconds of processor time that a worker takes for an image: read, decode, resize, encode."""
    from ilsvrc.run.loop import Piece

    task = Task(None, NullSink(), transform=transform_of(resize=256))
    begun = time.process_time()
    task(Piece(unit, plan.part(unit)))
    return (time.process_time() - begun) / unit.images


def measured(size: float) -> Costs:
    """Return what this machine takes for a unit of shards of an archive of so many bytes."""
    archive = miniature(size)
    warm(archive)
    options = Options(splits=("train",), format="webdataset", shard_images=SHARD, transform=transform_of(resize=256))
    (plan,) = plans_of(archive, options, lambda _: None)
    images = [image_cost(plan, unit) for unit in plan.units[:8]]
    units = plan.units * 20
    driver = statistics.median(driver_cost(plan, units) for _ in range(3))
    image = statistics.mean(images)
    return Costs(driver, image, statistics.stdev(images) / image, plan.share)


def real(size: float, runs: int) -> dict[int, float]:
    """Return the seconds of the same job on one worker and on two, of this machine."""
    archive, numbers, trees = miniature(size), count(), DATA / "scaling-trees"
    warm(archive)
    shutil.rmtree(trees, ignore_errors=True)
    trees.mkdir(parents=True)
    try:
        works = [Work(f"{jobs} workers", partial(_prepare, archive, trees, numbers, jobs)) for jobs in (1, 2)]
        rounds = measure(works, runs)
    finally:
        shutil.rmtree(trees, ignore_errors=True)
    return {jobs: _median(rounds[f"{jobs} workers"]) for jobs in (1, 2)}


def _median(runs: Sequence[Run]) -> float:
    return statistics.median(map(stated, runs))


def _prepare(archive: Path, trees: Path, numbers: Iterator[int], jobs: int) -> Command:
    made = ("--format", "webdataset", "--resize", "256", "--shard-images", "100", "--jobs", str(jobs))
    return (*ILSVRC, "prepare", archive, trees / str(next(numbers)), *made)


def table(costs: Costs) -> str:
    """Return the time and the busy share for every number of workers, latency and bandwidth."""
    units = [SHARD] * (IMAGES // SHARD) + [IMAGES % SHARD]
    head = ["workers", *(f"{b * 8 / 1e9:,.0f} Gbit/s, {lat * 1000:.0f} ms" for b in BANDWIDTHS for lat in LATENCIES)]
    lines = [head]
    for workers in WORKERS:
        cells = [simulate(workers, units, costs, Store(lat, b)) for b in BANDWIDTHS for lat in LATENCIES]
        lines.append([str(workers), *(f"{one.seconds:,.0f} s, {one.busy:.0%}" for one in cells)])
    return aligned(lines)


def plot(costs: Costs, path: Path) -> None:
    """Draw images per second by workers, as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "ilsvrc"
    from matplotlib import pyplot as plt

    units = [SHARD] * (IMAGES // SHARD) + [IMAGES % SHARD]
    figure, axes = plt.subplots(figsize=(7, 4.2))
    for bandwidth, colour in zip(BANDWIDTHS, ("tab:red", "tab:orange", "tab:green"), strict=True):
        for latency, style in zip(LATENCIES, ("-", "--", ":"), strict=True):
            rates = [IMAGES / simulate(n, units, costs, Store(latency, bandwidth)).seconds for n in WORKERS]
            name = f"{bandwidth * 8 / 1e9:,.0f} Gbit/s, {latency * 1000:.0f} ms"
            axes.plot(WORKERS, rates, style, color=colour, label=name)
    one = IMAGES / simulate(1, units, costs, Store(0, 1e15)).seconds
    axes.plot(WORKERS, [one * n for n in WORKERS], color="grey", linewidth=0.8, label="in proportion")
    axes.set(xscale="log", yscale="log", xlabel="workers", ylabel="images per second")
    axes.set_xticks(WORKERS, [str(n) for n in WORKERS])
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=5e8, help="bytes of the archive (%(default)g)")
    parser.add_argument("--runs", type=int, default=3, help="counted runs on one and two workers (%(default)s)")
    parser.add_argument("--plot", type=Path, help="write the plot to this SVG")
    options = parser.parse_args()
    costs = measured(options.size)
    print(f"driver: {costs.driver * 1e3:.2f} ms a unit of {SHARD} images, of processor time")
    made = f"{costs.share:.2f} of its bytes"
    print(f"worker: {costs.image * 1e3:.2f} ms an image, varying by {costs.spread:.0%}; {made}")
    if options.runs:
        seconds = real(options.size, options.runs)
        print(f"1 worker: {seconds[1]:.1f} s; 2 workers: {seconds[2]:.1f} s, {seconds[1] / seconds[2]:.2f} times")
    print(f"\n{table(costs)}\n\n{machine(DATA)}")
    if options.plot:
        plot(costs, options.plot)


if __name__ == "__main__":
    main()
