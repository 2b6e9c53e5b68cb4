"""Choice of the source for each component: the best that a backend has here, and why there is no better one."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from energy.labels import METHODS, UNAVAILABLE, EnergyError
from energy.sources import codecarbon, nvml, rapl
from energy.sources.nvml_session import NoGpu
from energy.sources.source import Absent, Source

HOST = ("cpu", "ram")  # components that every machine has
BACKENDS = {
    "auto": "the best that there is for each component",
    "nvml": "NVIDIA GPUs, by their energy counter where they have one",
    "nvml-sampled": "NVIDIA GPUs, by their power sampled",
    "rapl": "CPU and memory, by the processor's energy counters",
    "codecarbon": "CPU and memory, estimated by codecarbon's model",
    "none": "no metering",
}


def find(
    backend: str = "auto",
    gpus: Sequence[int | str] | None = None,
    rapl_root: str | os.PathLike[str] = rapl.ROOT,
    nvml_module: Any = None,
    processes: Collection[int] = (),
) -> tuple[list[Source], dict[str, str]]:
    """Find the sources of a backend, one a component, and notes on GPUs that are not there.

    Args:
        backend: a key of `BACKENDS`.
        gpus: NVML indices or UUIDs; none: NVML is not asked; None: what CUDA_VISIBLE_DEVICES says, else all.
        rapl_root: the powercap folder.
        nvml_module: a double for the ``pynvml`` module in tests.
        processes: PIDs that train together with this one, which are no co-tenants of its GPUs.

    Raises:
        EnergyError: an unknown backend, a GPU named that is not there, or a backend named that can read nothing.
    """

    def gpu(sampled: bool = False) -> Iterator[Source]:
        if gpus is not None and not gpus:
            return
        try:
            yield from nvml.sources(gpus, nvml_module, sampled, processes)
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

    providers: dict[str, tuple[Callable[[], Iterator[Source]], ...]] = {
        "auto": (gpu, cpu, model),
        "nvml": (gpu,),
        "nvml-sampled": (power,),
        "rapl": (cpu,),
        "codecarbon": (model,),
        "none": (),
    }
    if backend not in BACKENDS:
        near = get_close_matches(backend, BACKENDS, 1, 0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise EnergyError(f"no energy backend {backend!r}: {hint}choose from {', '.join(BACKENDS)}")
    best: dict[str, Source] = {}
    notes: dict[str, str] = {}
    for provider in providers[backend]:
        for source in provider():
            _keep_better(best, source)
    if backend not in ("auto", "none") and all(isinstance(source, Absent) for source in best.values()):
        reasons = dict.fromkeys([*(source.reason for source in best.values()), *notes.values()])
        raise EnergyError(
            f"the energy backend {backend} can read nothing here: {'; '.join(reasons) or 'no GPU in use'}"
        )
    return complete(best.values(), why_not(backend)), notes


def why_not(backend: str) -> str:
    """Reason for which a backend does not read a component that it does not look for."""
    return "metering is off" if backend == "none" else f"{backend} does not read it"


def complete(sources: Iterable[Source], why: str) -> list[Source]:
    """The sources, with a null object for every component of `HOST` that none of them reads.

    Args:
        sources: one a component.
        why: reason why the others are not read.

    Raises:
        EnergyError: two sources for one component, or one without a label for its energy.
    """
    by_name: dict[str, Source] = {}
    for source in sources:
        if source.name in by_name:
            raise EnergyError(f"two sources read the component {source.name!r}: give one of them")
        if source.method not in METHODS or (source.method == UNAVAILABLE and not source.reason):
            labels = ", ".join(METHODS[:-1])
            raise EnergyError(f"the source of {source.name!r} has method {source.method!r}: choose from {labels}")
        by_name[source.name] = source
    return with_lacking(by_name.values(), dict.fromkeys(HOST, why))


def with_lacking(sources: Iterable[Source], reasons: Mapping[str, str]) -> list[Source]:
    """The sources, with a null object for every further component that none of them reads.

    Args:
        sources: one a component; ``gpu0`` reads a ``gpu``.
        reasons: component -> the reason why it has no value when it is not read.
    """
    sources = list(sources)
    read = {name for source in sources for name in (source.name.rstrip("0123456789"), *source.contains)}
    return [*sources, *(Absent(name, reason) for name, reason in reasons.items() if name not in read)]


def _keep_better(best: dict[str, Source], source: Source) -> None:
    """First come, first kept, but anything that reads beats what does not; the loser's reason is kept."""
    before = best.setdefault(source.name, source)
    if before is source:
        return
    if isinstance(before, Absent):
        source.refused += [*before.refused, before.reason]
        best[source.name] = source
