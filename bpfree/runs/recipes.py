"""Recipes: the exact configuration behind a stated number, and running it again.

A recipe is a flat configuration, as in ``config.yaml``, with a few words more:

    about: Mono-Forward, 2x1000 on MNIST, at its own convergence      # one line
    target: {test: 0.984}       # the mean over seeds must reach it; or by readout: {energy: 0.9855, softmax: 0.985}
    seeds: [0, 1, 2, 3, 4]
    algo: mono-forward
    hidden: [1000, 1000]
    ...

Recipes are the files ``examples/recipes/*.yaml`` of the checkout; an installed package has them in ``bpfree/recipes``.
"""

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bpfree.config import flags
from bpfree.config.resolve import PACKAGE
from bpfree.config.seeds import seed_list
from bpfree.errors import InputError, unknown

SUMMARY = "summary.json"


@dataclass(frozen=True)
class Recipe:
    """A recipe as it will be run.

    Attributes:
        name: of its file.
        about: one line.
        target: figure -> the least mean over the seeds that reaches it.
        seeds: of the runs.
        config: flat configuration, with the changes.
        changed: whether settings or seeds were altered, so that the target does not apply.
    """

    name: str
    about: str
    target: Mapping[str, float]
    seeds: Sequence[int]
    config: Mapping[str, Any]
    changed: bool


def folder() -> Path:
    """Folder of the recipes: beside the package in a checkout, inside it when installed."""
    checkout = PACKAGE.parent / "examples" / "recipes"
    return checkout if checkout.is_dir() else PACKAGE / "recipes"


def names() -> dict[str, str]:
    """Name -> its line about itself."""
    return {path.stem: str(flags.read_yaml(path).get("about", "")) for path in sorted(folder().glob("*.yaml"))}


