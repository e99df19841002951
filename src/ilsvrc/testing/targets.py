"""What every `Target` does, from an empty place to a published split that is mended."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ilsvrc.errors import IlsvrcError
from ilsvrc.run.engine import SerialEngine
from ilsvrc.run.loop import Machinery, run, work
from ilsvrc.run.plan import Plan
from ilsvrc.run.proof import NoProof
from ilsvrc.sinks.base import Stage
from ilsvrc.sinks.target import Target


class TargetContract:
    """Fixtures `target` and `plan` give a Target whose place is empty, and the plan of a split that goes there."""

    def kept(self, target: Target) -> Mapping[str, bytes]:
        """Return every file or object at the target's root, by its path below."""
        raise NotImplementedError

    def remove(self, target: Target, path: str) -> None:
        """Remove one of them."""
        raise NotImplementedError

    def put(self, target: Target, path: str, data: bytes) -> None:
        """Write a file or object of the user's."""
        raise NotImplementedError

    def test_nothing_is_there_at_first(self, target: Target, plan: Plan) -> None:
        """To ask writes nothing."""
        state = target.state(plan, ())
        assert (state.stage, state.obstacle, state.missing, state.manifest) == (Stage.FRESH, "", (), None)
        assert target.total(plan) == (len(plan.rows) if target.count is None else target.count)
        assert target.how(made_anew=False)
        assert target.pieces
        with pytest.raises(FileNotFoundError):
            target.recorded()
        assert self.kept(target) == {}

    def test_published_split_is_found_again(self, target: Target, plan: Plan) -> None:
        """Its manifest names every image; what is asked afterwards changes nothing."""
        published = self._published(target, plan)
        state = target.state(plan, ())
        assert (state.stage, state.obstacle, state.missing) == (Stage.PUBLISHED, "", ())
        wanted = {path.rpartition("/")[2] for path, _ in plan.images()}
        paths = target.recorded().column("path").to_pylist()
        assert {path.rpartition("/")[2] for path in paths} == wanted
        target.settle()
        target.clear()
        target.restore_lists(target.recorded())
        assert self.kept(target) == published

    def test_what_is_missing_is_written_again(self, target: Target, plan: Plan) -> None:
        """A few pieces in turn; then all is as it was."""
        published = self._published(target, plan)
        pieces = self._pieces(published)
        for path in pieces[:: -(-len(pieces) // 3)]:
            self.remove(target, path)
            missing = target.state(plan, ()).missing
            assert missing
            target.refuse_to_mend(missing)
            units = [plan.units[place] for place in target.lost(plan, missing)]
            receipts = work(plan, units, target.mender(), _machinery())
            target.mend(receipts, missing, target.recorded())
            target.clear()
            assert target.state(plan, ()).missing == ()
            assert self.kept(target) == published

    def test_something_of_the_users_is_an_obstacle(self, target: Target, plan: Plan) -> None:
        """It is named, nothing is published over it, and it stays as it was."""
        with_name = self._pieces(self._published_elsewhere(target, plan))[0]
        self.put(target, with_name, b"mine")
        state = target.state(plan, ())
        if not state.obstacle:
            with pytest.raises(IlsvrcError):
                run(plan, target, _machinery())
        assert self.kept(target)[with_name] == b"mine"

    def test_unfinished_work_is_removed(self, target: Target, plan: Plan) -> None:
        """Half of the units are written, and a run begins with nothing."""
        half = plan.units[: max(1, len(plan.units) // 2)]
        work(plan, half, target, _machinery())
        target.start_over([{"plan": plan.digest, **plan.settings}])
        left = {path for path in self.kept(target) if not path.startswith(".ilsvrc/")}
        assert left == set()
        assert target.state(plan, ()).stage is Stage.FRESH

    def _published(self, target: Target, plan: Plan) -> Mapping[str, bytes]:
        run(plan, target, _machinery())
        return self.kept(target)

    def _published_elsewhere(self, target: Target, plan: Plan) -> Mapping[str, bytes]:
        """Return what would be published: it is, and then removed."""
        published = self._published(target, plan)
        for path in published:
            self.remove(target, path)
        return published

    def _pieces(self, published: Mapping[str, bytes]) -> list[str]:
        """Return the paths of images, or of shards."""
        lists = (".txt", ".json", ".bin", ".md")
        return [path for path in published if not path.startswith(".ilsvrc/") and not path.endswith(lists)]


def _machinery() -> Machinery:
    return Machinery(SerialEngine(), None, NoProof())
