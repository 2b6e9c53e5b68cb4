"""Comparison: arms x seeds x budgets as separate runs, so ordered and so matched that a difference means something.

`compare` builds the arms (`bpfree.studies.arms`), measures idle power, warms the machine up, searches every arm's
settings with the same number of trials, and runs each arm on each seed in a process of its own
(`bpfree.studies.workers`), seed by seed, the arms forward for one seed and backward for the next (ABBA), so that a
slow drift of the machine cancels. Budgets:

* own convergence: every arm under one stopping rule (``patience`` epochs without improvement, ``epochs`` at most);
* matched passes: every arm sees the data as often as the backprop twin of its net needed on average, without a stop.

``study.json`` (`bpfree.reports.study`) is rewritten after every run. A study that was cut goes on with the same
command: finished runs are kept, others are begun anew, because a run in two pieces has no clean energy reading.
"""

import concurrent.futures
import contextlib
import json
import math
import os
import shutil
import statistics
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bpfree.config.seeds import seed_list
from bpfree.errors import InputError, RunFailed
from bpfree.reports import study as energy_study
from bpfree.runs import record as energy_record
from bpfree.runs.train import meter_for, now, train
from bpfree.studies import arms as arms_room
from bpfree.studies import tune as tune_room
from bpfree.studies import workers
from bpfree.studies.arms import Arm
from bpfree.studies.workers import Worker
from bpfree.training.checkpoint import MODEL, RECORD
from bpfree.training.device import pick_device
from bpfree.training.files import LOCK
from bpfree.training.signals import stop_on_signals
from energy import EnergyError
from energy.idle import IDLE_S, idle_power

OWN, MATCHED = energy_study.OWN, energy_study.MATCHED
WARM_UP, TUNE = "warm-up", "tune"
Server = tuple[Worker, dict[str, str]]  # where runs are made, and its environment
TRIAL_EPOCHS = 20  # of a trial at most, when settings are searched
QUICK_IDLE_S = 1.0
Say = Callable[[str], None]


