"""The energy meter of a run: a backend of `energy.Meter`, or one's own.

    bpfree train --algo mono-forward --meter plug.py:Plug

A meter of one's own is a subclass of `energy.Source`, which reads one component, or a function that returns a list of
sources. Other packages offer theirs as entry points in the group ``bpfree.meters``. In ``plug.py``:

    from energy import Point, Source

    class Plug(Source):
        method = "measured:counter"
        source = "plug meter"
        boundary = "the whole machine at the wall"
        contains = ("cpu", "ram", "gpu")  # what is not to be counted apart
        tick_ms, highest_w = 1000.0, 400.0  # a new value every second, of at most 400 W: the bound of its error

        def __init__(self):
            super().__init__("wall")

        def read(self):
            return Point(joules_so_far())
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bpfree.config.resolve import Kind, call
from bpfree.config.user_files import absolute, file_and_object
from bpfree.errors import InputError
from bpfree.runs.hardware import Hardware, hardware
from energy import EnergyError, Meter, Source
from energy.sources.find import BACKENDS, why_not

if TYPE_CHECKING:
    import torch

METERS = Kind("meter", "bpfree.meters", base="energy:Source", functions="a list of them")


def make_meter(
    name: str,
    sync: Callable[[], object] | None = None,
    earlier: Mapping[str, Any] | None = None,
    used: Hardware | None = None,
) -> Meter:
    """The meter called ``name``.

    Args:
        name: a backend of `energy.Meter`, ``FILE.py:Class``, ``FILE.py:function``, or a plug-in.
        sync: called before every reading.
        earlier: readings of the run that this one resumes.
        used: hardware of the run, of which a backend reads the GPUs; None: no run, and all GPUs that are visible.

    Raises:
        InputError: a file that holds no meter, or a meter that cannot be made.
        EnergyError: an unknown backend, or one that can read nothing here.
    """
    used = used or Hardware(gpus=None)
    lacks = {component: why or why_not(name) for component, why in used.lacks.items()}
    if name in BACKENDS or not (file_and_object(name) or name in METERS.plugins()):
        return Meter(name, sync, earlier, gpus=used.gpus, lacks=lacks, processes=used.processes)
    loaded = METERS.load(name)
    sources = _sources(loaded, name)
    name = absolute(name)
    sha256 = METERS.source_hash(name, loaded)
    origin = {"file": name, "sha256": sha256} if sha256 else {"plugin": METERS.plugins()[name].value}
    return Meter(name, sync, earlier, sources=sources, origin=origin, lacks=lacks)


def meter_for(name: str, device: "torch.device", sync: Callable[[], object] | None, earlier: Any) -> Meter:
    """The meter of a run on ``device``: it counts the GPUs of the run's processes, all of them and no others.

    To be called by all processes of the run. What takes part in the run and is not read is a component without a value.

    Args:
        name: as for `make_meter`.
        device: on which this process computes.
        sync: called before every reading.
        earlier: readings of the run that this one resumes.

    Raises:
        InputError: as `make_meter` does.
        EnergyError: as `make_meter` does, except that ``auto`` goes without a GPU that cannot be read, and says why.
    """
    used = hardware(device)
    try:
        return make_meter(name, sync, earlier, used)
    except EnergyError as error:
        if name != "auto":
            raise
        without = replace(used, gpus=(), lacks={**used.lacks, "gpu": str(error)})
        return make_meter(name, sync, earlier, without)


def _sources(loaded: Callable[[], Any], name: str) -> list[Source]:
    """The sources that a class or function makes."""
    made = call(loaded, f"the meter {name}")
    sources = list(made) if isinstance(made, list | tuple) else [made]
    if not sources or not all(isinstance(source, Source) for source in sources):
        raise InputError(f"the meter {name} must give an energy.Source or a list of them, not {made!r}")
    return sources
