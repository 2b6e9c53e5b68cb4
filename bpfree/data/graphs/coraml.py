"""Data ``coraml``: CoraML, 2,995 papers on machine learning, 16,316 directed citations, 2,879 words, 7 classes."""

import dataclasses

from bpfree.data.graphs.cleaning import with_reverse
from bpfree.data.graphs.graph_file import read_graph
from bpfree.data.graphs.network_graphs import fetch_graph
from bpfree.data.graphs.raw import GraphSettings, RawGraph
from bpfree.data.graphs.reader import GraphReader
from bpfree.data.locations import roots

SOURCE = "CoraML, A. Bojchevski and S. Günnemann, arXiv 1707.03815"


class CoraMl(GraphReader):
    """Reader of CoraML as in arXiv 2403.11004: words are present or not, citations go both ways."""

    def read(self, settings: GraphSettings) -> RawGraph:  # type: ignore[override]
        for place in roots(settings):
            if (place / "cora_ml.npz").is_file():
                raw = read_graph(self.name, SOURCE, place / "cora_ml.npz")
                break
        else:
            raw = fetch_graph(self.name, SOURCE, "CitationFull", "Cora_ML")
        edges, notes = raw.edges, ["a word of a paper is present or not, whatever its weight"]
        if settings.edges != "directed":
            edges = with_reverse(edges, len(raw.x))
            notes.append("citations go both ways")
        names = None if raw.class_names is None else tuple(name.rsplit("/", 1)[-1] for name in raw.class_names)
        x = (raw.x > 0).float()
        return dataclasses.replace(
            raw, x=x, edges=edges, class_names=names, masks_first=False, notes=(*raw.notes, *notes)
        )