def compare(
    algos: Sequence[str] | str,
    data: str | None = None,
    *,
    out: str | os.PathLike[str],
    seeds: int | str | Sequence[int] = 5,
    net: str | None = None,
    controls: Sequence[str] | str | None = None,
    tune: int | None = None,
    tune_epochs: int = TRIAL_EPOCHS,
    quick: bool = False,
    target: float | None = None,
    margin_pp: float = 0.25,
    meter: str = "auto",
    jobs: int = 1,
    idle_s: float | None = None,
    question: str = "",
    command: str | None = None,
    say: Say = lambda line: None,
    **settings: Any,
) -> dict[str, Any]:
    """Run a study, or go on with the one in ``out``, and write its report; returns ``study.json``.

    Args:
        algos: arms, ``rule`` or ``rule:key=value,…``.
        data: a name, as for `bpfree.train`; None: what the rules of all arms train on when none is named.
        seeds: how many (0, 1, …), or which; every arm runs on each.
        net: name of a net for arms that name none.
        controls: instead of the usual ones; ``none``, or an empty list: none.
        tune: trials of a search before the runs, the same number for every arm; None: no search.
        tune_epochs: of a trial at most.
        quick: few rows, few passes, narrow layers, and said so wherever results are shown.
        target: test metric whose cost is asked for.
        margin_pp: percentage points of the metric within which two arms count as equivalent.
        meter: as for `bpfree.train`.
        jobs: runs at the same time, where the meter can tell them apart.
        idle_s: seconds for which idle power is measured first.
        command: for the records: what the user typed.
        say: called with a line of progress.
        **settings: of all arms that have them, such as ``epochs`` and ``patience`` of the stopping rule.

    Raises:
        InputError: something asked for cannot be done; nothing was written.
        RunFailed: the study itself could not be written. An arm that fails is recorded, and the others go on.
    """
    out, texts = Path(out), arms_room.separate(algos)
    if other := [thing for thing in (*texts, "" if data is None else data) if not isinstance(thing, str)]:
        raise InputError(
            f"{other[0]!r:.60} has no name under which a process of its own finds it: arms are names of rules or "
            f"FILE.py:Class, data a name such as mnist or npz:FILE"
        )
    data = arms_room.default_data(texts) if data is None else data
    wanted = None if controls is None else arms_room.separate(controls)
    wanted = [] if wanted == ["none"] else wanted
    if tune is not None and tune < 1:
        raise InputError(f"tune = {tune} is not valid: expected 1 trial an arm or more; leave it out for no search")
    if tune_epochs < 1:
        raise InputError(f"tune_epochs = {tune_epochs} is not valid: expected 1 or more")
    if not (math.isfinite(margin_pp) and margin_pp > 0):
        raise InputError(f"margin = {margin_pp} is not valid: expected percentage points above 0")
    if target is not None and not math.isfinite(target):
        raise InputError(f"target = {target} is not valid: expected a value of the test metric, such as 0.97")
    if idle_s is not None and not (math.isfinite(idle_s) and idle_s >= 0):
        raise InputError(f"idle = {idle_s} is not valid: expected seconds, 0 or more")
    device = pick_device(settings.get("device", "auto"))
    meter_for(meter, device, None, None).close()  # a meter that is not there shows before anything is written
    definition = {
        "algos": texts,
        "data": data,
        "net": net,
        "seeds": seed_list(seeds),
        "controls": wanted,
        "tune": tune,
        "tune_epochs": tune_epochs,
        "quick": quick,
        "settings": settings,
        "target": target,
        "margin_pp": margin_pp,
        "meter": meter,
    }
    definition = json.loads(json.dumps(definition))
    found = _earlier(out, definition)
    laid_out, specs, notes = arms_room.build_arms(texts, data, net, settings, controls=wanted, quick=quick)
    if target is not None and not 0 <= target <= 1 and any(spec.metric != "mse" for spec in specs.values()):
        raise InputError(f"target = {target} is not valid: accuracy and ROC-AUC are shares, 0..1, such as 0.97")
    slots, why = workers.slots(jobs, meter, settings.get("device", "auto"))
    idle_s = (QUICK_IDLE_S if quick else IDLE_S) if idle_s is None else idle_s
    if found is None:
        found = {
            "schema": energy_study.SCHEMA,
            "name": out.name,
            "question": question,
            "created": now(),
            "seeds": definition["seeds"],
            "budgets": [OWN, MATCHED],
            "quick": quick,
            "data": data,
            "margin_pp": margin_pp,
            "target": target,
            "idle": None,
            "warnings": notes,
            "definition": definition,
            "passes": {},
            "together": 1,
        }
        found["runs"] = _planned(laid_out, found["seeds"])
    if meter == "none":
        found["together"] = max(found["together"], len(slots))
    found["warnings"] = list(dict.fromkeys([*found["warnings"], *why]))
    study = _Study(out, found, laid_out, specs, meter, command, say)
    with study.owned():
        if meter != "none" and idle_s > 0 and study.found["idle"] is None:  # before the servers begin to import torch
            say(f"idle power: {idle_s:g} s")
            with meter_for(meter, device, None, None) as idle:
                study.save(idle=idle_power(idle, idle_s))
        with _servers(slots, out) as servers:
            study.go(servers)
    _report(out)
    return study.found


def _report(out: Path) -> None:
    from bpfree.reports.build import build  # scipy and the charts: not needed before
    from bpfree.reports.render import render

    study = energy_study.load(out)
    if any(run.finished for run in study.runs):
        render(build(study), out)


