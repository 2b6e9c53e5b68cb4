"""Data: what can be trained on, by name, from the user's own file, or from arrays.

``SOURCES`` maps the name before the colon of ``--data`` to the class that reads it. A new kind of data is one file with
one `Reader` and one row here. Data of one's own are ``FILE.py:function``, where the function returns what `as_data`
takes, or ``FILE.py:Class`` with a `Reader` or a torch Dataset; other packages offer theirs as entry points in the group
``bpfree.data``. Nothing in this file imports torch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bpfree.config import user_files
from bpfree.config.resolve import Kind
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
    "csv": "bpfree.data.tables.files:Csv",
    "parquet": "bpfree.data.tables.files:Parquet",
    "svmlight": "bpfree.data.tables.files:Svmlight",
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
KINDS = {".npz": "npz", ".h5": "spikes", ".csv": "csv", ".parquet": "parquet"}  # of files, by their suffix

DATA = Kind(
    "data",
    "bpfree.data",
    SOURCES,
    base="bpfree.data.reader:Reader",
    functions="data, such as (x, y) or a torch Dataset",
    also="torch.utils.data:Dataset",
)


def reader_of(name: str) -> "Reader":
    """The reader for a data name such as ``mnist`` or ``npz:digits.npz``; its ``Settings`` say what can be set.

    Raises:
        InputError: a name that does not exist (nearest names), a path missing or given where none belongs.
    """
    if user_file(name):
        from bpfree.data.made import reader_for

        return reader_for(DATA.load(name), name)
    kind, colon, where = name.partition(":")
    if kind not in DATA.choices():
        if form := KINDS.get(Path(name).suffix) or ("folder" if Path(name).is_dir() else ""):
            raise InputError(f"unknown data {name!r}: write {form}:{name}")
        raise unknown("data", kind, DATA.choices())
    reader: type[Reader] = DATA.load(kind)
    if kind not in SOURCES:
        from bpfree.data.made import reader_for

        return reader_for(reader, name, where)
    if reader.wants and not where:
        raise InputError(f"data {kind!r} needs to know where: write {kind}:{reader.wants}")
    if colon and not reader.wants:
        raise InputError(f"data {kind!r} takes nothing after its name: write {kind}, not {name}")
    return reader(name, where)


def user_file(name: str) -> tuple[Path, str] | None:
    """File and object of a data name ``FILE.py:object``; None: another name."""
    return None if name.partition(":")[0] in SOURCES else user_files.file_and_object(name)


def absolute(name: str) -> str:
    """The data name that is right from any folder: the file in ``FILE.py:object`` gets its absolute path."""
    return user_files.absolute(name) if user_file(name) else name


def load(name: str, settings: "Mapping[str, Any] | DataSettings | None" = None, seed: int = 0) -> "Data":
    """Read, check, split and normalise the data called ``name``.

    Args:
        name: a key of `SOURCES`, ``npz:FILE`` and ``folder:DIR`` with the path; or ``FILE.py:function``.
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
