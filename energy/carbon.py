"""CO2e of an energy: always derived, with the intensity, its year and its source beside it.

    kg = kWh x PUE x g/kWh / 1000,   1 kWh = 3.6e6 J

Intensities come from the caller or from the table that CodeCarbon bundles (213 countries, each with its year).
Nothing is looked up online and nothing is guessed from a location.
"""

import json
import math
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib import resources
from typing import Any

from energy.labels import EnergyError

J_PER_KWH = 3.6e6
_TABLE = "data/private_infra/global_energy_mix.json"


@dataclass(frozen=True)
class Intensity:
    """Carbon intensity of electricity in g CO2e per kWh, with its source; ``year`` None: not stated."""

    g_per_kwh: float
    source: str
    year: int | None = None
    country: str | None = None


def intensity(where: str | float) -> Intensity:
    """Carbon intensity of a country, or an explicit one.

    Args:
        where: ISO code of three letters or name of a country, or a number of g CO2e per kWh.

    Raises:
        EnergyError: the number is negative or not finite, or the country is unknown; near names are listed.

    >>> intensity(56.0).g_per_kwh
    56.0
    """
    try:
        value = float(where)
    except ValueError:
        return _of_country(str(where))
    if not (math.isfinite(value) and value >= 0):
        raise EnergyError(f"a carbon intensity is a number of g CO2e per kWh, 0 or more, not {where}")
    return Intensity(value, "given by the user")


def co2e(energy_j: float | None, at: Intensity, pue: float = 1.0) -> dict[str, Any]:
    """CO2e of an energy, as JSON with everything it was derived from.

    Args:
        energy_j: energy in J; None: not known.
        at: carbon intensity of its electricity.
        pue: power usage effectiveness of the building, 1 or more.

    Returns:
        ``kg`` (None where the energy is not known), ``method``, ``energy_j``, ``pue`` and the fields of ``at``.

    Raises:
        EnergyError: ``pue`` is below 1 or not finite.

    >>> co2e(3.6e6, Intensity(400.0, "given by the user"), pue=1.5)["kg"]
    0.6
    """
    if not (math.isfinite(pue) and pue >= 1):
        raise EnergyError(f"PUE is facility power over computer power, 1 or more, not {pue}")
    kg = None if energy_j is None else energy_j / J_PER_KWH * pue * at.g_per_kwh / 1000
    return {"kg": kg, "method": "derived", "energy_j": energy_j, "pue": pue, **asdict(at)}


def _of_country(where: str) -> Intensity:
    try:
        table = json.loads(resources.files("codecarbon").joinpath(_TABLE).read_text(encoding="utf-8"))
    except (ImportError, OSError) as error:
        raise EnergyError("intensities by country need the package codecarbon: give a number of g/kWh") from error
    known = {code: row for code, row in table.items() if row.get("carbon_intensity") is not None}
    names = {key.casefold(): code for code, row in known.items() for key in (code, row["country_name"])}
    code = names.get(where.strip().casefold())
    if code is None:
        near = get_close_matches(where.strip().casefold(), names, 3, 0.5)
        codes = dict.fromkeys(names[key] for key in near)
        hint = " or ".join(f"{code} ({known[code]['country_name']})" for code in codes)
        raise EnergyError(
            f"no carbon intensity for {where!r}: "
            + (f"did you mean {hint}?" if hint else "give an ISO code of three letters (FRA, USA) or a number of g/kWh")
        )
    row = known[code]
    return Intensity(row["carbon_intensity"], "table bundled with CodeCarbon", row["year"], code)