def load(name: str, seeds: int | str | Sequence[int] | None = None, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe.

    Args:
        name: of a recipe (`names` lists them), or a YAML file.
        seeds: instead of the recipe's: how many, such as 5, or which: ``[0, 1]`` or ``"0,1"``.
        changes: settings to alter, for example to shorten it.

    Returns:
        The recipe, with seeds and settings as they will be run.

    Raises:
        InputError: no such recipe, or a file that is not one.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder() / f"{name}.yaml"
    if not path.is_file():
        raise InputError(f"{unknown('recipe', name, names())}; bpfree list says what each is about")
    config = flags.read_yaml(path)
    if "algos" in config:
        raise InputError(f"{path.stem} is a study of several arms: bpfree compare --config {name}")
    about, target, stated = (config.pop(key, None) for key in ("about", "target", "seeds"))
    if "algo" not in config or not isinstance(target or {}, dict):
        raise InputError(f"{path} is not a recipe: expected algo, settings, and target: {{test: 0.98}}")
    if "seed" in (changes or ()):
        raise InputError("a recipe runs over its own seeds: give --seeds 0,1 instead of seed")
    recipe_seeds = seed_list([0] if stated is None else stated)
    run_seeds = recipe_seeds if seeds is None else seed_list(seeds)
    changed = bool(changes) or run_seeds != recipe_seeds
    return Recipe(path.stem, str(about or ""), target or {}, run_seeds, {**config, **(changes or {})}, changed)


def study(name: str) -> dict[str, Any]:
    """Options and settings of a study, flat, from a YAML file or a recipe by name.

    Raises:
        InputError: no such file, or not a study.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder() / f"{name}.yaml"
    if not path.is_file():
        studies = [stem for stem in names() if "algos" in flags.read_yaml(folder() / f"{stem}.yaml")]
        raise unknown("study", name, studies)
    options = flags.read_yaml(path)
    if not isinstance(options.get("algos"), list | str):
        raise InputError(f"{path} is not a study: expected algos: [mono-forward, …], seeds, settings")
    options["question"] = str(options.pop("about", ""))
    return options


def reproduce(
    name: str,
    out: str | os.PathLike[str] | None = None,
    *,
    seeds: int | str | Sequence[int] | None = None,
    changes: Mapping[str, Any] | None = None,
    meter: str = "auto",
    callbacks: Sequence[Any] = (),
    command: str | None = None,
) -> dict[str, Any]:
    """Run a recipe for each of its seeds and compare the result with its target.

        summary = bpfree.reproduce("ff-mnist-3x1000")
        summary["verdict"], summary["figures"]["test"]["mean"]

    Args:
        name: of a recipe (`names` lists them), or a YAML file.
        out: folder of the runs; None: ``runs/reproduce/NAME``, or ``NAME-changed-HASH`` for a changed recipe.
        seeds: how many (0, 1, …), or which; None: the recipe's.
        changes: settings that replace the recipe's, whose target then does not count.
        meter: as for `bpfree.train`.
        callbacks: see `bpfree.training.callbacks.Callback`.
        command: command line, for the records.

    Returns:
        The summary that `run` writes to ``summary.json``.

    Raises:
        InputError: no such recipe, or a setting that does not exist.
    """
    return run(load(name, seeds, changes), out, meter=meter, callbacks=callbacks, command=command)


def run(
    recipe: Recipe,
    out: str | os.PathLike[str] | None = None,
    *,
    meter: str = "auto",
    callbacks: Sequence[Any] = (),
    command: str | None = None,
) -> dict[str, Any]:
    """Run every seed in a folder for itself, and sum up; a finished run is read, an unfinished one resumed.

    Args:
        recipe: as `load` reads it.
        out: folder of the runs; None: ``runs/reproduce/NAME``, or ``NAME-changed-HASH`` for a changed recipe.
        meter: as for `bpfree.train`.
        callbacks: see `bpfree.training.callbacks.Callback`.
        command: command line, for the records.

    Returns:
        The summary, also in ``out/summary.json``: ``figures`` maps ``test`` and every readout to mean, sd, n and
        values; ``verdict`` is ``reached``, ``missed``, ``changed`` (a shortened recipe), ``no target`` or ``stopped``.
    """
    from bpfree.runs.provenance import sha256_of
    from bpfree.runs.train import train
    from bpfree.training.files import write_json
    from bpfree.training.run_folder import CONFIG

    change = f"-changed-{sha256_of(recipe.config)[:6]}" if recipe.changed else ""  # no two changes share a folder
    out = Path(out) if out else Path("runs") / "reproduce" / (recipe.name + change)
    records = []
    for seed in recipe.seeds:
        path = out / f"s{seed}"
        values: dict[str, Any] = {"resume" if (path / CONFIG).exists() else "out": path, **recipe.config, "seed": seed}
        records.append(train(**values, meter=meter, callbacks=callbacks, command=command))
        if records[-1]["status"] == "stopped":
            break
    summary = summarise(recipe, records, out)
    write_json(summary, out / SUMMARY, "summary")
    return summary


def summarise(recipe: Recipe, records: Sequence[Mapping[str, Any]], out: Path) -> dict[str, Any]:
    """Mean, standard deviation (n - 1) and n of the finished runs, and whether they reach the target.

    Args:
        recipe: that was run.
        records: of its runs, by seed.
        out: folder of the runs.

    Returns:
        The summary; see `run`.
    """
    done = [record for record in records if record["status"] == "finished"]
    results = [record["result"] for record in done]
    readouts = results[0]["readouts"] if results else {}
    figures = {"test": _figures([result["test"] for result in results])}
    figures |= {name: _figures([result["readouts"][name] for result in results]) for name in readouts}
    return {
        "recipe": recipe.name,
        "about": recipe.about,
        "target": dict(recipe.target),
        "verdict": _verdict(recipe, records, figures),
        "metric": records[0]["result"]["metric"],
        "figures": figures,
        "epochs": [result["epochs"] for result in results],
        "train_s": statistics.fmean(record["time"]["train_s"] for record in done) if done else None,
        "seeds": [record["seed"] for record in done],
        "config": dict(recipe.config),
        "folder": str(out),
    }


def _figures(values: Sequence[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    return {
        "mean": statistics.fmean(known) if known else None,
        "sd": statistics.stdev(known) if len(known) > 1 else None,
        "n": len(known),
        "values": known,
    }


def _verdict(recipe: Recipe, records: Sequence[Mapping[str, Any]], figures: Mapping[str, Any]) -> str:
    if any(record["status"] == "stopped" for record in records):
        return "stopped"
    if recipe.changed or not recipe.target:
        return "changed" if recipe.changed else "no target"
    sign = 1 if records[0]["result"]["direction"] == "max" else -1
    for name, target in recipe.target.items():
        if name not in figures:
            raise unknown(f"figure in the target of {recipe.name}", name, figures)
        mean = figures[name]["mean"]
        if mean is None or sign * mean < sign * target:
            return "missed"
    return "reached"