class _Study:
    """A study on its way: what ``study.json`` says, and the arms that it is about."""

    def __init__(
        self,
        out: Path,
        found: dict[str, Any],
        arms: Sequence[Arm],
        specs: Mapping[str, Any],
        meter: str,
        command: str | None,
        say: Say,
    ):
        self.out, self.found, self.specs = out, found, specs
        self.arms = {arm.name: arm for arm in arms}
        self.meter, self.command, self.say = meter, command, say
        self.lock, self.stopped = threading.Lock(), False
        for saved in found.get("arms", []):
            self.arms[saved["name"]].search = saved["search"]

    @contextlib.contextmanager
    def owned(self) -> Iterator[None]:
        """The folder, in the hands of this process and the runs it starts, which hold the lock until they end."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make {self.out}: {error.strerror}") from None
        with workers.owned(self.out, "give another --out"):
            self.save()
            yield

    def save(self, **changes: Any) -> None:
        with self.lock:
            self.found |= changes
            self.found["arms"] = [self._described(arm) for arm in self.arms.values()]
            try:
                self.found = energy_study.write(self.found, self.out)
            except EnergyError as error:
                raise RunFailed(f"{error}; finished runs are kept, go on with the same command") from error

    def _described(self, arm: Arm) -> dict[str, Any]:
        config = arm.plan(**self._searched(arm)).config
        settings = {key: value for key, value in config.items() if key not in ("algo", "data", "seed", "data_dir")}
        twin_of = arm.reference if arm.role in ("twin", "aa") else None
        return {
            "name": arm.name,
            "algo": config["algo"],
            "settings": settings,
            "net_key": arm.net_key,
            "role": arm.role,
            "twin_of": twin_of,
            "beside": arm.reference,
            "search": arm.search,
        }

    def _searched(self, arm: Arm) -> dict[str, Any]:
        """The settings that the search chose; the A/A arm repeats those of the arm that it repeats."""
        source = self.arms[arm.reference] if arm.role == "aa" and arm.reference else arm
        return dict((source.search or {}).get("params", {}))

    # In this order ----------------------------------------------------------------------------------------------------

    def go(self, servers: Sequence[Server]) -> None:
        with stop_on_signals(lambda why: self._stop(servers)):
            self._warm_up(servers)
            self._search(servers[0])
            for run in self.found["runs"]:
                if run["status"] != "finished" and self._is_done(run):  # the study could not be written then
                    self._ended(run, "finished", None)
            for budget in self.found["budgets"]:
                if budget == MATCHED and not self.stopped:  # once told, the passes stay what they were
                    self.save(passes={**self._passes(), **{k: v for k, v in self.found["passes"].items() if v}})
                todo = [run for run in self.found["runs"] if run["budget"] == budget and not self._is_done(run)]
                shares = [[run for run in todo if self._slot(run, servers) is server] for server in servers]
                with concurrent.futures.ThreadPoolExecutor(len(servers)) as pool:
                    list(pool.map(self._all, shares, servers))
            self.save(stopped=self.stopped)

    def _stop(self, servers: Sequence[Server]) -> None:
        self.stopped = True
        for server, _ in servers:
            server.stop()

    def _slot(self, run: Mapping[str, Any], servers: Sequence[Server]) -> Server:
        """Where a run is made: all arms of a seed in one place, so that pairs share their device and meter."""
        return servers[self.found["seeds"].index(run["seed"]) % len(servers)]

    def _all(self, runs: Sequence[dict[str, Any]], server: Server) -> None:
        for run in runs:
            self._one(run, server)

    def _warm_up(self, servers: Sequence[Server]) -> None:
        """A short run in each place, that counts for nothing: clocks, page cache and files as for all later ones."""
        arm, folder = next(iter(self.arms.values())), self.out / WARM_UP
        if all(self._is_done(run) for run in self.found["runs"]):
            return
        self.say("warm-up")
        for server in servers:
            shutil.rmtree(folder, ignore_errors=True)
            self._train(arm, self.found["seeds"][0], folder, server, epochs=1)
        shutil.rmtree(folder, ignore_errors=True)

    def _search(self, server: Server) -> None:
        trials = self.found["definition"]["tune"]
        for arm in self.arms.values():
            if trials is None or arm.search is not None or arm.role == "aa" or self.stopped:
                continue
            self.say(f"{arm.name}: search, {trials} trials")
            values = {**arm.values, "epochs": min(arm.plan().config["epochs"], self.found["definition"]["tune_epochs"])}
            job = {
                "algo": arm.algo,
                "data": arm.data,
                "net": arm.net,
                **values,
                "seed": max(self.found["seeds"]) + 1,
                "trials": trials,
                "out": str(self.out / TUNE / arm.slug),
                "name": f"{self.out.name}/{arm.name}",
                "search": self._space(arm),
                "prune": False,
                "meter": self.meter,
            }
            answer = self._ask(server, "bpfree.studies.compare:search", job)
            if "error" in answer:
                self._warn(f"{arm.name}: the search failed ({answer['error']}): its settings are the defaults")
            elif answer["value"]["status"] == "finished":
                found = answer["value"]
                params = found["best"]["params"] if found["best"] else {}
                if not found["best"]:
                    self._warn(f"{arm.name}: no trial of its search ended well: its settings are the defaults")
                arm.search = {"trials": trials, "cost": found["cost"], "params": params, "space": found["space"]}
            self.save()

    def _space(self, arm: Arm) -> list[str]:
        """What is searched: settings of the rule alone; another net or other data would be another comparison."""
        given = {*arms_room.OF_THE_STUDY, *arm.own, *self.found["definition"]["settings"]}
        given |= tune_room.without_effect(arm.plan(), self.specs[arm.name])
        return [name for name in tune_room.searchable(arm.plan().rule_settings) if name not in given]

    def _passes(self) -> dict[str, float | None]:
        """Net -> how often its twin saw the data at its own convergence, mean over the seeds."""
        found: dict[str, float | None] = {}
        for arm in self.arms.values():
            if arm.role != "twin":
                continue
            passes = [record["result"]["data_passes"] for record in self._converged(arm)]
            found[str(arm.net_key)] = statistics.fmean(passes) if passes else None
        return found

    def _cached(self, arm: Arm) -> set[str]:
        """The phases of an arm whose input its runs computed once, in a pass of its own."""
        for record in self._converged(arm):
            return {name for name, how in record["extra"]["prefixes"].items() if how == "cached"}
        return set()

    def _converged(self, arm: Arm) -> Iterator[dict[str, Any]]:
        """The records of an arm's finished runs at their own convergence."""
        for run in self.found["runs"]:
            if (run["arm"], run["budget"]) == (arm.name, OWN) and self._is_done(run):
                yield self._record(run)

    def _one(self, run: dict[str, Any], server: Server) -> None:
        """One run, from planned to how it ended."""
        if self.stopped:
            return
        arm, budget = self.arms[run["arm"]], run["budget"]
        changes: dict[str, Any] = {}
        if budget == MATCHED:
            passes = self.found["passes"].get(str(arm.net_key))
            if passes is None:
                self._ended(
                    run, "failed", "the backprop twin of its net has no finished run whose passes it could match"
                )
                return
            changes = {"epochs": arm.matched(passes, self.specs[arm.name], self._cached(arm)), "patience": None}
        self._ended(run, "running", None)
        folder = self.out / run["path"]
        shutil.rmtree(folder, ignore_errors=True)  # what was cut: begun anew
        answer = self._train(arm, run["seed"], folder, server, **changes)
        status, error = answer.get("value", ("failed", answer.get("error")))
        self.stopped = self.stopped or status == "stopped" or answer.get("code") == 130
        if self.stopped and status != "finished":
            status, error = "stopped", "the study was stopped"
        self._ended(run, status, error)
        if status == "finished":
            self._compare_beginnings(run)

    def _compare_beginnings(self, run: Mapping[str, Any]) -> None:
        """A run and the twin of its net on the same seed must begin with the same weights and see the same batches."""
        for other in [other for other in self.found["runs"] if other["status"] == "finished"]:
            arms = self.arms[run["arm"]], self.arms[other["arm"]]
            pair = all(run[key] == other[key] for key in ("seed", "budget")) and arms[0].net_key == arms[1].net_key
            if not pair or "twin" not in (arms[0].role, arms[1].role):
                continue
            for text in _differences(self._record(run)["extra"], self._record(other)["extra"]):
                name = arms[0].name if arms[1].role == "twin" else arms[1].name
                self._warn(f"{name} does not {text} its backprop twin")

    def _warn(self, text: str) -> None:
        if text not in self.found["warnings"]:
            self.save(warnings=[*self.found["warnings"], text])

    def _train(self, arm: Arm, seed: int, folder: Path, server: Server, **changes: Any) -> dict[str, Any]:
        values = {**arm.values, **self._searched(arm), **changes, "seed": seed}
        job = {"algo": arm.algo, "data": arm.data, "net": arm.net, "out": str(folder), "meter": self.meter, **values}
        return self._ask(server, "bpfree.studies.compare:once", {**job, "command": self.command})

    @staticmethod
    def _ask(server: Server, call: str, job: Mapping[str, Any]) -> dict[str, Any]:
        process, environ = server
        return process.run(call, job, environ)

    def _ended(self, run: dict[str, Any], status: str, error: str | None) -> None:
        with self.lock:
            listed = next(item for item in self.found["runs"] if item["order"] == run["order"])
            listed |= {"status": status, "error": error}
        self.save()
        if status != "running":
            self._tell(run, status, error)

    def _tell(self, run: Mapping[str, Any], status: str, error: str | None) -> None:
        done = sum(item["status"] in ("finished", "failed") for item in self.found["runs"])
        text = f"[{done}/{len(self.found['runs'])}] {run['budget']}, {run['arm']}, seed {run['seed']}: "
        if status == "finished":
            record = self._record(run)
            text += (
                f"{record['result']['metric']} {record['result']['test']:.4g} after {record['result']['epochs']} epochs"
            )
        else:
            text += status + (f": {error}" if error else "")
        self.say(text)

    def _is_done(self, run: Mapping[str, Any]) -> bool:
        """Whether this run is finished, by its own record, which is checked against its hash."""
        folder = self.out / run["path"]
        return (folder / RECORD).exists() and self._record(run)["status"] == "finished" and (folder / MODEL).exists()

    def _record(self, run: Mapping[str, Any]) -> dict[str, Any]:
        return energy_record.read(self.out / run["path"] / RECORD)


