"""Data ``csv:FILE``, ``parquet:FILE`` and ``svmlight:FILE``: tables from a file, and from a second one to test on.

pandas reads the first two (it knows the quoting, the number formats and the marks of missing values that people use),
scikit-learn the third.
"""

import importlib
import warnings
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bpfree.config.notes import tell
from bpfree.config.settings import setting, settings
from bpfree.data import locations
from bpfree.data.convert import as_raw
from bpfree.data.reader import Raw, Reader, from_arrays
from bpfree.data.settings import DataSettings, OwnSettings, TableSettings
from bpfree.data.tables.csv_text import Dialect, dialect, pandas_message
from bpfree.errors import InputError

_MOST_BYTES = 4 << 30  # of a sparse table that is made dense


@settings
class TableFileSettings(TableSettings):
    test: str | None = setting(None, "file with the test part, like the first one (none: no test part)")


@settings
class SvmlightSettings(DataSettings):
    test: str | None = setting(None, "file with the test part, like the first one (none: no test part)")


class TableFile(Reader):
    """Base class of readers of files with named columns."""

    Settings = TableFileSettings
    wants = "FILE"
    as_trained = ("target", "drop", "missing", "task")

    @abstractmethod
    def frame(self, path: Path) -> tuple[Any, list[str]]:
        """Read a file as a pandas DataFrame, with notes."""

    def read(self, settings: DataSettings) -> Raw:
        assert isinstance(settings, TableFileSettings)
        paths = _paths(self.where, settings)
        frames, notes = {}, []
        for part, path in paths.items():
            frames[part], more = self.frame(path)
            notes += more
        own = OwnSettings(task=settings.task, target=settings.target, drop=settings.drop, missing=settings.missing)
        raw = as_raw(frames, own)
        return replace(raw, name=self.name, source=f"file {paths['train']}", notes=(*notes, *raw.notes))


class Csv(TableFile):
    """Reader of text with a row a line, separated by commas, semicolons, tabs or bars."""

    def frame(self, path: Path) -> tuple[Any, list[str]]:
        pandas = _package("pandas", "tables", path)
        form = dialect(path)
        frame = self._parsed(pandas, path, form)
        if form.separator == ";" and any(_decimal_commas(frame.iloc[:, k]) for k in range(frame.shape[1])):
            form = replace(form, decimal=",")
            frame = self._parsed(pandas, path, form)
        if form.names:
            frame.columns = form.names
        return frame, [f"{path.name}: {line}" for line in form.notes]

    def _parsed(self, pandas: Any, path: Path, form: Dialect) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pandas.errors.ParserWarning)  # a line longer than the first one
                return pandas.read_csv(
                    path,
                    sep=form.separator,
                    decimal=form.decimal,
                    header=None if form.names else 0,
                    skiprows=form.skip,
                    index_col=False,
                    encoding="utf-8-sig",
                    low_memory=False,
                )
        except (ValueError, OSError, pandas.errors.ParserWarning) as error:
            raise InputError(f"{path} is no table: {pandas_message(error)}") from None


class Parquet(TableFile):
    """Reader of a Parquet file."""

    def frame(self, path: Path) -> tuple[Any, list[str]]:
        _package("pyarrow", "tables", path)
        try:
            return _package("pandas", "tables", path).read_parquet(path), []
        except (ValueError, OSError) as error:  # pyarrow's own errors derive from these
            raise InputError(f"{path} is no Parquet file: {str(error).splitlines()[0]}") from None


class Svmlight(Reader):
    """Reader of ``label index:value …`` lines, as LIBSVM's data sets have them."""

    Settings = SvmlightSettings
    wants = "FILE"
    as_trained = ("task",)

    def read(self, settings: DataSettings) -> Raw:
        assert isinstance(settings, SvmlightSettings)
        paths = _paths(self.where, settings)
        datasets = _package("sklearn.datasets", "tables", paths["train"])
        try:
            read = datasets.load_svmlight_files(list(map(str, paths.values())))
        except (ValueError, OSError) as error:
            raise InputError(f"{paths['train']} is no SVMlight file: {str(error).splitlines()[0]}") from None
        parts = []
        for x, y in zip(read[::2], read[1::2], strict=True):
            if x.shape[0] * x.shape[1] * 8 > _MOST_BYTES:
                raise InputError(f"{paths['train']} has {x.shape} values, more than {_MOST_BYTES >> 30} GiB when dense")
            parts += [x.toarray(), _whole(y)]
        raw = from_arrays(self.name, f"file {paths['train']}", *parts, task=settings.task)
        note = f"sparse rows {read[0].shape} are made dense: what a row does not name is 0"
        return replace(raw, notes=(note, *raw.notes))


def read_table(path: Path) -> Any:
    """Read a ``.csv`` or ``.parquet`` file as a pandas DataFrame.

    Raises:
        InputError: it is no table, or the package that reads it is not installed.
    """
    reader = Parquet if path.suffix == ".parquet" else Csv
    frame, notes = reader(str(path)).frame(path)
    for note in notes:
        tell(note)
    return frame


def _paths(where: str, settings: Any) -> dict[str, Path]:
    """Files of the training and of the test part, which exist."""
    paths = {"train": locations.named_path(settings, where)}
    if settings.test is not None:
        paths["test"] = locations.named_path(settings, settings.test)
    for path in paths.values():
        if not path.is_file():
            raise InputError(f"no such file: {path}")
    return paths


def _package(name: str, extra: str, path: Path) -> Any:
    """An optional package; InputError with the command that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(f'{path.name} needs {name.partition(".")[0]}: pip install "bpfree[{extra}]"') from None


def _decimal_commas(column: Any) -> bool:
    """True for a column of text in which every value is a number once its comma is a point."""
    texts = column.dropna()
    return (
        column.dtype != "float64"
        and len(texts) > 0
        and bool(
            texts.astype(str).str.fullmatch(r"[+-]?\d+,\d+").any()
            and texts.astype(str).str.fullmatch(r"[+-]?\d*(,\d+)?").all()
        )
    )


def _whole(y: np.ndarray) -> np.ndarray:
    """Labels as integers where all are whole: the format has no other way to write a class."""
    return y.astype(np.int64) if (y == np.floor(y)).all() else y
