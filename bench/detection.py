#!/usr/bin/env python3
"""Measure how often `detect_scheme` names the right mapping, and how often a wrong one.

Usage: detection.py [RUNS]     (default: 1000 for each of the five schemes, and for each model in none)

Simulated models confuse what is near, as real ones do: the chance of predicting a class falls off exponentially with
its distance in WordNet, at the rate that gives the wanted accuracy. What is near in WordNet is near by number, too.
Prints two tables in Markdown: models in each known scheme, and models in none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import numpy.typing as npt

from ilsvrc.facts import classes, hierarchy, schemes, val_labels
from ilsvrc.labels.detect import detect_scheme

Ints = npt.NDArray[np.int64]

ACCURACIES = (0.1, 0.4, 0.8)
SIZES = (50, 200, 1000)


def main(arguments: list[str]) -> int:
    runs = int(arguments[0]) if arguments else 1000
    rng = np.random.default_rng(2012)
    print("| accuracy | images | right | undecided | wrong |\n|---|---|---|---|---|")
    for accuracy in ACCURACIES:
        for images in SIZES:
            print(row([f"{accuracy:.0%}", images], tally(known(accuracy, images, rng), runs * 5)))
    print("\n| model in no known scheme | images | named | undecided | none of these |\n|---|---|---|---|---|")
    for title, predict in UNKNOWN.items():
        for images in SIZES:
            print(row([title, images], tally(unknown(predict, images, rng), runs)))
    return 0


Trial = tuple[str, Ints, Ints]
"""Accepted names separated by blanks, true indices, predictions."""


def known(accuracy: float, images: int, rng: np.random.Generator) -> Iterator[Trial]:
    """Yield trials of models in each scheme in turn."""
    numeric = [s for s in schemes() if s.numeric and s.name != "background"]
    while True:
        for scheme in numeric:
            truth = draw(images, rng)
            accepted = "index1 background" if scheme.name == "index1" else scheme.name
            yield accepted, truth, scheme.labels[model(truth, accuracy, rng)]


def unknown(predict: Callable[..., Ints], images: int, rng: np.random.Generator) -> Iterator[Trial]:
    """Yield trials of a model in no scheme."""
    while True:
        truth = draw(images, rng)
        yield "", truth, predict(truth, rng)


def tally(trials: Iterator[Trial], runs: int) -> list[float]:
    """Return the shares of right or named, undecided, and wrong or none."""
    counts = [0, 0, 0]
    for _ in range(runs):
        accepted, truth, predictions = next(trials)
        found = detect_scheme([""] * len(truth), predictions, truth)
        if not accepted:
            counts[0 if found.scheme else 1 if found.needed else 2] += 1
        else:
            counts[1 if found.scheme is None else 0 if found.scheme in accepted.split() else 2] += 1
    return [count / runs for count in counts]


def row(cells: list[object], shares: list[float]) -> str:
    return "| " + " | ".join([*map(str, cells), *(f"{share:.2%}" for share in shares)]) + " |"


def draw(images: int, rng: np.random.Generator) -> Ints:
    return val_labels()[rng.choice(50_000, images, replace=False)].astype(np.int64)


def model(truth: Ints, accuracy: float, rng: np.random.Generator) -> Ints:
    """Return the indices that a model of this accuracy predicts."""
    above = confusion(accuracy)[truth] < rng.random((len(truth), 1))
    return np.asarray(above.sum(axis=1).clip(max=999))


@cache
def confusion(accuracy: float) -> npt.NDArray[np.float64]:
    """Return the cumulative chances of each prediction for each class: shape (1000, 1000)."""
    low, high = 0.0, 20.0
    for _ in range(40):
        rate = (low + high) / 2
        chances = np.exp(-rate * distances())
        chances /= chances.sum(axis=1, keepdims=True)
        low, high = (low, rate) if chances.diagonal().mean() > accuracy else (rate, high)
    cumulative: npt.NDArray[np.float64] = chances.cumsum(axis=1)
    return cumulative


@cache
def distances() -> npt.NDArray[np.float64]:
    """Return half the edges between each two classes in WordNet: shape (1000, 1000)."""
    paths = [path(s.wnid) for s in classes()]
    depth = max(map(len, paths))
    padded = np.array([[*p, *[""] * (depth - len(p))] for p in paths])
    same = np.logical_and.accumulate(padded[:, None] == padded[None], axis=2) & (padded != "")[:, None]
    lengths = np.array([len(p) for p in paths])
    return np.asarray((lengths[:, None] + lengths[None]) / 2 - same.sum(axis=2))


def path(wnid: str) -> list[str]:
    """Return the way from entity down to a class."""
    above = hierarchy().parents[wnid]
    return [*(path(above[0]) if above else []), wnid]


def order(make: Callable[[], Ints], accuracy: float = 0.8) -> Callable[..., Ints]:
    """Return a model whose labels are in an unknown order."""
    labels = make()
    return lambda truth, rng: labels[model(truth, accuracy, rng)]


def by_name() -> Ints:
    return np.argsort(np.argsort(np.array([s.name.casefold() for s in classes()])))


def other_release() -> Ints:
    """Return places in a sorted list that shares 640 wnids with ours, as that of ILSVRC 2010 does."""
    rng = np.random.default_rng(2010)
    shared = np.sort(rng.choice(1000, 640, replace=False))
    return np.searchsorted(np.sort(np.concatenate([shared, rng.uniform(0, 1000, 360)])), np.arange(1000)).clip(0, 999)


def one_class(truth: Ints, rng: np.random.Generator) -> Ints:
    """Predict right for images of one class alone, given in the place of the drawn ones."""
    truth[:] = truth[0]
    return np.full(len(truth), rng.integers(0, 1000))


UNKNOWN: dict[str, Callable[..., Ints]] = {
    "uniformly random": lambda truth, rng: rng.integers(0, 1000, len(truth)),
    "one constant label": lambda truth, rng: np.full(len(truth), rng.integers(0, 1000)),
    "five labels at random": lambda truth, rng: rng.choice(rng.integers(0, 1000, 5), len(truth)),
    "one class, one label": one_class,
    "80 %, shuffled anew": lambda truth, rng: rng.permutation(1000)[model(truth, 0.8, rng)],
    "80 %, sorted by name": order(by_name),
    "80 %, index + 2": order(lambda: np.arange(1000) + 2),
    "80 %, index + 7": order(lambda: np.arange(1000) + 7),
    "40 %, index + 7": order(lambda: np.arange(1000) + 7, 0.4),
    "80 %, reversed": order(lambda: 999 - np.arange(1000)),
    "80 %, another release": order(other_release),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
