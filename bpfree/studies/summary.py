"""The summary of a search: ``tune.json``, ``best.yaml`` and plots, views of what the storage holds."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from bpfree.config.settings import Option
from bpfree.runs.plan import Plan
from bpfree.studies.storage import no_experimental_warnings
from bpfree.studies.trials import DONE, SUPERFLUOUS
from bpfree.training.files import write_json, write_text
from energy.labels import worst

SCHEMA = "bpfree-tune/1"
SUMMARY, BEST, PLOTS = "tune.json", "best.yaml", "plots"
_COSTS = ("train_s", "wall_s", "data_passes", "energy_j")


def summarize(
    search: optuna.Study, base: Plan, space: Mapping[str, Option], fixed: Sequence[str], trials: int
) -> dict[str, Any]:
    """The result of a search and the cost of it.

    Args:
        search: Optuna's, in its storage.
        base: plan whose settings were searched.
        space: name -> declaration of each setting that was searched.
        fixed: names of the settings that the user gave.
        trials: wanted ones.

    Returns:
        ``tune.json`` but for ``storage``, ``status`` and ``folder``; ``best`` and ``config`` are None when no trial
        was complete.
    """
    made = search.get_trials(deepcopy=False)
    best = search.best_trial if any(trial.state == TrialState.COMPLETE for trial in made) else None
    return {
        "schema": SCHEMA,
        "name": search.study_name,
        "trials": trials,
        "algo": base.algo,
        "data": base.config["data"],
        "net": base.net,
        "given": {key: base.config[key] for key in ("data", "net", *fixed) if key != "seed"},
        "space": {name: list(option.search or ()) for name, option in space.items()},
        "best": {"number": best.number, "val": best.value, "params": best.params} if best else None,
        "config": {**base.config, **best.params} if best else None,
        "cost": _cost(made),
        "found": [_described(trial) for trial in made],
    }


def write_summary(summary: Mapping[str, Any], search: optuna.Study, folder: Path) -> None:
    """Write ``tune.json``, ``best.yaml`` and the plots of a search.

    Args:
        summary: content of ``tune.json``.
        search: Optuna's, from which the plots are drawn.
        folder: of the result; it exists.

    Raises:
        RunFailed: a file cannot be written.
    """
    write_json(summary, folder / SUMMARY, "summary")
    if summary["config"] is not None:
        write_text(yaml.safe_dump(summary["config"], sort_keys=False), folder / BEST, "best settings")
        _plot(search, folder / PLOTS, len(summary["space"]))


def _cost(trials: Sequence[FrozenTrial]) -> dict[str, Any]:
    """The cost of the whole search, given-up and pruned trials included; ``lost``: trials of workers that died."""
    costs = [trial.user_attrs["cost"] for trial in trials if "cost" in trial.user_attrs]
    failed = [trial.user_attrs for trial in trials if trial.state == TrialState.FAIL]
    return {
        "trials": sum(trial.state in DONE for trial in trials),
        **{key: _sum([cost[key] for cost in costs]) for key in _COSTS},
        "method": worst(cost["method"] for cost in costs),
        "pruned": sum(trial.state == TrialState.PRUNED for trial in trials),
        "lost": sum("cost" not in attrs and attrs.get("ended") != SUPERFLUOUS for attrs in failed),
    }


def _sum(values: Sequence[float | None]) -> float | None:
    """The sum; None when one of the values is not known."""
    return None if None in values else sum(value for value in values if value is not None)


def _described(trial: FrozenTrial) -> dict[str, Any]:
    """A trial as ``tune.json`` has it."""
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "val": trial.value,
        "params": trial.params,
        "cost": trial.user_attrs.get("cost"),
        "ended": trial.user_attrs.get("ended"),
        "retry_of": trial.system_attrs.get("failed_trial"),
    }


def _plot(search: optuna.Study, folder: Path, searched: int) -> None:
    """History, slices and intermediate values; importances and the parallel view where there is enough to show."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as draw

    complete = search.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    plots: dict[str, Callable[[optuna.Study], Any]] = {
        "history": draw.plot_optimization_history,
        "slices": draw.plot_slice,
        "intermediate": draw.plot_intermediate_values,
    }
    if len(complete) > 1 and searched > 1:
        plots["parallel"] = draw.plot_parallel_coordinate
        if len({trial.value for trial in complete}) > 1:
            plots["importances"] = draw.plot_param_importances
    folder.mkdir(exist_ok=True)
    with no_experimental_warnings():
        for name, plot in plots.items():
            plot(search)
            pyplot.gcf().savefig(folder / f"{name}.svg", bbox_inches="tight")
            pyplot.close("all")
