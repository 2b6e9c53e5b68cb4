"""Search: good settings for one rule on one data set, by validation data alone.

Optuna proposes values from the ranges that the settings declare (``setting(search=…)``): first points that fill the
ranges evenly and are the same for all rules that share a range, so that none has better luck; then TPE. A trial is one
training without its test part, which is cut off before anything begins; its value is the best validation
metric. Trials live in a database (any URL that Optuna's RDB storage takes), so that several workers share one search:
each takes the next trial, a trial whose worker was killed is noticed by its missing heartbeat and tried again with the
same values, and the search is over when the wanted number of trials is complete. ``tune.json``, ``best.yaml`` and plots
are views of it.
"""

import dataclasses
import json
import os
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
import sqlalchemy
import yaml
from optuna.trial import FrozenTrial, TrialState

from bpfree.config import resolve
from bpfree.config.settings import Option, options
from bpfree.errors import Diverged, InputError, unknown
from bpfree.runs import provenance
from bpfree.runs.train import Plan, meter_for, plan
from bpfree.training.data import Data, Spec
from bpfree.training.device import pick_device
from bpfree.training.files import write_atomically
from bpfree.training.loop import Loop
from bpfree.training.owners import OptimSettings
from bpfree.training.random_streams import derive
from energy.labels import worst
from energy.readings import whole

if TYPE_CHECKING:
    from bpfree.training.trainer import Trainer

SCHEMA = "bpfree-tune/1"
SUMMARY, BEST, TRIALS, PLOTS = "tune.json", "best.yaml", "trials.db", "plots"
HEARTBEAT_S, GRACE_S = 10, 60
SPREAD = 10  # trials that fill the ranges before TPE learns from them
_TAKEN_OVER = ("Cannot tell a", "has already finished")  # Optuna's words for a trial that others gave up
_FIXED = "fixed_params"  # Optuna's mark of a trial that repeats another's values
DONE = (TrialState.COMPLETE, TrialState.PRUNED)
PRUNED, SUPERFLUOUS = "pruned: worse than the median of the trials before", "superfluous"
_COSTS = ("train_s", "wall_s", "data_passes", "energy_j")


def tune(
    algo: "str | type[Trainer]",
    data: Any = None,
    *,
    trials: int = 20,
    net: str | None = None,
    search: Sequence[str] | None = None,
    storage: str | None = None,
    name: str | None = None,
    out: str | os.PathLike[str] | None = None,
    prune: bool = True,
    meter: str = "auto",
    heartbeat_s: int = HEARTBEAT_S,
    grace_s: int = GRACE_S,
    say: Callable[[str], None] = lambda line: None,
    **settings: Any,
) -> dict[str, Any]:
    """Search until ``trials`` trials are complete, or go on with a search; returns the summary (``tune.json``).

    Args:
        algo, data, net, **settings: as for `bpfree.train`; what is given here is not searched.
        search: which settings to search; None: all that declare a range.
        storage: database URL; None: a file in ``out``.
        name: of the search within the storage, which workers share; None: the folder's name.
        out: folder of the summary; None: ``runs/tune-<algo>-<id>``.
        prune: give up a trial whose validation metric stays below the median of the earlier ones.
        heartbeat_s, grace_s: how often a worker gives a sign of life, and after how long without one it counts as dead.
        say: called with a line after each trial.

    Raises:
        InputError: a setting that cannot be searched, a storage that is not there, a search of that name with other
            settings.
    """
    if trials < 1:
        raise InputError(f"trials = {trials} is not valid: expected 1 or more")
    out = Path(out) if out else Path("runs") / f"tune-{_slug(algo)}-{uuid.uuid4().hex[:6]}"
    base = plan(algo, data, net, settings)
    space = _space(base, settings, search)
    loaded = _sealed(base.load_data())
    idle = [name for name in space if name in without_effect(base, loaded.spec)]
    if idle and (search is not None or len(idle) == len(space)):
        raise InputError(f"{idle[0]} has no effect to search for: {base.algo} solves for what it learns here")
    space = {name: option for name, option in space.items() if name not in idle}
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make {out}: {error.strerror}") from None
    url = storage or f"sqlite:///{out / TRIALS}"
    try:
        study = _open(url, name or out.name, base, loaded, space, prune, heartbeat_s, grace_s)
    except InputError:
        if made:
            out.rmdir()
        raise
    worker = _Worker(study, base, loaded, space, trials, meter, say)
    status = worker.go(heartbeat_s)
    return _summary(study, base, space, [*settings], trials, out, _shown(url), status)


