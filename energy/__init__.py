"""Energy of any code on this machine, never a number without its method.

    from energy import Meter
    with Meter() as meter, meter.window("fit"):
        fit()
    print(meter.readings()["fit"]["total_j"], meter.readings()["fit"]["method"])

Every component (each GPU, CPU, RAM) carries a label: ``measured:counter`` > ``measured:sampled`` > ``modelled`` >
``constant`` > ``unavailable``. Missing is None, never 0. The run record is in ``bpfree.runs.record``, CO2e in
``energy.carbon``; ``python -m energy`` says what can be measured here and why not.
"""

from energy.labels import METHODS, EnergyError, show, worst
from energy.meter import Meter
from energy.moved import ENERGY, Moved
from energy.sources.source import Point, Source

__all__ = ["METHODS", "EnergyError", "Meter", "Point", "Source", "show", "worst"]

Moved(ENERGY).install()
