"""The ledger of a study on its way: ``study.json``, rewritten after every change, and the records of its runs."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from bpfree.config.notes import tell
from bpfree.errors import RunFailed
from bpfree.reports import study
from bpfree.runs import record as records
from bpfree.studies.arms import Arm
from bpfree.training.run_folder import MODEL, RECORD

Say = Callable[[str], None]
ENDED = ("finished", "failed")  # a run that was stopped or never begun is still to be made
WRITES = 1000


class Ledger:
    """The plan, the arms, and the state of each run.

    Several threads may use it, one for each run that goes on at the same time.

    Args:
        folder: of the study.
        plan: content of ``study.json`` but for the arms.
        arms: in the order in which they run.
        say: called with a line of progress.
    """

    def __init__(self, folder: Path, plan: dict[str, Any], arms: Sequence[Arm], say: Say):
        self.folder, self.say = folder, say
        self.arms = {arm.name: arm for arm in arms}
        self.plan = {**plan, "arms": [self._described(arm) for arm in arms]}
        self._lock = threading.RLock()
        self._told: set[str] = set()  # notes of runs
        self._place = {run["order"]: place for place, run in enumerate(plan["runs"])}
        self._group: dict[tuple[int, str], list[int]] = defaultdict(list)
        for place, run in enumerate(plan["runs"]):
            self._group[run["seed"], run["budget"]].append(place)
        self._ended = sum(run["status"] in ENDED for run in plan["runs"])
        self._changes = 0  # of a status

    def save(self, **changes: Any) -> None:
        """Change entries of the plan and write ``study.json``.

        Raises:
            RunFailed: it cannot be written.
        """
        with self._lock:
            self.plan |= changes
            try:
                self.plan = study.write(self.plan, self.folder)
            except RunFailed as error:
                advice = f"finished runs are kept, go on with the same command and --out {self.folder}"
                raise RunFailed(f"{error}; {advice}") from error

    def warn(self, text: str) -> None:
        """Keep a warning for the reader of the report, once."""
        with self._lock:
            if text not in self.plan["warnings"]:
                self.save(warnings=[*self.plan["warnings"], text])

    def set_status(self, run: Mapping[str, Any], status: str, error: str | None = None) -> None:
        """Keep the status of a run, and report the end of one as a line of progress.

        ``study.json`` is written at every change of up to `WRITES` runs; of a larger study, whose file is larger, about
        as often. One that is killed in between loses nothing, as the records of its runs say that they finished.
        """
        with self._lock:  # the plan is replaced whenever it is written, so that `run` may be an entry of an earlier one
            entry = self.plan["runs"][self._place[run["order"]]]
            self._ended += (status in ENDED) - (entry["status"] in ENDED)
            entry |= {"status": status, "error": error}
            self._changes += 1
            if self._changes % (1 + len(self.plan["runs"]) // WRITES) == 0:
                self.save()
        if status != "running":
            self._report(run, status, error)

    def keep_search(self, arm: Arm, search: Mapping[str, Any]) -> None:
        """Keep the search of an arm's settings, which its runs and those of the arms that repeat them then have.

        Args:
            arm: of the study.
            search: ``trials``, ``cost``, ``params`` and ``space``.
        """
        arm.search = dict(search)
        for other in self.arms.values():
            if other.repeats == arm.name and other.role != "aa":
                other.search = {**search, "cost": {}, "of": arm.name}
        self.save(arms=[self._described(arm) for arm in self.arms.values()])

    def searched(self, arm: Arm) -> dict[str, Any]:
        """The settings that a search led to, of an arm or of the one that it repeats."""
        source = self.arms[arm.repeats] if arm.repeats else arm
        return dict((source.search or {}).get("params", {}))

    def is_finished(self, run: Mapping[str, Any]) -> bool:
        """True for a run whose own record says so, checked against its hash, and whose model is there."""
        folder = self.folder / run["path"]
        return (folder / RECORD).exists() and self.record(run)["status"] == "finished" and (folder / MODEL).exists()

    def beside(self, run: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The runs of the same seed and budget, this one included."""
        return [self.plan["runs"][place] for place in self._group[run["seed"], run["budget"]]]

    def record(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """The record of a run."""
        return records.read(self.folder / run["path"] / RECORD)

    def converged(self, arm: Arm) -> Iterator[dict[str, Any]]:
        """The records of an arm's finished runs at their own convergence."""
        for run in self.plan["runs"]:
            if (run["arm"], run["budget"]) == (arm.name, study.OWN) and self.is_finished(run):
                yield self.record(run)

    def _described(self, arm: Arm) -> dict[str, Any]:
        """An arm as ``study.json`` has it."""
        config = arm.plan.config | self.searched(arm)
        return {
            "name": arm.name,
            "algo": config["algo"],
            "settings": {k: value for k, value in config.items() if k not in ("algo", "data", "seed", "data_dir")},
            "net_key": arm.net_key,
            "role": arm.role,
            "twin_of": arm.reference if arm.role in ("twin", "aa") else None,
            "reference": arm.reference,
            "repeats": arm.repeats,
            "budgets": list(arm.budgets),
            "written": list(arm.written),
            "search": arm.search,
        }

    def _tell(self, record: Mapping[str, Any]) -> None:
        """Tell the notes of a run that no run before it had."""
        notes = record["extensions"].get("notes", {})
        with self._lock:
            new = [line for line in dict.fromkeys(chain(*notes.values())) if line not in self._told]
            self._told.update(new)
        for line in dict.fromkeys(new):
            tell(line)

    def _report(self, run: Mapping[str, Any], status: str, error: str | None) -> None:
        text = f"[{self._ended}/{len(self.plan['runs'])}] {run['budget']}, {run['arm']}, seed {run['seed']}: "
        if status == "finished":
            record = self.record(run)
            self._tell(record)
            result = record["result"]
            text += f"{result['metric']} {result['test']:.4g} after {result['epochs']} epochs"
        else:
            text += status + (f": {error}" if error else "")
        self.say(text)
