"""Two doors, one result: a data set is the same by name, as arrays, tensors, Datasets, DataLoaders, and from a file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small import loop_of, make, mnist, weights_hash
from spikes import spikes
from torch.utils.data import DataLoader, Dataset, Sampler, TensorDataset

import bpfree.data
from bpfree.data import as_data
from bpfree.runs.plan import default_net
from bpfree.training.data import Data
from bpfree.training.random_streams import Streams

SETTINGS = {"normalize": "unit"}
BATCH = 16
_images, _labels = mnist()
IMAGES, LABELS = _images[:150, None, 4:24:2, 4:24:2].contiguous().numpy(), (_labels[:150] % 3).numpy()


def npz(folder: Path) -> str:
    np.savez(
        folder / "mine.npz",
        x_train=IMAGES[:120, 0],
        y_train=LABELS[:120],
        x_test=IMAGES[120:, 0],
        y_test=LABELS[120:],
    )
    return f"npz:{folder / 'mine.npz'}"


def pictures(folder: Path) -> str:
    for part, rows in (("train", range(120)), ("test", range(120, 150))):
        for row in rows:
            place = folder / part / "abc"[LABELS[row]]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(IMAGES[row, 0]).save(place / f"{row:03}.png")
    return f"folder:{folder}"


SETS = {
    "npz": npz,
    "folder": pictures,
    "vowels": lambda folder: "vowels",
    "peterson-barney": lambda _: "peterson-barney",
}


class Rows(Dataset):
    """Rows of two arrays, with an attribute that is wrong."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y, self.targets = x, y, y[::-1]

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple:
        return self.x[row], int(self.y[row])


class AsTrained(Sampler):
    """The order in which a run of seed 0 trains: the first pass, which only counts, then epoch 0, 1, …"""

    def __init__(self, rows: int) -> None:
        self.rows, self.epoch = rows, -1

    def __len__(self) -> int:
        return self.rows

    def __iter__(self):
        stream = Streams(0, torch.device("cpu")).fresh("order", max(self.epoch, 0))
        self.epoch += 1
        return iter(torch.randperm(self.rows, generator=stream).tolist())


def weights(data: Data) -> str:
    """Hash of the weights after two epochs."""
    loop = loop_of(make("mono-forward", hidden=(6,), epochs=2, batch_size=BATCH, keep="last"), data)
    loop.run()
    return weights_hash(loop.trainer)


def parts(data: Data) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Raw rows and labels of every part of a set that was read by name."""
    sources = {name: getattr(data, name) for name in ("train", "val", "test")}
    return {
        name: (source.rows.gather(torch.arange(len(source))).numpy(), source.y.numpy())
        for name, source in sources.items()
    }


def doors(held: dict[str, tuple[np.ndarray, np.ndarray]], folder: Path) -> dict[str, object]:
    """What goes through every door but the name's."""
    (x, y), val, test = held["train"], held["val"], held["test"]
    np.savez(
        folder / "parts.npz", **{f"{part}_{k}": array for part, both in held.items() for k, array in zip("xy", both)}
    )
    (folder / "own.py").write_text(
        "import numpy as np\n"
        f"def load():\n    with np.load({str(folder / 'parts.npz')!r}) as held:\n"
        "        return {part: (held[part + '_x'], held[part + '_y']) for part in ('train', 'val', 'test')}\n",
        encoding="utf-8",
    )
    tensors = {part: tuple(map(torch.from_numpy, both)) for part, both in held.items()}
    columns = {
        part: [{"x": row, "label": c, "id": k} for k, (row, c) in enumerate(zip(*both))] for part, both in held.items()
    }
    return {
        "arrays": held,
        "tensors": tensors,
        "lists": {part: (rows, labels.tolist()) for part, (rows, labels) in held.items()},
        "names": {part: (rows, np.array(list("abcdefghijk"))[labels]) for part, (rows, labels) in held.items()},
        "TensorDatasets": tuple(TensorDataset(*tensors[part]) for part in ("train", "val", "test")),
        "Datasets": (Rows(x, y), Rows(*val), Rows(*test)),
        "rows as dictionaries": tuple(_Listed(columns[part]) for part in ("train", "val", "test")),
        "DataLoaders": (
            DataLoader(Rows(x, y), BATCH, sampler=AsTrained(len(x))),
            DataLoader(Rows(*val), BATCH),
            DataLoader(Rows(*test), BATCH),
        ),
        "FILE.py": f"{folder / 'own.py'}:load",
    }


