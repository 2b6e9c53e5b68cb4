"""Data: what can be trained on, by name or from the user's own arrays.

``SOURCES`` maps the name before the colon of ``--data`` to the class that reads it. A new kind of data is one file with
one `Reader` and one row here. Nothing in this file imports torch.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bpfree.errors import InputError, unknown

if TYPE_CHECKING:
    from bpfree.data.reader import Reader
    from bpfree.data.settings import DataSettings
    from bpfree.training.data import Data as Data
    from bpfree.training.data import Source as Source

SOURCES = {
    "mnist": "bpfree.data.images.mnist:Mnist",
    "fashion-mnist": "bpfree.data.images.fashion_mnist:FashionMnist",
    "kmnist": "bpfree.data.images.kmnist:Kmnist",
    "cifar10": "bpfree.data.images.cifar10:Cifar10",
    "cifar100": "bpfree.data.images.cifar100:Cifar100",
    "npz": "bpfree.data.npz:Npz",
    "folder": "bpfree.data.images.folder:Folder",
    "vowels": "bpfree.data.tables.vowels:Vowels",
    "peterson-barney": "bpfree.data.tables.vowels:PetersonBarney",
    **dict.fromkeys(("cora", "citeseer", "pubmed"), "bpfree.data.graphs.planetoid:Planetoid"),
    **dict.fromkeys(("amazon", "github"), "bpfree.data.graphs.network_graphs:NetworkGraph"),
    "coraml": "bpfree.data.graphs.coraml:CoraMl",
    "graph": "bpfree.data.graphs.graph_file:GraphFile",
    "fsdd": "bpfree.data.spikes.fsdd:Fsdd",
    **dict.fromkeys(("shd", "ssc"), "bpfree.data.spikes.heidelberg:Heidelberg"),
    "spikes": "bpfree.data.spikes.spike_file:SpikeFile",
}


def reader_of(name: str) -> "Reader":
    """The reader for a data name such as ``mnist`` or ``npz:digits.npz``; its ``Settings`` say what can be set.

    Raises:
        InputError: a name that does not exist (nearest names), a path missing or given where none belongs.
    """
    kind, colon, where = name.partition(":")
    if kind not in SOURCES:
        if form := {".npz": "npz", ".h5": "spikes"}.get(Path(name).suffix) or ("folder" if Path(name).is_dir() else ""):
            raise InputError(f"unknown data {name!r}: write {form}:{name}")
        raise unknown("data", kind, SOURCES)
    module, _, cls = SOURCES[kind].partition(":")
    reader: type[Reader] = getattr(importlib.import_module(module), cls)
    if reader.wants and not where:
        raise InputError(f"data {kind!r} needs to know where: write {kind}:{reader.wants}")
    if colon and not reader.wants:
        raise InputError(f"data {kind!r} takes nothing after its name: write {kind}, not {name}")
    return reader(name, where)


def load(name: str, settings: "Mapping[str, Any] | DataSettings | None" = None, seed: int = 0) -> "Data":
    """Read, check, split and normalise the data called ``name``.

    Args:
        name: a key of `SOURCES`; ``npz:FILE`` and ``folder:DIR`` with the path.
        settings: the reader's settings, or a mapping of some of them.
        seed: of the run; seeds the splits unless ``split_seed`` is set.

    Raises:
        InputError: anything wrong with the name, the settings or the data.
    """
    return reader_of(name).load(settings, seed)


def describe(name: str, settings: "Mapping[str, Any] | DataSettings | None" = None, seed: int = 0) -> dict[str, Any]:
    """Describe the data called ``name``: rows, shape, classes, counts, pixel statistics, hash, origin and licence.

    Args:
        name: as for `load`.
        settings: the reader's settings, or a mapping of some of them.
        seed: of the run; seeds the splits unless ``split_seed`` is set.
    """
    return reader_of(name).describe(settings, seed)


def picture(name: str, file: "Path", settings: "Mapping[str, Any] | DataSettings | None" = None, seed: int = 0) -> None:
    """Draw some of the data called ``name``.

    Args:
        name: as for `load`.
        file: where to, as PNG.
        settings: the reader's settings, or a mapping of some of them.
        seed: of the run; seeds the splits unless ``split_seed`` is set.

    Raises:
        InputError: there is no picture of such data.
    """
    reader_of(name).picture(file, settings, seed)


def as_data(data: Any, settings: "Mapping[str, Any] | DataSettings | None" = None, seed: int = 0) -> "Data":
    """Turn arrays, tensors, a Dataset or a DataLoader into a `Data`.

    Args:
        data: see `bpfree.data.convert` for all that is accepted.
        settings: of the splits and the normalisation, or a mapping of some of them.
        seed: of the run; seeds the splits unless ``split_seed`` is set.
    """
    from bpfree.data.convert import as_data as convert

    return convert(data, settings, seed)
