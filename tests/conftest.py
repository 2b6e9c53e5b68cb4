"""Fixtures for every test: one thread, torch's global random state as it was, and doubles of the energy meters."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import hypothesis
import pytest
import torch
from energy_doubles import Tree

from energy.sources.source import Source

HERE = Path(__file__).parent
ROOT = HERE.parent

torch.set_num_threads(1)
hypothesis.settings.register_profile("any machine", deadline=None)  # a busy one takes its time
hypothesis.settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _global_random_state() -> Iterator[None]:
    """No test sees another one's random numbers."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        yield


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test on the real clock (mark ``real_time``) has three attempts: on a busy machine readings come late."""
    if pyfuncitem.get_closest_marker("real_time") is None:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    for more in (True, True, False):
        try:
            pyfuncitem.obj(**arguments)
            break
        except AssertionError:
            if not more:
                raise
    return True


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Source]]:
    """scripted(source, …): every Meter made after it reads just these sources."""

    def use(*sources: Source) -> list[Source]:
        monkeypatch.setattr("energy.meter.find", lambda *_: (list(sources), {}))
        return list(sources)

    return use


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def _build(folder: Path, *flags: str) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the fake NVML with")
    library = folder / "libnvidia-ml.so.1"
    command = [
        compiler,
        "-shared",
        "-fPIC",
        "-Wl,-soname,libnvidia-ml.so.1",
        *flags,
        "-o",
        library,
        HERE / "energy" / "fake_nvml.c",
    ]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture(scope="session")
def fake_nvml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """fake_nvml(arguments, old_driver=False, **knobs): run this Python on the fake library. Knobs: see fake_nvml.c."""
    new = _build(tmp_path_factory.mktemp("nvml"))
    old = _build(tmp_path_factory.mktemp("nvml-old"), "-DNO_ENERGY", "-DNO_V3")

    def run(arguments: Sequence[str], old_driver: bool = False, **knobs: object) -> subprocess.CompletedProcess[str]:
        environ = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
        environ |= {"LD_LIBRARY_PATH": str(old if old_driver else new), "PYTHONPATH": str(ROOT)}
        environ |= {
            key if key.startswith("CUDA") else f"FAKE_{key.upper()}": str(value) for key, value in knobs.items()
        }
        return subprocess.run(
            [sys.executable, *arguments], env=environ, capture_output=True, text=True, timeout=60, check=False
        )

    return run


@pytest.fixture(scope="session")
def metered(fake_nvml: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., dict]:
    """metered(body, backend="nvml", **knobs): run a script with ``meter`` on the fake; its readings and description."""

    def run(body: str, backend: str = "nvml", **knobs: object) -> dict:
        script = (
            "import json, time\nfrom energy import EnergyError, Meter\n"
            f"try:\n    meter = Meter({backend!r})\nexcept EnergyError as error:\n"
            "    raise SystemExit(print(json.dumps({'error': str(error)})))\n"
            f"{body}\nmeter.close()\n"
            "print(json.dumps({'readings': meter.readings(), 'describe': meter.describe()}))\n"
        )
        done = fake_nvml(["-c", script], **knobs)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
