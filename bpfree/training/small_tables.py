"""Tables: defaults that were made for pictures, fitted to few rows of few features where nobody says otherwise."""

import dataclasses
from collections.abc import Set
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bpfree.training.data import Data

MIN_STEPS = 2000  # 8 epochs of 150 rows are 8 steps, in which no net begins to learn
FEW_ROWS = 10_000  # of the training part: a net as wide as for 60,000 pictures costs time there and gains nothing


def fitted(settings: Any, net_settings: Any, data: "Data", least: int, open_: Set[str]) -> tuple[Any, Any, "Data"]:
    """Raise the epochs of a phase on a table until they make enough steps, and take the net's widths for few rows.

    Args:
        settings: of the rule.
        net_settings: of the net, whose ``on_few_rows`` holds other defaults for small tables; or None.
        data: to train on.
        least: steps of a phase (`Trainer.min_steps`).
        open_: names of settings that nobody has decided on; the others stay as they are.

    Returns:
        Settings of the rule and of the net, and the data with a note for each change.
    """
    spec, rows = data.spec, len(data.train)
    if len(spec.shape) != 1 or spec.nodes:
        return settings, net_settings, data
    notes = []
    epochs = ceil(least / data.train.steps(settings.batch_size))
    if "epochs" in open_ and epochs > settings.epochs:
        notes.append(f"{epochs} epochs, not {settings.epochs}, make {least:,} steps on {rows} rows")
        settings = dataclasses.replace(settings, epochs=epochs)
    if rows < FEW_ROWS:
        for name, value in getattr(net_settings, "on_few_rows", {}).items():
            if name in open_:
                before, after = (",".join(map(str, v)) for v in (getattr(net_settings, name), value))
                notes.append(f"{name} = {after}, not {before}, on a table of {rows} rows")
                net_settings = dataclasses.replace(net_settings, **{name: value})
    return settings, net_settings, dataclasses.replace(data, notes=(*data.notes, *notes))


def undecided(net_settings: Any, values: Set[str], preferred: Set[str]) -> Set[str]:
    """Names of the settings that `fitted` may change.

    Args:
        net_settings: of the net, or None.
        values: names that the user decided on.
        preferred: names that the rule decided on; its number of epochs is a least one.
    """
    return ({"epochs"} | getattr(net_settings, "on_few_rows", {}).keys() - preferred) - values
