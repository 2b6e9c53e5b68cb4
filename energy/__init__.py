"""Energy of any code on this machine, never a number without its method.

    from energy import Meter
    with Meter() as meter, meter.window("fit"):
        fit()
    print(meter.readings()["fit"]["total_j"], meter.readings()["fit"]["method"])

Every component (each GPU, CPU, RAM) carries a label: ``measured:counter`` > ``measured:sampled`` > ``modelled`` >
``constant`` > ``unavailable``. Missing is None, never 0. CO2e is in ``energy.carbon``; ``python -m energy`` says what
can be measured here and why not. A meter of your own is a `Source`, whose ``read`` returns a `Point`.
"""

from energy.labels import METHODS, EnergyError, show, worst
from energy.meter import Meter
from energy.sources.source import Point, Source

__all__ = ["METHODS", "EnergyError", "Meter", "Point", "Source", "show", "worst"]