def searchable(chosen: Any) -> list[str]:
    """Names of the settings of this instance that declare a range and have an effect with its other settings."""
    found = [option for option in options(type(chosen)) if option.search is not None]
    return [
        option.name
        for option in found
        if all(getattr(chosen, key, None) == value for key, value in option.search_if.items())
    ]


def without_effect(base: Plan, spec: Spec) -> set[str]:
    """Settings of optimizer and batches where nothing is stepped: the rule solves for what it learns."""
    trainer = base.build()
    trainer.build(spec)
    return set() if trainer.owners() else {"batch_size", *(field.name for field in dataclasses.fields(OptimSettings))}


def _space(base: Plan, given: Mapping[str, Any], wanted: Sequence[str] | None) -> dict[str, Option]:
    """Setting -> what is known of it, for all that are searched."""
    chosen = (base.rule_settings, base.net_settings, base.data_settings, base.loop_settings)
    known = {option.name: option for part in chosen for option in options(type(part))}
    able = [name for part in chosen for name in searchable(part)]
    for name in wanted or ():
        if name not in known:
            raise unknown("setting", name, known)
        if name not in able:
            raise InputError(f"{name} declares no range to search here: choose from {', '.join(able)}")
        if name in given:
            raise InputError(f"{name} is given as {given[name]} and cannot be searched as well: leave one out")
    names = [name for name in able if name not in given] if wanted is None else list(wanted)
    if not names:
        raise InputError(f"nothing to search: every setting with a range is given; leave out one of {', '.join(able)}")
    return {name: known[name] for name in names}


def _sealed(data: Data) -> Data:
    """The data without their test part: what is not there cannot be read."""
    return Data(data.spec, data.train, data.val, None)


def suggest(trial: optuna.Trial, option: Option) -> Any:
    """A value for one setting from its range: ``(low, high)``, ``(low, high, "log")``, or a list of choices."""
    assert option.search is not None
    if option.span is None:
        return trial.suggest_categorical(option.name, list(option.search))
    low, high, log = option.span
    if option.type.startswith("int"):
        return trial.suggest_int(option.name, int(low), int(high), log=log)
    return trial.suggest_float(option.name, low, high, log=log)


# The storage ----------------------------------------------------------------------------------------------------------


