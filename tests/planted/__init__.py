"""The planted faults, by what they are in."""

from planted import (
    comparisons,
    doors,
    feedback,
    graphs,
    images,
    layers,
    physical,
    pictures,
    reports,
    shared,
    spikes,
    studies,
    tables,
)
from planted.fault import Mutant

__all__ = ["MUTANTS", "Mutant"]

MUTANTS: dict[str, Mutant] = {
    name: mutant
    for room in (
        *(layers, feedback, images, pictures, physical, spikes, graphs, shared, doors, tables),
        *(comparisons, reports, studies),
    )
    for name, mutant in room.MUTANTS.items()
}
