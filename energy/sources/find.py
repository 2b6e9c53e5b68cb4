"""Which source reads each component here: for every one the best that a backend has, and why not a better one."""

import os
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from energy.labels import EnergyError
from energy.sources import codecarbon, nvml, rapl
from energy.sources.nvml_session import NoGpu
from energy.sources.source import Absent, Source

HOST = ("cpu", "ram")  # components that every machine has


def find(
    backend: str = "auto",
    gpus: Sequence[int | str] | None = None,
    rapl_root: str | os.PathLike[str] = rapl.ROOT,
    nvml_module: Any = None,
) -> tuple[list[Source], dict[str, str]]:
    """The sources of a backend, one a component, and notes on GPUs that are not there.

    Args: see ``energy.Meter``. Raises EnergyError for an unknown backend, for GPUs asked for by name that are not
    there, and when a backend asked for by name can read nothing.
    """

    def gpu(sampled: bool = False) -> Iterator[Source]:
        try:
            yield from nvml.sources(gpus, nvml_module, sampled)
        except EnergyError as error:
            if gpus is not None:
                raise
            notes["gpu"] = str(error)
            if not isinstance(error, NoGpu):
                yield Absent("gpu", str(error))

    def cpu() -> Iterator[Source]:
        yield from rapl.sources(os.fspath(rapl_root))

    def model() -> Iterator[Source]:
        if any(name not in best or isinstance(best[name], Absent) for name in HOST):
            yield from codecarbon.sources()

    def power() -> Iterator[Source]:
        return gpu(sampled=True)

    backends: dict[str, tuple[Callable[[], Iterator[Source]], ...]] = {
        "auto": (gpu, cpu, model),
        "nvml": (gpu,),
        "nvml-sampled": (power,),
        "rapl": (cpu,),
        "codecarbon": (model,),
        "none": (),
    }
    if backend not in backends:
        near = get_close_matches(backend, backends, 1, 0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise EnergyError(f"no energy backend {backend!r}: {hint}choose from {', '.join(backends)}")
    best: dict[str, Source] = {}
    notes: dict[str, str] = {}
    for provider in backends[backend]:
        for source in provider():
            _keep_better(best, source)
    if backend not in ("auto", "none") and all(isinstance(source, Absent) for source in best.values()):
        reasons = dict.fromkeys([*(source.reason for source in best.values()), *notes.values()])
        raise EnergyError(
            f"the energy backend {backend} can read nothing here: {'; '.join(reasons) or 'no GPU in use'}"
        )
    why = "metering is off" if backend == "none" else f"the backend {backend} does not read it"
    for name in HOST:
        best.setdefault(name, Absent(name, why))
    return list(best.values()), notes


def _keep_better(best: dict[str, Source], source: Source) -> None:
    """First come, first kept, but anything that reads beats what does not; the loser's reason is kept."""
    before = best.setdefault(source.name, source)
    if before is source:
        return
    if isinstance(before, Absent):
        source.refused += [*before.refused, before.reason]
        best[source.name] = source