def _open(
    url: str,
    name: str,
    base: Plan,
    data: Data,
    space: Mapping[str, Option],
    prune: bool,
    heartbeat_s: int,
    grace_s: int,
) -> optuna.Study:
    """The search called ``name`` in the database, made unless it is there."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _quiet():
        try:
            storage = optuna.storages.RDBStorage(
                url,
                heartbeat_interval=heartbeat_s,
                grace_period=grace_s,
                heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
            )
            directions = optuna.study.StudyDirection
            direction = directions.MAXIMIZE if data.spec.maximize else directions.MINIMIZE
            pruner = optuna.pruners.MedianPruner() if prune else optuna.pruners.NopPruner()
            study = optuna.create_study(
                storage=storage, study_name=name, direction=direction, pruner=pruner, load_if_exists=True
            )
        except ImportError as error:
            raise InputError(
                f"the storage {_shown(url)} needs a driver that is not installed ({error}): for PostgreSQL, "
                f"pip install 'psycopg[binary]'"
            ) from None
        except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError, ValueError) as error:
            why = str(error.__cause__ or error).strip().splitlines()[0]
            raise InputError(f"cannot open the storage {_shown(url)}: {why}") from None
    values = {key: value for key, value in base.config.items() if key not in (*space, "data_dir")}
    ranges = {key: option.search for key, option in space.items()}
    same = provenance.sha256_of({"config": values, "data": data.spec.sha256, "space": ranges})
    before = study.user_attrs.get("definition_sha256")
    if before not in (None, same):
        raise InputError(f"the search {name!r} in {_shown(url)} was started with other settings: give another --name")
    study.set_user_attr("definition_sha256", same)
    return study


def _shown(url: str) -> str:
    """The URL without its password."""
    try:
        return sqlalchemy.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return url.partition("@")[2] or url


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's notes that heartbeats and their like are experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


# The worker -----------------------------------------------------------------------------------------------------------


class _Worker:
    """One process's part of a search."""

    def __init__(
        self,
        study: optuna.Study,
        base: Plan,
        data: Data,
        space: Mapping[str, Option],
        trials: int,
        meter: str,
        say: Callable[[str], None],
    ):
        self.study, self.base, self.data, self.space = study, base, data, space
        self.trials, self.meter, self.say = trials, meter, say
        self.stop_reason = ""

    def go(self, heartbeat_s: int) -> str:
        """Trial after trial until enough are complete; waits for those of other workers, and takes over the dead's."""
        waited = False
        while not self.stop_reason:
            states = [trial.state for trial in self.study.get_trials(deepcopy=False)]
            done, running = sum(state in DONE for state in states), states.count(TrialState.RUNNING)
            if done >= self.trials:
                return "finished"
            with _quiet():
                if done + running >= self.trials:
                    if not waited:
                        self.say(f"waiting for {running} trials of other workers, or for them to count as dead")
                    waited = True
                    time.sleep(heartbeat_s / 2)
                    optuna.storages.fail_stale_trials(self.study)
                    continue
                self.study.sampler = self._sampler(len(states), alone=not running)
                try:
                    self.study.optimize(self._trial, n_trials=1, catch=(_Stopped,))
                except (ValueError, optuna.exceptions.UpdateFinishedTrialError) as error:
                    if not any(words in str(error) for words in _TAKEN_OVER):
                        raise
                    self.say("a trial of this worker counted as dead, and was tried again")
        return "stopped"

    def _sampler(self, trial: int, alone: bool) -> optuna.samplers.BaseSampler:
        """Seeded, so that a search is repeatable; workers that meet draw apart."""
        own = self.base.loop_settings.seed
        seed = derive(own, self.study.study_name, trial, 0 if alone else os.getpid())
        return _Sampler(own, seed % 2**32)

    def _trial(self, trial: optuna.Trial) -> float:
        earlier = self.study.get_trials(deepcopy=False, states=(*DONE, TrialState.RUNNING))
        if sum(other.number < trial.number for other in earlier) >= self.trials:
            raise _Stopped(SUPERFLUOUS)  # two workers saw the same last place
        values = {name: suggest(trial, option) for name, option in self.space.items()}
        chosen = plan(self.base.cls, self.base.data, self.base.net, {**self._given(), **values})
        chosen = dataclasses.replace(chosen, algo=self.base.algo)
        same_data = chosen.data_settings == self.base.data_settings
        data = self.data if same_data else _sealed(chosen.load_data())
        began_s = time.perf_counter()
        with closing(meter_for(self.meter, pick_device(chosen.loop_settings.device), None, None)) as meter:
            options_ = dataclasses.asdict(chosen.loop_settings)
            watch = _Watch(trial)
            loop = Loop(chosen.build(), data, meter=meter, callbacks=[watch], **options_)
            try:
                loop.run()
            except Diverged as error:
                trial.set_user_attr("ended", str(error))
                raise optuna.TrialPruned(str(error)) from None
            finally:
                meter.close()
                self._account(trial, loop, time.perf_counter() - began_s, meter.readings())
        if loop.stop_reason == PRUNED:
            trial.set_user_attr("ended", PRUNED)
            raise optuna.TrialPruned(PRUNED)
        if loop.stop_reason:
            self.stop_reason = loop.stop_reason
            self.study.enqueue_trial(values)
            raise _Stopped(loop.stop_reason)
        assert loop.value is not None
        best = max((*self._values(), loop.value), key=lambda value: value if self.data.spec.maximize else -value)
        reached = f"{self.data.spec.metric} {loop.value:.4g} (best {best:.4g})"
        self.say(f"trial {trial.number}: {reached} with {_text(values)}")
        return loop.value

    def _values(self) -> list[float]:
        complete = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [trial.value for trial in complete if trial.value is not None]

    def _given(self) -> dict[str, Any]:
        config = self.base.config
        return {key: value for key, value in config.items() if key not in ("algo", "data", "net")}

    def _account(self, trial: optuna.Trial, loop: Loop, wall_s: float, readings: Mapping[str, Any]) -> None:
        """What the trial took, kept with it."""
        cost = {
            "train_s": loop.cursor.train_s,
            "wall_s": wall_s,
            "data_passes": loop.data_passes,
            **whole(readings.values()),
        }
        trial.set_user_attr("cost", cost)


class _Stopped(Exception):
    """This worker gives its trial up; it is not counted."""


class _Sampler(optuna.samplers.TPESampler):
    """TPE after `SPREAD` trials of a Latin hypercube: each setting takes a value in every tenth of its range, in an
    order that follows from ``seed`` and its name alone, whatever else is searched and by however many workers."""

    def __init__(self, seed: int, seed_of_tpe: int):
        super().__init__(seed=seed_of_tpe, constant_liar=True)
        self.seed = seed

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, name: str, distribution: Any) -> Any:
        fresh = [t for t in study.get_trials(deepcopy=False) if _FIXED not in t.system_attrs]
        number = sum(other.number < trial.number for other in fresh)
        if number >= SPREAD:
            return super().sample_independent(study, trial, name, distribution)
        draws = np.random.default_rng(derive(self.seed, "search", name))
        tenth, within = draws.permutation(SPREAD)[number], draws.random(SPREAD)[number]
        return _value((tenth + within) / SPREAD, distribution)


