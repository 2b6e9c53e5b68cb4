"""Datasets and DataLoaders, whose labels, rows and values are those that are drawn, whatever they say of themselves."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from tests.inputs.arrays import NAMES, NUMBERS, N, X, refused
from tests.inputs.case import Case
from tests.inputs.content import SETTINGS, expected_rows, rows_of, through_train


class Items(Dataset):
    """Rows as a list holds them."""

    def __init__(self, items: list, **attributes: Any) -> None:
        self.items = items
        self.__dict__.update(attributes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> Any:
        return self.items[row]


class Columns:
    """Rows as dictionaries with declared classes, in the way of Hugging Face's datasets: no Dataset of torch's."""

    def __init__(self, columns: dict, names: list | None = None) -> None:
        self.columns = columns
        self.features = {key: type("Feature", (), {"names": names if key == "label" else None})() for key in columns}

    def __len__(self) -> int:
        return len(self.columns["label"])

    def __getitem__(self, row: int) -> dict:
        return {key: column[row] for key, column in self.columns.items()}


class Stream(IterableDataset):
    def __iter__(self) -> Iterator:
        return zip(torch.tensor(X), NUMBERS)


class Jitter(Items):
    """Rows with a random last value."""

    def __getitem__(self, row: int) -> Any:
        return torch.tensor([X[row][0], random.random()]), NUMBERS[row]


def pairs(labels: list) -> list:
    return [(torch.tensor(x), y) for x, y in zip(X, labels, strict=True)]


def taken(name: str, make: Callable[[], Any], x: Any, labels: list, classes: Any = None, **settings: Any) -> Case:
    """A Dataset, with the values and labels that a rule should get."""
    return Case(
        name,
        "Dataset",
        lambda folder: make(),
        lambda data: through_train(data, **settings),
        lambda made: {"classes": classes, "rows": expected_rows(x, labels)},
    )


def drawn(name: str, make: Callable[[], DataLoader], rows: list[int], labels: list | None = None) -> Case:
    """A DataLoader to train on beside a plain one, with the rows that it draws, and their number in the record."""

    def read(loader: DataLoader) -> dict:
        from bpfree.data import as_data
        from bpfree.runs.provenance import data as recorded

        plain = DataLoader(TensorDataset(torch.tensor(X), torch.tensor(NUMBERS)), 5)
        data = as_data((loader, plain))
        return {"rows": rows_of(data, "train"), "count": recorded(data)["rows"]["train"], "steps": data.train.steps(1)}

    def expected(loader: DataLoader) -> dict:
        texts = NUMBERS if labels is None else labels
        return {
            "rows": expected_rows([X[row] for row in rows], [texts[row] for row in rows]),
            "count": len(rows),
            "steps": sum(1 for _ in loader),
        }

    return Case(name, "DataLoader", lambda folder: make(), read, expected)


def notes(name: str, door: str, make: Callable[[], Any], words: str, **settings: Any) -> Case:
    """A line that must be told."""

    def read(data: Any) -> list[bool]:
        from bpfree.data import as_data

        split = {} if isinstance(data, tuple) and isinstance(data[0], DataLoader) else SETTINGS
        return [any(words in note for note in as_data(data, {**split, **settings}).notes)]

    return Case(f"told: {name}", door, lambda folder: make(), read, lambda made: [True])


def refused_loaders(name: str, make: Callable[[], Any], words: str) -> Case:
    """DataLoaders that are refused in one line with these words."""
    from bpfree.data import as_data

    return Case(f"refused: {name}", "DataLoader", lambda folder: make(), as_data, words)


def loader(dataset: Dataset, **options: Any) -> DataLoader:
    return DataLoader(dataset, **{"batch_size": 5, **options})


def pictures(mode: str) -> list:
    from PIL import Image

    return [
        (Image.fromarray(np.full((2, 3) if mode == "L" else (2, 3, 3), row * 20, np.uint8), mode), NUMBERS[row])
        for row in range(N)
    ]


def cases() -> list[Case]:
    tensors = TensorDataset(torch.tensor(X), torch.tensor(NUMBERS))
    wrong = [2 - c for c in NUMBERS]
    gray = [[[[row * 20 / 255] * 3] * 2] for row in range(N)]
    colour = [[[[row * 20 / 255] * 3] * 2] * 3 for row in range(N)]
    dicts = [{"label": y, "x": torch.tensor(x), "idx": k} for k, (x, y) in enumerate(zip(X, NUMBERS, strict=True))]
    triples = [(torch.tensor(x), {"place": k}, y) for k, (x, y) in enumerate(zip(X, NUMBERS, strict=True))]
    half, most = list(range(0, N, 2)), list(range(8, -1, -1))
    return [
        taken("a TensorDataset", lambda: tensors, X, NUMBERS),
        taken("stale targets", lambda: Items(pairs(NUMBERS), targets=wrong), X, NUMBERS),
        taken(
            "targets before a target_transform",
            lambda: Items(pairs(NUMBERS), targets=wrong, target_transform=1),
            X,
            NUMBERS,
        ),
        taken(
            "a Subset",
            lambda: Subset(Items(pairs(NUMBERS), targets=wrong), most),
            [X[k] for k in most],
            [NUMBERS[k] for k in most],
        ),
        taken("a ConcatDataset", lambda: ConcatDataset([Items(pairs(NUMBERS)), tensors]), [*X, *X], NUMBERS * 2),
        taken("a TensorDataset that relabels", lambda: Relabelled(torch.tensor(X), torch.tensor(NUMBERS)), X, wrong),
        taken("labels as names", lambda: Items(pairs(NAMES)), X, NAMES, ("ant", "cat", "dog")),
        taken("labels as floats", lambda: Items(pairs([float(c) for c in NUMBERS])), X, NUMBERS),
        taken(
            "labels as booleans",
            lambda: Items(pairs([c > 0 for c in NUMBERS])),
            X,
            [c > 0 for c in NUMBERS],
            ("False", "True"),
        ),
        taken("labels as one-hot rows", lambda: Items(pairs(list(torch.eye(3)[NUMBERS]))), X, NUMBERS),
        taken(
            "labels 1..C", lambda: Items(pairs([c + 1 for c in NUMBERS])), X, [c + 1 for c in NUMBERS], ("1", "2", "3")
        ),
        taken("examples as arrays", lambda: Items([(np.array(x), y) for x, y in zip(X, NUMBERS)]), X, NUMBERS),
        taken("examples as lists", lambda: Items(list(zip(X, NUMBERS))), X, NUMBERS),
        taken("gray pictures of Pillow", lambda: Items(pictures("L")), gray, NUMBERS),
        taken("colour pictures of Pillow", lambda: Items(pictures("RGB")), colour, NUMBERS),
        taken("rows as dictionaries", lambda: Items(dicts), X, NUMBERS),
        taken(
            "rows as dictionaries, fields named",
            lambda: Items([{"a": d["x"], "b": d["label"], "c": 0} for d in dicts]),
            X,
            NUMBERS,
            input_field="a",
            label_field="b",
        ),
        taken("triples, the label last", lambda: Items(triples), X, NUMBERS, label_field="2"),
        taken("named columns, no Dataset of torch's", lambda: Columns({"text": X, "label": NUMBERS}), X, NUMBERS),
        taken(
            "named columns with declared classes",
            lambda: Columns({"x": X, "label": NUMBERS}, ["dog", "ant", "cat"]),
            X,
            NAMES,
            ("dog", "ant", "cat"),
        ),
        Case(
            "a mapping of named columns, as a DatasetDict",
            "Dataset",
            lambda folder: {
                "train": Columns({"x": X, "label": NAMES}),
                "test": Columns({"x": X[:2], "label": NAMES[:2]}),
            },
            through_train,
            lambda made: {
                "classes": ("ant", "cat", "dog"),
                "rows": expected_rows(X, NAMES),
                "test": expected_rows(X[:2], NAMES[:2]),
            },
        ),
        Case(
            "train, val and test",
            "Dataset",
            lambda folder: (Items(pairs(NUMBERS)), Subset(tensors, [0, 1, 2]), Subset(tensors, [3, 4])),
            lambda data: parts(data),
            lambda made: [
                expected_rows(X, NUMBERS),
                expected_rows(X[:3], NUMBERS[:3]),
                expected_rows(X[3:5], NUMBERS[3:5]),
            ],
        ),
        Case(
            "random transforms, frozen",
            "Dataset",
            lambda folder: Jitter([0] * N),
            lambda data: two_epochs(data, freeze=True),
            lambda made: [True, True],
        ),
        Case(
            "random transforms: the fixed value stays, the random one moves",
            "Dataset",
            lambda folder: Jitter([0] * N),
            lambda data: two_epochs(data),
            lambda made: [True, False],
        ),
        drawn("a subset sampler", lambda: loader(tensors, sampler=SubsetRandomSampler(half)), half),
        drawn("drop_last", lambda: loader(tensors, drop_last=True), list(range(10))),
        drawn("a Subset", lambda: loader(Subset(tensors, half)), half),
        drawn("a shuffled loader", lambda: loader(tensors, shuffle=True), list(range(N))),
        drawn("batches of a sampler", lambda: DataLoader(tensors, batch_sampler=[[0, 1], [2, 3, 4]]), [0, 1, 2, 3, 4]),
        drawn(
            "a collate function that relabels",
            lambda: loader(Items(pairs(NUMBERS)), collate_fn=relabel),
            list(range(N)),
            wrong,
        ),
        drawn("stale targets", lambda: loader(Items(pairs(NUMBERS), targets=[7] * N)), list(range(N))),
        drawn("batches as dictionaries", lambda: loader(Items(dicts)), list(range(N))),
        notes(
            "rows that a loader leaves out",
            "DataLoader",
            lambda: (loader(tensors, drop_last=True), loader(tensors)),
            "training loader draws 10 rows a pass of a dataset of 12",
        ),
        notes(
            "random transforms", "Dataset", lambda: Jitter([0] * N), "gives a row anew at each read (random transforms)"
        ),
        notes(
            "validation through random transforms",
            "Dataset",
            lambda: Jitter([0] * N),
            "validation rows go through the random transforms too",
        ),
        notes(
            "test rows through random transforms",
            "Dataset",
            lambda: (tensors, Jitter([0] * N)),
            "test rows go through random transforms, each always alike",
        ),
        notes(
            "fields that are left out", "Dataset", lambda: Items(dicts), "its field x, its label label; left out: idx"
        ),
        notes(
            "pictures", "Dataset", lambda: Items(pictures("RGB")), "pictures of the dataset are read as bytes (3, 2, 3)"
        ),
        refused(
            "a triple without the place of its label", lambda: Items(triples), "dataset row 0 has 3 parts: say which"
        ),
        refused(
            "a dictionary without usual names",
            lambda: Items([{"a": 0, "b": 1, "c": 2}] * N),
            "has the fields a, b, c: say which",
        ),
        refused(
            "a picture of a palette", lambda: Items(palette()), "is a picture of mode P: convert it to L (gray) or RGB"
        ),
        refused("a stream", lambda: Stream(), "it is iterable only"),
        refused("labels that change", lambda: Changing([0] * N), "labels must be the same at each read"),
        refused(
            "a declared class that is missing",
            lambda: Columns({"x": X, "label": [-1, *NUMBERS[1:]]}, ["a", "b", "c"]),
            "declares 3 classes, and holds label -1",
        ),
        refused_loaders(
            "a test label that no other loader draws",
            lambda: (
                loader(tensors),
                loader(Items([(torch.tensor(x), 9) for x in X])),
                loader(Items([(torch.tensor(x), 5) for x in X])),
            ),
            "y of the test loader holds label 5, which no training row has",
        ),
        drawn(
            "a weighted sampler of one row",
            lambda: loader(tensors, sampler=WeightedRandomSampler([1.0] + [0.0] * 11, 3)),
            [0, 0, 0],
        ),
    ]


class Relabelled(TensorDataset):
    def __getitem__(self, row: int) -> Any:
        x, y = super().__getitem__(row)
        return x, 2 - y


class Changing(Items):
    def __getitem__(self, row: int) -> Any:
        return torch.tensor(X[row]), random.randrange(1000)


def relabel(items: list) -> tuple:
    return torch.stack([x for x, _ in items]), torch.tensor([2 - y for _, y in items])


def palette() -> list:
    from PIL import Image

    return [(Image.new("P", (2, 2)), c) for c in NUMBERS]


def parts(data: Any) -> list:
    from bpfree.data import as_data

    ready = as_data(data, {"normalize": "unit"})
    return [rows_of(ready, part) for part in ("train", "val", "test")]


def two_epochs(data: Any, **settings: Any) -> list[bool]:
    """Whether the first, fixed value and the second, random one are alike in two epochs."""
    from bpfree.data import as_data

    train = as_data(data, {**SETTINGS, **settings}).to("cpu", 1).train
    first, second = (
        torch.cat([batch.x for batch in train.batches(5, rng=torch.Generator().manual_seed(seed))]) for seed in (0, 1)
    )
    return [torch.equal(first[:, k], second[:, k]) for k in (0, 1)]
