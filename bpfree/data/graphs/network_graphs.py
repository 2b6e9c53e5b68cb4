"""Data ``amazon`` and ``github``: Amazon Photo and GitHub's developers (MUSAE), fetched by torch_geometric."""

from bpfree.data.graphs.graph_object import raw_graph
from bpfree.data.graphs.raw import GraphSettings, RawGraph
from bpfree.data.graphs.reader import GraphReader
from bpfree.data.locations import OFFLINE, downloads, offline
from bpfree.errors import InputError
from bpfree.graphs.graph import geometric

SETS = {"amazon": ("Amazon", "Photo"), "github": ("GitHub",)}
SOURCES = {
    "amazon": "Amazon Photo, O. Shchur et al., arXiv 1811.05868",
    "github": "GitHub developers, B. Rozemberczki, C. Allen and R. Sarkar, arXiv 1909.13021",
}


class NetworkGraph(GraphReader):
    """Reader of a graph that is fetched once."""

    def read(self, settings: GraphSettings) -> RawGraph:  # type: ignore[override]
        return fetch_graph(self.name, SOURCES[self.name], *SETS[self.name])


def fetch_graph(name: str, source: str, kind: str, *title: str) -> RawGraph:
    """Load a graph of torch_geometric, fetched into the cache the first time.

    Args:
        name: of the data.
        source: origin of the data, in words.
        kind: class of torch_geometric's data set.
        *title: its arguments: the name of the graph.

    Returns:
        The graph.

    Raises:
        InputError: it is not in the cache and cannot be fetched.
    """
    folder = downloads() / "torch_geometric" / kind
    make = getattr(geometric("torch_geometric.datasets"), kind)
    try:
        if offline() and not folder.exists():
            raise OSError(f"{OFFLINE} is set")
        graph = make(str(folder), *title)[0]
    except Exception as error:  # network, disk or a file cut short: torch_geometric can raise any error
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(
            f"data {name} is in no data folder and cannot be fetched ({reason}): set BPFREE_DATA_DIR to its folder"
        ) from None
    return raw_graph(name, source, graph)