def _value(share: float, distribution: Any) -> Any:
    """The value that so large a share of a range lies below."""
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return distribution.choices[int(share * len(distribution.choices))]
    low, high = distribution.low, distribution.high
    half = 0.5 if isinstance(distribution, optuna.distributions.IntDistribution) else 0.0
    ends = np.array([low - half, high + half])
    weights = [1 - share, share]
    value = float(np.exp(np.log(ends) @ weights) if distribution.log else ends @ weights)
    return int(np.clip(round(value), low, high)) if half else float(np.clip(value, low, high))


class _Watch:
    """Tells Optuna the validation metric after every epoch, and stops a trial that is pruned."""

    def __init__(self, trial: optuna.Trial):
        self.trial = trial

    def on_epoch(self, loop: Loop) -> None:
        self.trial.report(loop.history[-1]["val"], loop.cursor.epochs)
        if self.trial.should_prune():
            loop.stop(PRUNED)


# What is left ---------------------------------------------------------------------------------------------------------


def _summary(
    study: optuna.Study,
    base: Plan,
    space: Mapping[str, Option],
    given: Sequence[str],
    wanted: int,
    out: Path,
    where: str,
    status: str,
) -> dict[str, Any]:
    """``tune.json``, ``best.yaml`` and the plots, from what the database holds."""
    found = study.get_trials(deepcopy=False)
    complete = [trial for trial in found if trial.state == TrialState.COMPLETE]
    best = study.best_trial if complete else None
    config = {**base.config, **best.params} if best else None
    summary = {
        "schema": SCHEMA,
        "name": study.study_name,
        "storage": where,
        "status": status,
        "trials": wanted,
        "algo": base.algo,
        "data": base.config["data"],
        "net": base.net,
        "given": {key: base.config[key] for key in ("data", "net", *given) if key != "seed"},
        "space": {name: list(option.search or ()) for name, option in space.items()},
        "best": {"number": best.number, "val": best.value, "params": best.params} if best else None,
        "config": config,
        "cost": _cost(found),
        "found": [_told(trial) for trial in found],
        "folder": str(out),
    }
    _write(out / SUMMARY, json.dumps(summary, indent=1) + "\n")
    if config is not None:
        _write(out / BEST, yaml.safe_dump(config, sort_keys=False))
    _plot(study, out / PLOTS, len(complete), len(space))
    return summary


def _cost(trials: Sequence[FrozenTrial]) -> dict[str, Any]:
    """All that the search took, given-up and pruned trials included; ``lost``: trials whose worker never reported."""
    known = [trial.user_attrs["cost"] for trial in trials if "cost" in trial.user_attrs]
    started = [trial for trial in trials if trial.state != TrialState.WAITING]
    total = {key: _sum([cost[key] for cost in known]) for key in _COSTS}
    return {
        "trials": sum(trial.state in DONE for trial in trials),
        **total,
        "method": worst(cost["method"] for cost in known),
        "pruned": sum(trial.state == TrialState.PRUNED for trial in trials),
        "lost": sum("cost" not in trial.user_attrs for trial in started if trial.state == TrialState.FAIL),
    }


def _sum(values: Sequence[float | None]) -> float | None:
    """None when one of them is not known."""
    return None if None in values else sum(value for value in values if value is not None)


def _told(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "val": trial.value,
        "params": trial.params,
        "cost": trial.user_attrs.get("cost"),
        "ended": trial.user_attrs.get("ended"),
        "retry_of": trial.system_attrs.get("failed_trial"),
    }


def _plot(study: optuna.Study, folder: Path, complete: int, searched: int) -> None:
    """History, slices and intermediate values; importances and the parallel view where there is enough to show."""
    if not complete:
        return
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as draw

    wanted: dict[str, Callable[[optuna.Study], Any]] = {
        "history": draw.plot_optimization_history,
        "slices": draw.plot_slice,
    }
    wanted["intermediate"] = draw.plot_intermediate_values
    if complete > 1 and searched > 1:
        wanted |= {"parallel": draw.plot_parallel_coordinate}
        if len({trial.value for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE}) > 1:
            wanted["importances"] = draw.plot_param_importances
    folder.mkdir(exist_ok=True)
    with _quiet():
        for name, plot in wanted.items():
            plot(study)
            pyplot.gcf().savefig(folder / f"{name}.svg", bbox_inches="tight")
            pyplot.close("all")


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode()))


def _text(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
    )


def _slug(algo: "str | type[Trainer]") -> str:
    if not isinstance(algo, str):
        return algo.__name__
    file = resolve.file_and_class(algo)
    return file[0].stem if file else algo
