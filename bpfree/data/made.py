"""Data of the user's own: what a function or class in a file, or another package's, makes."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from bpfree.config.resolve import call
from bpfree.data.convert import as_data, as_raw
from bpfree.data.reader import Raw, Reader
from bpfree.data.settings import DataSettings, OwnSettings
from bpfree.errors import InputError
from bpfree.training.data import Data


class Made(Reader):
    """Reader of what a function returns: anything that `bpfree.data.as_data` takes.

    Args:
        name: as the user wrote it.
        make: the function, called without arguments each time that the data are needed.
    """

    Settings = OwnSettings

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        super().__init__(name)
        self.make = make

    def read(self, settings: DataSettings) -> Raw:
        return dataclasses.replace(as_raw(self._made(), settings), name=self.name, source=self._source)

    def load(self, settings: Mapping[str, Any] | DataSettings | None = None, seed: int = 0) -> Data:
        data = as_data(self._made(), self.resolve_settings(settings, seed), seed)
        return dataclasses.replace(data, spec=dataclasses.replace(data.spec, name=self.name, source=self._source))

    def _made(self) -> Any:
        made = call(self.make, f"data {self.name}")
        if made is None:
            raise InputError(f"data {self.name} returns nothing: it must return data, such as (x, y)")
        return made

    @property
    def _source(self) -> str:
        return f"made by {self.name}"


def reader_for(loaded: Any, name: str, where: str = "") -> Reader:
    """The reader for an object that `bpfree.data.DATA` loaded.

    Args:
        loaded: a `Reader` subclass, or a function or class that makes data.
        name: as the user wrote it.
        where: the part of the name after the colon of a plug-in's.
    """
    if not (inspect.isclass(loaded) and issubclass(loaded, Reader)):
        return Made(name, loaded)
    if bool(loaded.wants) != bool(where):
        takes = f"write {name}:{loaded.wants}" if loaded.wants else "it takes nothing after its name"
        raise InputError(f"data {name!r} is not complete: {takes}")
    return loaded(name, where)
