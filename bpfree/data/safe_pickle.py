"""Safe reading of pickles: arrays of bytes, lists, numbers and strings, without running any code.

A pickle is a program: it names functions, and unpickling calls them. Here every name but the three that a numpy array
needs is an error, and those three are replaced by classes of this file that only store their arguments.
"""

import io
import pickle
import pickletools
from typing import Any

import numpy as np


class _Dtype:
    """Replacement of ``numpy.dtype`` that accepts bytes only."""

    def __init__(self, kind: Any, *_: Any) -> None:
        if kind not in ("u1", b"u1"):
            raise ValueError(f"an array of {kind!r}: expected bytes")

    def __setstate__(self, state: Any) -> None:
        """Ignore byte order and alignment, which bytes do not have."""


class _Array:
    """Replacement of ``numpy.ndarray``."""

    array: np.ndarray

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, _Dtype) or not isinstance(content, bytes | str):
            raise ValueError("an array without bytes")
        data = content.encode("latin-1") if isinstance(content, str) else content
        self.array = np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C")


def _reconstruct(kind: Any, *_: Any) -> _Array:
    """Replacement of the function by which numpy's pickles make arrays."""
    if kind is not _Array:
        raise ValueError("an array of another class")
    return _Array()


_NAMES = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}
_NESTED = 1000  # largest number of tuples: hashing tuples within tuples takes as much of Python's stack


class _Unpickler(pickle.Unpickler):
    """Unpickler that refuses every name but those of numpy arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise ValueError(f"a pickle that calls {module}.{name}: it is not run")
        return _NAMES[module, name]


def load(content: bytes) -> dict[str, Any]:
    """Read a pickled dictionary; arrays of bytes in it become numpy's.

    Raises:
        ValueError: a damaged pickle, or one that holds or calls anything else.
    """
    try:
        if sum(op.name.startswith(("TUPLE", "FROZENSET")) for op, _, _ in pickletools.genops(content)) > _NESTED:
            raise ValueError(f"more than {_NESTED:,} tuples")
        entries = _Unpickler(io.BytesIO(content), encoding="latin-1").load()
        if not isinstance(entries, dict):
            raise ValueError("not a dictionary")
        return {str(key): value.array if isinstance(value, _Array) else value for key, value in entries.items()}
    except Exception as error:  # a damaged pickle can raise any error; none of them comes from code in it
        raise ValueError(f"not a pickle of plain arrays ({error})") from None
