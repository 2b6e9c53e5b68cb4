"""Tables: defaults that were made for pictures, fitted to few rows of few features where nobody says otherwise."""

import dataclasses
from collections.abc import Collection, Mapping
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bpfree.training.data import Data
    from bpfree.training.trainer import Trainer

MIN_STEPS = 2000  # 8 epochs of 150 rows are 8 steps, in which no net begins to learn
FEW_ROWS = 10_000  # of the training part: a net as wide as for 60,000 pictures costs time there and gains nothing
ON_FEW_ROWS = {
    "batch_size": 32,  # an epoch of one step costs as much time for its validation as for its step
    "keep": "last",  # of a few validation rows all may be right after some epochs, when the net has hardly begun
}


def fitted(
    settings: Any, net_settings: Any, data: "Data", least: int, open_: Mapping[str, Any]
) -> tuple[Any, Any, "Data"]:
    """Take the defaults for few rows, and raise the epochs of a phase on a table until they make enough steps.

    Args:
        settings: of the rule.
        net_settings: of the net, or None.
        data: to train on.
        least: steps of a phase (`Trainer.min_steps`).
        open_: settings that nobody has decided on, with their values on few rows (`undecided`); the others stay as they
            are.

    Returns:
        Settings of the rule and of the net, and the data with a note for each change.
    """
    spec, rows = data.spec, len(data.train)
    if len(spec.shape) != 1 or spec.nodes:
        return settings, net_settings, data
    notes = []
    few = {name: value for name, value in open_.items() if name != "epochs"} if rows < FEW_ROWS else {}
    if not spec.classes:  # R2 has no ties, and its best state is what holds a net that learns noise
        few.pop("keep", None)
    parts = [settings, net_settings]
    for k, part in enumerate(parts):
        changes = {name: value for name, value in few.items() if getattr(part, name, value) != value}
        for name, value in changes.items():
            notes.append(f"{name} = {_text(value)}, not {_text(getattr(part, name))}, on a table of {rows} rows")
        parts[k] = dataclasses.replace(part, **changes) if changes else part
    settings, net_settings = parts
    epochs = ceil(least / data.train.steps(settings.batch_size))
    if "epochs" in open_ and epochs > settings.epochs:
        notes.append(f"{epochs} epochs, not {settings.epochs}, make {least:,} steps on {rows} rows")
        settings = dataclasses.replace(settings, epochs=epochs)
    return settings, net_settings, dataclasses.replace(data, notes=(*data.notes, *notes))


def undecided(rule: "type[Trainer]", net_settings: Any, values: Collection[str]) -> dict[str, Any]:
    """Settings that `fitted` may change, with their values on few rows; ``epochs`` has none, it follows the steps.

    Args:
        rule: the rule: what it prefers is decided, but for its number of epochs, which is a least one, and for what its
            own ``on_few_rows`` says.
        net_settings: of the net, whose ``on_few_rows`` holds other defaults for small tables; or None.
        values: names that the user decided on; with a ``patience`` the best state is kept.
    """
    common = {**ON_FEW_ROWS, **getattr(net_settings, "on_few_rows", {})}
    few = {name: value for name, value in common.items() if name not in rule.prefer} | dict(rule.on_few_rows)
    decided = {*values, *(["keep"] if "patience" in values else [])}
    return {name: value for name, value in {"epochs": None, **few}.items() if name not in decided}


def _text(value: Any) -> str:
    """A value as it is typed."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