class _Listed(Dataset):
    def __init__(self, rows: list) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict:
        return self.rows[row]


@pytest.mark.parametrize("name", SETS)
def test_every_door_gives_equal_weights(name, tmp_path):
    """Parts are those of the split by name, so that sets which hold out whole speakers can go through every door."""
    data = bpfree.data.load(SETS[name](tmp_path), SETTINGS)
    expected, held = weights(data), parts(data)
    for door, made in doors(held, tmp_path).items():
        settings = {} if door == "DataLoaders" else SETTINGS
        load = bpfree.data.load if isinstance(made, str) else as_data
        through = load(made, settings)
        assert weights(through) == expected, door
        assert through.spec.classes == data.spec.classes
        assert [len(getattr(through, part)) for part in held] == [len(both[1]) for both in held.values()]


@pytest.mark.parametrize("name", ["npz", "folder"])
def test_every_door_that_splits_gives_equal_weights_and_one_hash(name, tmp_path):
    text = SETS[name](tmp_path)
    raw = bpfree.data.reader_of(text).read(bpfree.data.reader_of(text).Settings())
    x, x_test = (rows.gather(torch.arange(len(rows))).numpy() for rows in (raw.x, raw.x_test))
    four = (x, raw.y.numpy(), x_test, raw.y_test.numpy())
    forms = {
        "four arrays": four,
        "pairs of arrays": (four[:2], four[2:]),
        "TensorDatasets": tuple(TensorDataset(*map(torch.from_numpy, pair)) for pair in (four[:2], four[2:])),
        "Datasets": (Rows(*four[:2]), Rows(*four[2:])),
    }
    by_name = bpfree.data.load(text, SETTINGS)
    expected = weights(by_name)
    hashes = set()
    for form, made in forms.items():
        through = as_data(made, SETTINGS)
        hashes.add(through.spec.sha256)
        assert weights(through) == expected, form
    assert len(hashes) == 1
    if name == "npz":
        assert hashes == {by_name.spec.sha256}


def test_a_graph_and_spikes_are_the_same_from_a_file(tmp_path):
    """Data that are ready go through every door that takes them as they are."""
    pytest.importorskip("torch_geometric")
    n = 30
    ring = np.stack([np.arange(n), (np.arange(n) + 1) % n], 1)
    edges = np.concatenate([ring, ring[:, ::-1]])
    edges = edges[np.lexsort((edges[:, 1], edges[:, 0]))]
    np.savez(
        tmp_path / "g.npz",
        **{
            "adj_matrix.indptr": np.arange(0, 2 * n + 1, 2),
            "adj_matrix.indices": edges[:, 1],
            "adj_matrix.shape": np.array([n, n]),
            "attr_matrix": np.random.default_rng(0).random((n, 5)),
            "labels": np.arange(n) % 3,
            **{f"{part}_mask": np.arange(n) // 10 == k for k, part in enumerate(("train", "val", "test"))},
        },
    )
    (tmp_path / "own.py").write_text(
        "import bpfree.data\n"
        f"def graph(): return bpfree.data.load('graph:{tmp_path / 'g.npz'}', {{'split': 'public'}})\n"
        "from spikes import spikes\ndef counts(): return spikes(60).data\n",
        encoding="utf-8",
    )
    by_name = bpfree.data.load(f"graph:{tmp_path / 'g.npz'}", {"split": "public"})
    for door, data in (("graph", by_name), ("counts", spikes(60).data)):
        algo = {"graph": {"net": "gnn", "epochs": 2}, "counts": {"epochs": 2}}[door]
        hashes = []
        for through in (data, as_data(data), bpfree.data.load(f"{tmp_path / 'own.py'}:{door}")):
            loop = loop_of(make("backprop", hidden=(4,), **algo), through)
            loop.run()
            hashes.append(weights_hash(loop.trainer))
        assert len(set(hashes)) == 1
    for graph in (by_name, f"{tmp_path / 'own.py'}:graph"):
        assert default_net("backprop", graph) == "gnn"
