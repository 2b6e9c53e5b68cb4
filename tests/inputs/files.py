"""Data and nets from ``FILE.py:function``, through the command line's doors and Python's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.inputs.arrays import NAMES, NUMBERS, X
from tests.inputs.case import Case
from tests.inputs.content import SETTINGS, content, expected_rows

HEAD = f"""
import numpy as np, torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
X, NUMBERS, NAMES = {X!r}, {NUMBERS!r}, {NAMES!r}
"""
SMALL = {"epochs": 1, "batch_size": 4, "meter": "none", "device": "cpu", "threads": 1}
ALL = {"classes": None, "rows": expected_rows(X, NUMBERS)}


def written(body: str, name: str = "load") -> Callable[[Path], str]:
    """A file with this code, and the name of the object in it that the door takes."""

    def make(folder: Path) -> str:
        (folder / "own.py").write_text(HEAD + body, encoding="utf-8")
        return f"{folder / 'own.py'}:{name}" if name else str(folder / "own.py")

    return make


def data(name: str, body: str, expected: Any, object_name: str = "load", **settings: Any) -> Case:
    """Data that a file makes."""

    def read(text: str) -> dict:
        from bpfree.data import load

        return content(load(text, settings or SETTINGS))

    return Case(
        name,
        "FILE.py",
        written(body, object_name),
        read,
        expected if isinstance(expected, str) else lambda made: expected,
    )


def net(name: str, body: str, expected: Any, object_name: str = "net", **values: Any) -> Case:
    """A net that a file makes: the numbers of its blocks' parameters after a training."""

    def read(text: str) -> list[int]:
        import bpfree

        out = Path(text).parent / "run"
        arrays = (X[:9], NUMBERS[:9], X[9:], NUMBERS[9:])
        bpfree.train("backprop", arrays, net=text, out=out, val_fraction=0.4, **SMALL, **values)
        return [sum(p.numel() for p in block.parameters()) for block in bpfree.load(out).trainer.blocks]

    return Case(
        name,
        "FILE.py",
        written(body, object_name),
        read,
        expected if isinstance(expected, str) else lambda made: expected,
    )


def cases() -> list[Case]:
    with_test = {**ALL, "test": expected_rows(X[:3], NUMBERS[:3])}
    return [
        data("data: a function with arrays", "def load(): return np.array(X), NUMBERS", ALL),
        data("data: a function with four arrays", "def load(): return X, NUMBERS, X[:3], NUMBERS[:3]", with_test),
        data(
            "data: a function with names of classes",
            "def load(): return X, NAMES",
            {"classes": ("ant", "cat", "dog"), "rows": expected_rows(X, NAMES)},
        ),
        data(
            "data: a function with a Dataset",
            "def load(): return TensorDataset(torch.tensor(X), torch.tensor(NUMBERS))",
            ALL,
        ),
        data(
            "data: a class with rows",
            "class Rows(Dataset):\n    def __len__(self): return len(X)\n"
            "    def __getitem__(self, row): return np.array(X[row]), NUMBERS[row]",
            ALL,
            "Rows",
        ),
        data(
            "data: a mapping of parts",
            "def load(): return {'train': (X, NUMBERS), 'test': (X[:3], NUMBERS[:3])}",
            with_test,
        ),
        data(
            "data: DataLoaders",
            "def load():\n    rows = TensorDataset(torch.tensor(X), torch.tensor(NUMBERS))\n"
            "    return DataLoader(rows, 5), DataLoader(rows, 5)",
            {"classes": None, "rows": expected_rows([*X, *X], NUMBERS * 2)},
            normalize="auto",
        ),
        data(
            "data: a Reader",
            "from bpfree.data.reader import Reader, from_arrays\nclass Mine(Reader):\n"
            "    def read(self, settings): return from_arrays(self.name, 'made up', np.array(X), NUMBERS)",
            ALL,
            "Mine",
        ),
        data(
            "data: a file with one Reader",
            "from bpfree.data.reader import Reader, from_arrays\nclass Mine(Reader):\n"
            "    def read(self, settings): return from_arrays(self.name, 'made up', np.array(X), NUMBERS)",
            ALL,
            "",
        ),
        data("refused: a function that returns nothing", "def load(): pass", "returns nothing: it must return data"),
        data(
            "refused: a function that fails",
            "def load(): return 1 / 0",
            "cannot be made: ZeroDivisionError: division by zero",
        ),
        data("refused: a function with arguments", "def load(folder): return X, NUMBERS", "cannot be made: TypeError"),
        data("refused: a file that does not import", "import no_such_module", "does not import: ModuleNotFoundError"),
        data("refused: no such function", "def loads(): return X, NUMBERS", "did you mean loads?"),
        data("refused: a value", "load = (X, NUMBERS)", "is not a Reader: subclass bpfree.data.reader.Reader or write"),
        data(
            "refused: a Reader without read",
            "from bpfree.data.reader import Reader\nclass Mine(Reader): pass",
            "is not complete: it must define read",
            "Mine",
        ),
        Case(
            "refused: no such file",
            "FILE.py",
            lambda folder: f"{folder / 'gone.py'}:load",
            describe,
            "does not exist: give FILE.py:function",
        ),
        Case(
            "data: described",
            "data",
            written("def load(): return X, NAMES, X[:2], NAMES[:2]"),
            describe,
            lambda made: {"rows": 12, "test": 2, "class_names": ["ant", "cat", "dog"]},
        ),
        net("net: a list of blocks", "def net(spec): return [nn.Linear(2, 4), nn.Linear(4, spec.classes)]", [12, 15]),
        net(
            "net: a Sequential",
            "def net(spec): return nn.Sequential(nn.Sequential(nn.Linear(2, 4), nn.ReLU()), nn.Linear(4, 3))",
            [12, 15],
        ),
        net(
            "net: with settings",
            "from bpfree.config.settings import setting, settings\n@settings\nclass Settings:\n"
            "    width: int = setting(4, 'width', ge=1)\n"
            "def net(spec, settings): return [nn.Linear(2, settings.width), nn.Linear(settings.width, 3)]",
            [18, 21],
            width=6,
        ),
        net("net: a file with build", "def build(spec, hidden_only): return [nn.Linear(2, 3)]", [9], ""),
        net("refused: one module", "def net(spec): return nn.Linear(2, 3)", "returns a Linear: it must return a list"),
        net("refused: an empty list", "def net(spec): return []", "it must return a list of modules"),
        net("refused: a net that fails", "def net(spec): raise KeyError('width')", "cannot be made: KeyError: 'width'"),
        net(
            "refused: settings that are not declared",
            "def net(spec, settings): return [nn.Linear(2, 3)]",
            "takes settings: declare them in its file",
        ),
        net(
            "refused: a setting that the net has not",
            "def net(spec): return [nn.Linear(2, 3)]",
            "unknown setting 'width'",
            width=3,
        ),
        net("refused: a file without build", "x = 1", "is no function: write FILE.py:function", ""),
    ]


def describe(text: str) -> dict:
    from bpfree.data import describe as described

    read = described(text, SETTINGS)
    rows = read["rows"]
    return {"rows": rows["train"] + rows["val"], "test": rows["test"], "class_names": read["class_names"]}
