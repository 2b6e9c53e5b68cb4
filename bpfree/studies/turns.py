"""Turns: the runs of a study, so ordered and so matched that a difference between arms means something.

Seed by seed, the arms run forward for one seed and backward for the next (ABBA, `bpfree.studies.plan`), so that a slow
drift of the machine cancels. Budgets:

* own convergence: every arm under one stopping rule (``patience`` epochs without improvement, ``epochs`` at most);
* matched passes: every arm sees the data as often as the backprop twin of its net needed on average, without a stop.

A short run that counts for nothing goes first in every worker, and a search of settings where one is wanted.
"""

import concurrent.futures
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bpfree.reports.study import EXTENSION, MATCHED
from bpfree.studies.arms import Arm
from bpfree.studies.jobs import TRAIN
from bpfree.studies.ledger import Ledger
from bpfree.studies.settings_search import search_settings
from bpfree.studies.workers import INTERRUPTED, Worker
from bpfree.training.data import Spec
from bpfree.training.signals import stop_on_signals

WARM_UP = "warm-up"  # folder of the run that counts for nothing
NO_TWIN = "the backprop twin of its net has no finished run whose passes it could match"


class Turns:
    """The runs of one study that are not finished, in their order.

    Args:
        ledger: of the study.
        specs: name of each arm -> the spec of its data.
        workers: places where runs are made, each one run at a time.
        meter: as for `bpfree.train`.
        command: for the records: the command that the user typed.
    """

    def __init__(
        self, ledger: Ledger, specs: Mapping[str, Spec], workers: Sequence[Worker], meter: str, command: str | None
    ):
        self.ledger, self.specs, self.workers = ledger, specs, workers
        self.meter, self.command = meter, command
        self.stopped = False

    def go(self) -> None:
        """Make every run that is not finished; a signal ends the current ones, which save, and begins no other."""
        ledger = self.ledger
        with stop_on_signals(lambda signal: self._stop()):
            self._warm_up()
            self._search()
            for run in ledger.plan["runs"]:
                if run["status"] != "finished" and ledger.is_finished(run):  # study.json could not be written then
                    ledger.set_status(run, "finished")
            for budget in ledger.plan["budgets"]:
                if budget == MATCHED and not self.stopped:  # passes that are known stay as they are
                    known = {key: passes for key, passes in ledger.plan["passes"].items() if passes}
                    ledger.save(passes={**self._passes(), **known})
                self._make([r for r in ledger.plan["runs"] if r["budget"] == budget and not ledger.is_finished(r)])
            ledger.save(stopped=self.stopped)

    def _stop(self) -> None:
        self.stopped = True
        for worker in self.workers:
            worker.stop()

    def _warm_up(self) -> None:
        """A short run in each worker: clocks, page cache and files are then as for all later ones."""
        ledger = self.ledger
        arm, folder = next(iter(ledger.arms.values())), ledger.folder / WARM_UP
        if all(ledger.is_finished(run) for run in ledger.plan["runs"]):
            return
        ledger.say("warm-up")
        for worker in self.workers:
            shutil.rmtree(folder, ignore_errors=True)
            self._train(arm, ledger.plan["seeds"][0], folder, worker, epochs=1)
        shutil.rmtree(folder, ignore_errors=True)

    def _search(self) -> None:
        """Search the settings of every arm whose search is still to be made, but for those that repeat another's."""
        for arm in self.ledger.arms.values():
            wanted = self.ledger.plan["definition"]["tune"] is not None and arm.repeats is None
            if wanted and arm.search is None and not self.stopped:
                search_settings(arm, self.specs[arm.name], self.ledger, self.workers[0], self.meter)

    def _make(self, runs: Sequence[dict[str, Any]]) -> None:
        """Make runs: all arms of a seed in one worker, so that pairs share their device and meter."""
        count = len(self.workers)
        place = {seed: number % count for number, seed in enumerate(self.ledger.plan["seeds"])}
        shares = [[run for run in runs if place[run["seed"]] == number] for number in range(count)]
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            list(pool.map(self._make_in, shares, self.workers))

    def _make_in(self, runs: Sequence[dict[str, Any]], worker: Worker) -> None:
        for run in runs:
            if not self.stopped:
                self._make_one(run, worker)

    def _make_one(self, run: dict[str, Any], worker: Worker) -> None:
        """One run, from planned to its end."""
        ledger = self.ledger
        arm = ledger.arms[run["arm"]]
        changes: dict[str, Any] = {}
        if run["budget"] == MATCHED:
            passes = ledger.plan["passes"].get(str(arm.net_key))
            if passes is None:
                ledger.set_status(run, "failed", NO_TWIN)
                return
            epochs = arm.matched_epochs(passes, self.specs[arm.name], self._cached(arm))
            changes = {"epochs": epochs, "patience": None}
        ledger.set_status(run, "running")
        folder = ledger.folder / run["path"]
        shutil.rmtree(folder, ignore_errors=True)  # a run in two pieces has no clean energy reading: begun anew
        answer = self._train(arm, run["seed"], folder, worker, **changes)
        status, error = answer.get("value", ("failed", answer.get("error")))
        self.stopped = self.stopped or status == "stopped" or answer.get("code") == INTERRUPTED
        if self.stopped and status != "finished":
            status, error = "stopped", "the study was stopped"
        ledger.set_status(run, status, error)
        if status == "finished":
            self._compare_beginnings(run)

    def _train(self, arm: Arm, seed: int, folder: Path, worker: Worker, **changes: Any) -> dict[str, Any]:
        """Train an arm in a process of its own; the answer of `Worker.run`."""
        values = {**arm.values, **self.ledger.searched(arm), **changes, "seed": seed}
        place: dict[str, Any] = {"out": str(folder), "meter": self.meter, "command": self.command}
        if about := self.ledger.plan["extensions"].get(EXTENSION):  # an earlier version's study has none
            place["extensions"] = {EXTENSION: {**about, "arm": arm.name}}
        arguments = {"algo": arm.algo, "data": arm.data, "net": arm.net, **place, **values}
        return worker.run(TRAIN, arguments)

    def _passes(self) -> dict[str, float | None]:
        """Net -> data passes of its twin at its own convergence, mean over the seeds."""
        means: dict[str, float | None] = {}
        for arm in self.ledger.arms.values():
            if arm.role == "twin":
                passes = [record["result"]["data_passes"] for record in self.ledger.converged(arm)]
                means[str(arm.net_key)] = statistics.fmean(passes) if passes else None
        return means

    def _cached(self, arm: Arm) -> set[str]:
        """The phases of an arm whose input its runs computed once, in a pass of its own."""
        for record in self.ledger.converged(arm):
            return {name for name, method in record["prefixes"].items() if method == "cached"}
        return set()

    def _compare_beginnings(self, run: Mapping[str, Any]) -> None:
        """Warn where a run and its twin of the same seed do not begin with the same weights or see the same batches."""
        ledger = self.ledger
        mine = ledger.arms[run["arm"]]
        for other in [other for other in ledger.beside(run) if other["status"] == "finished"]:
            theirs = ledger.arms[other["arm"]]
            if mine.net_key != theirs.net_key or "twin" not in (mine.role, theirs.role):
                continue
            name = mine.name if theirs.role == "twin" else theirs.name
            for difference in _differences(ledger.record(run), ledger.record(other)):
                ledger.warn(f"{name} does not {difference} its backprop twin")


def _differences(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[str]:
    """Differences between the beginnings of two runs; one net may have a block more, the classifier."""
    if any(a != b for a, b in zip(one["init_sha256"], two["init_sha256"], strict=False)):
        yield "begin with the weights of"
    if one["order_sha256"] != two["order_sha256"]:
        yield "see the same batches as"
