"""Epochs of a table: few rows make few steps an epoch, so a default number of epochs grows until there are enough."""

import dataclasses
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bpfree.training.data import Data

MIN_STEPS = 2000  # 8 epochs of 150 rows are 8 steps, in which no net begins to learn


def with_enough_steps(settings: Any, data: "Data", least: int) -> tuple[Any, "Data"]:
    """Raise the epochs of a phase on a table until they make enough steps; nothing else is changed.

    Args:
        settings: of the rule, with its default number of epochs.
        data: to train on.
        least: steps of a phase (`Trainer.min_steps`).

    Returns:
        Settings and data; where the number was raised, the data bear a note.
    """
    spec, rows = data.spec, len(data.train)
    if len(spec.shape) != 1 or spec.nodes:
        return settings, data
    epochs = ceil(least / data.train.steps(settings.batch_size))
    if epochs <= settings.epochs:
        return settings, data
    note = f"{epochs} epochs, not {settings.epochs}, make {least:,} steps on {rows} rows (--epochs: another number)"
    return dataclasses.replace(settings, epochs=epochs), dataclasses.replace(data, notes=(*data.notes, note))
