"""The values of data as a rule gets them, in an order that does not depend on the split."""

from typing import Any

import torch

from bpfree.data import as_data
from bpfree.rules.backprop import Backprop
from bpfree.training.data import Data

SETTINGS = {"val_fraction": 0.4, "normalize": "unit"}  # few rows, and floats as they are


def through_train(data: Any, **settings: Any) -> dict[str, Any]:
    """Rows of training and validation together, those of the test part, and the names of the classes."""
    return content(as_data(data, {**SETTINGS, **settings}))


def content(data: Data) -> dict[str, Any]:
    """The same of data that are ready."""
    read: dict[str, Any] = {"classes": data.spec.class_names, "rows": rows_of(data, "train", "val")}
    return read if data.test is None else {**read, "test": rows_of(data, "test")}


def rows_of(data: Data, *parts: str) -> list[list[Any]]:
    """The label as text and the values of every row of the parts, sorted."""
    names, rows = data.spec.class_names, []
    for part in parts:
        for batch in getattr(data, part).batches(5):
            for x, y in zip(batch.x, batch.y.tolist(), strict=True):
                rows.append([names[y] if names else str(y), *x.flatten().tolist()])
    return sorted(rows)


def expected_rows(x: Any, labels: Any) -> list[list[Any]]:
    """Rows in the form of `rows_of`, from nested lists and the texts of the labels."""
    return sorted([str(label), *_flat(row)] for row, label in zip(x, labels, strict=True))


def _flat(value: Any) -> list[float]:
    return [number for part in value for number in _flat(part)] if hasattr(value, "__len__") else [float(value)]


class Seen(Backprop):
    """Backpropagation that keeps the rows it is trained on."""

    def local_losses(self, batch):
        new = ([y, *x.flatten().tolist()] for x, y in zip(batch.x, batch.y.tolist(), strict=True))
        self.rows = [*getattr(self, "rows", []), *new]
        return super().local_losses(batch)


def through_fit(*arguments: Any, **options: Any) -> list[list[Any]]:
    """Class and values of every row of two features that a rule saw in one epoch of ``fit``, sorted."""
    trainer = Seen([torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 3))], epochs=1, batch_size=4)
    trainer.fit(*arguments, device="cpu", threads=1, **{**SETTINGS, **options})
    return sorted(trainer.rows)
