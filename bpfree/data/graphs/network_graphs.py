"""``amazon``, ``github``: graphs that torch_geometric fetches: Amazon Photo, and GitHub's developers (MUSAE)."""

from typing import Any

from bpfree.data.graphs.reader import GraphReader, GraphSettings, RawGraph
from bpfree.data.locations import OFFLINE, downloads, offline
from bpfree.errors import InputError
from bpfree.graphs.graph import geometric

SETS = {"amazon": ("Amazon", "Photo"), "github": ("GitHub",)}
SOURCES = {
    "amazon": "Amazon Photo, O. Shchur et al., arXiv 1811.05868",
    "github": "GitHub developers, B. Rozemberczki, C. Allen and R. Sarkar, arXiv 1909.13021",
}


class NetworkGraph(GraphReader):
    """A graph that has to be fetched once."""

    def read(self, settings: GraphSettings) -> RawGraph:  # type: ignore[override]
        return fetched(self.name, SOURCES[self.name], *SETS[self.name])


def fetched(name: str, source: str, kind: str, *title: str) -> RawGraph:
    """The graph called ``title`` of torch_geometric's data set class ``kind``, fetched into the cache the first time.

    Raises:
        InputError: it is not there, and the network does not give it.
    """
    folder = downloads() / "torch_geometric" / kind
    make = getattr(geometric("torch_geometric.datasets"), kind)
    try:
        if offline() and not folder.exists():
            raise OSError(f"{OFFLINE} is set")
        found = make(str(folder), *title)[0]
    except Exception as error:  # network, disk or a file cut short: torch_geometric raises what it likes
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(
            f"data {name} is in no data folder and cannot be fetched ({reason}): set BPFREE_DATA_DIR to its folder"
        ) from None
    return raw_graph(name, source, found)


def raw_graph(name: str, source: str, found: Any) -> RawGraph:
    """What torch_geometric calls a ``Data``."""
    masks = tuple(found[key] for key in ("train_mask", "val_mask", "test_mask")) if "train_mask" in found else None
    return RawGraph(name, source, found.x, found.edge_index, found.y, masks)  # type: ignore[arg-type]
