"""A small study on real digits, run once in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import digits
from small_study import SMALL, InProcess

from bpfree.studies import compare


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name of an npz data set: 300 digits of 7x7 pixels to learn from, 120 to be tested on."""
    source = digits(300, 1, 120, pool=4)
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    train, test = source.train, source.test
    assert test is not None
    names = {"x_train": train.x, "y_train": train.y, "x_test": test.x, "y_test": test.y}
    np.savez(path, **{name: tensor.numpy() for name, tensor in names.items()})
    return f"npz:{path}"


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "Worker", InProcess)


@pytest.fixture
def run_study(in_process: None, data: str, tmp_path: Path) -> Callable[..., dict]:
    """run_study(algos, **changes): a study in ``tmp_path/study``, in this process."""

    def run(algos: str = "mono-forward", **changes: Any) -> dict:
        arguments = {"out": tmp_path / "study", "seeds": 2, "controls": [], **SMALL, **changes}
        return compare.compare(algos, arguments.pop("data", data), **arguments)

    return run


@pytest.fixture(scope="session")
def finished(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished study: Mono-Forward, its repeat, its twin; three seeds; do not change it, copy it."""
    out = tmp_path_factory.mktemp("finished") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "Worker", InProcess)
        compare.compare("mono-forward", data, out=out, seeds=3, controls=[], **SMALL)
    return out
