"""Data of the user's own: what a function or class in a file, or another package's, makes."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from bpfree.config.resolve import call
from bpfree.data.convert import as_data, as_raw
from bpfree.data.graphs.graph_object import graph_in_memory
from bpfree.data.graphs.raw import GraphSettings, RawGraph
from bpfree.data.graphs.reader import GraphReader
from bpfree.data.graphs.recognition import is_graph, is_ready_graph
from bpfree.data.reader import Raw, Reader
from bpfree.data.settings import DataSettings, OwnSettings
from bpfree.errors import InputError
from bpfree.training.data import Data


class Maker:
    """A function that makes data, and the kind of them, which is known once it was called.

    Args:
        name: as the user wrote it, for messages.
        function: called without arguments each time that the data are needed.
    """

    def __init__(self, name: str, function: Callable[[], Any]) -> None:
        self.name, self.function = name, function
        self.kept = self._call()
        self.graph, self.ready_graph = is_graph(self.kept), is_ready_graph(self.kept)

    def __call__(self) -> Any:
        """The data: those of the first call once, so that their kind costs nothing, then those of another one."""
        made, self.kept = self.kept, None
        return self._call() if made is None else made

    def _call(self) -> Any:
        made = call(self.function, f"data {self.name}")
        if made is None:
            raise InputError(f"data {self.name} returns nothing: it must return data, such as (x, y)")
        return made


_MAKERS: dict[Callable[[], Any], Maker] = {}  # by function: a configuration is planned more often than data are read


class Made(Reader):
    """Reader of what a function returns: anything that `bpfree.data.as_data` takes but a graph.

    Args:
        name: as the user wrote it.
        make: the function.
    """

    Settings = OwnSettings

    def __init__(self, name: str, make: Maker) -> None:
        super().__init__(name)
        self.make, self.source = make, f"made by {name}"
        self.net = GraphReader.net if make.ready_graph else Reader.net

    def read(self, settings: DataSettings) -> Raw:
        return dataclasses.replace(as_raw(self.make(), settings), name=self.name, source=self.source)

    def load(self, settings: Mapping[str, Any] | DataSettings | None = None, seed: int = 0) -> Data:
        data = as_data(self.make(), self.resolve_settings(settings, seed), seed)
        return dataclasses.replace(data, spec=dataclasses.replace(data.spec, name=self.name, source=self.source))


class MadeGraph(GraphReader):
    """Reader of the graph that a function returns.

    Args:
        name: as the user wrote it.
        make: the function.
    """

    def __init__(self, name: str, make: Maker) -> None:
        super().__init__(name)
        self.make = make

    def read(self, settings: GraphSettings) -> RawGraph:  # type: ignore[override]
        return graph_in_memory(self.name, f"made by {self.name}", self.make(), settings)


def is_maker(loaded: Any) -> bool:
    """True for an object of `bpfree.data.DATA` that makes data; False for a `Reader`, which reads them."""
    return not (inspect.isclass(loaded) and issubclass(loaded, Reader))


def reader_for(loaded: Any, name: str, where: str = "") -> Reader:
    """The reader for an object that `bpfree.data.DATA` loaded.

    Args:
        loaded: a `Reader` subclass, or a function or class that makes data.
        name: as the user wrote it.
        where: the part of the name after the colon of a plug-in's.
    """
    if is_maker(loaded):
        if loaded not in _MAKERS:
            _MAKERS[loaded] = Maker(name, loaded)
        make = _MAKERS[loaded]
        return MadeGraph(name, make) if make.graph else Made(name, make)
    if bool(loaded.wants) != bool(where):
        takes = f"write {name}:{loaded.wants}" if loaded.wants else "it takes nothing after its name"
        raise InputError(f"data {name!r} is not complete: {takes}")
    return loaded(name, where)