# What the processes of their own do -----------------------------------------------------------------------------------


def once(**values: Any) -> tuple[str, str | None]:
    """One run; how it ended."""
    record = train(**values)
    return record["status"], record["error"]


def search(**values: Any) -> dict[str, Any]:
    """One arm's search."""
    return tune_room.tune(**values)


# Small things ---------------------------------------------------------------------------------------------------------


def _earlier(out: Path, definition: Mapping[str, Any]) -> dict[str, Any] | None:
    """The study in ``out``, if there is one; it must have been started with the same definition."""
    if not out.exists():
        return None
    if not (out / energy_study.FILE).exists():
        if out.is_dir() and {path.name for path in out.iterdir()} <= {LOCK}:
            return None
        raise InputError(f"{out} exists and holds no study: choose another --out")
    found = energy_study.read(out)
    before = found.get("definition", {})
    for key, value in definition.items():
        if before.get(key) != value:
            raise InputError(f"{out} was started with {key} = {before.get(key)}, not {value}: choose another --out")
    return found


def _differences(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[str]:
    """In what two runs on one net and seed do not begin alike; one may have a block more, the classifier."""
    if any(a != b for a, b in zip(one["init_sha256"], two["init_sha256"], strict=False)):
        yield "begin with the weights of"
    if one["order_sha256"] != two["order_sha256"]:
        yield "see the same batches as"


def _planned(arms: Sequence[Arm], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Every run in the order in which it is to be made: for each seed all arms, there and back (ABBA)."""
    runs: list[dict[str, Any]] = []
    for budget, short in ((OWN, "own"), (MATCHED, "matched")):
        for turn, seed in enumerate(seeds):
            for arm in arms if turn % 2 == 0 else reversed(arms):
                path = f"runs/{short}/{arm.slug}/s{seed}"
                listed = {"arm": arm.name, "seed": seed, "budget": budget, "order": len(runs), "path": path}
                runs.append({**listed, "status": "planned", "error": None})
    return runs


@contextlib.contextmanager
def _servers(slots: Sequence[dict[str, str]], out: Path) -> Iterator[list[Server]]:
    servers: list[Server] = []
    try:
        for environ in slots:
            servers.append((Worker(out), environ))
        yield servers
    finally:
        for server, _ in servers:
            server.close()
