"""Data ``cora``, ``citeseer`` and ``pubmed``: the citation graphs of Planetoid, with their public splits.

Read from ``planetoid/NAME/raw/ind.*`` or ``planetoid.tar.xz`` in a data folder, else fetch_graph by torch_geometric.
The files are pickles: take them from a source that you trust.
"""

import tarfile
import tempfile
from pathlib import Path
from typing import Any

from bpfree.data.graphs.graph_object import raw_graph
from bpfree.data.graphs.network_graphs import fetch_graph
from bpfree.data.graphs.raw import GraphSettings, RawGraph
from bpfree.data.graphs.reader import GraphReader
from bpfree.data.locations import roots
from bpfree.errors import InputError
from bpfree.graphs.graph import geometric

TITLES = {"cora": "Cora", "citeseer": "CiteSeer", "pubmed": "PubMed"}
SOURCE = "Planetoid, Z. Yang, W. Cohen and R. Salakhutdinov, arXiv 1603.08861; LINQS research data"


class Planetoid(GraphReader):
    """Reader of papers, their words, citations and topics."""

    def read(self, settings: GraphSettings) -> RawGraph:  # type: ignore[override]
        title = TITLES[self.name]
        for place in roots(settings):
            for folder in (place / "planetoid" / title / "raw", place / title / "raw"):
                if (folder / f"ind.{self.name}.graph").is_file():
                    return self._from(folder)
            if (archive := place / "planetoid.tar.xz").is_file():
                return self._unpacked(archive, title)
        return fetch_graph(self.name, SOURCE, "Planetoid", title)

    def _unpacked(self, archive: Path, title: str) -> RawGraph:
        with tempfile.TemporaryDirectory() as folder:
            try:
                with tarfile.open(archive) as file:
                    members = [m for m in file.getmembers() if f"/{title}/raw/ind." in m.name]
                    file.extractall(folder, members, filter="data")
            except (tarfile.TarError, OSError, EOFError) as error:
                raise InputError(f"cannot read {archive}: {error}") from None
            return self._from(Path(folder) / "planetoid" / title / "raw")

    def _from(self, folder: Path) -> RawGraph:
        read = geometric("torch_geometric.io").read_planetoid_data
        try:
            graph: Any = read(str(folder), self.name)
        except Exception as error:  # a damaged pickle can raise any error
            raise InputError(
                f"{folder} is damaged ({type(error).__name__}): unpack or fetch {self.name} again"
            ) from None
        return raw_graph(self.name, SOURCE, graph)
