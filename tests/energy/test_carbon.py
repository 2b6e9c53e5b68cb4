"""energy.carbon: CO2e by hand, and bad input."""

import json
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy import EnergyError
from energy.carbon import Intensity, co2e, intensity


@given(st.floats(0, 1e9), st.floats(0, 2000), st.floats(1, 3))
def test_kg_is_kwh_times_pue_times_intensity(energy_j, g_per_kwh, pue):
    found = co2e(energy_j, Intensity(g_per_kwh, "test"), pue)
    assert found["kg"] == pytest.approx(energy_j / 3.6e6 * pue * g_per_kwh / 1000)
    assert found["method"] == "derived"
    assert found["g_per_kwh"] == g_per_kwh
    assert found["source"] == "test"


def test_one_kwh_in_france_is_56_grams():
    """The notes' figure for FRA, with the year of its row."""
    at = intensity("FRA")
    assert co2e(3.6e6, at)["kg"] == pytest.approx(0.056, abs=1e-4)
    assert (at.country, at.year) == ("FRA", 2023)
    assert "CodeCarbon" in at.source


def test_codes_and_names_of_any_case_mean_the_same():
    assert intensity("fra") == intensity("France") == intensity(" FRA ")


def test_co2e_of_an_unknown_energy_is_unknown():
    assert co2e(None, intensity(475))["kg"] is None


def test_an_unknown_country_is_answered_in_one_line_with_near_names():
    with pytest.raises(EnergyError) as error:
        intensity("Germny")
    assert "DEU (Germany)" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_country_without_a_figure_is_unknown_rather_than_the_world_mean():
    table = json.loads(resources.files("codecarbon").joinpath("data/private_infra/global_energy_mix.json").read_text())
    without = [code for code, row in table.items() if row.get("carbon_intensity") is None]
    for code in without:
        with pytest.raises(EnergyError, match="no carbon intensity"):
            intensity(code)


@pytest.mark.parametrize("value", [-1, "nan", float("inf"), "-0.5"])
def test_an_impossible_intensity_is_refused(value):
    with pytest.raises(EnergyError, match="0 or more"):
        intensity(value)


def test_a_pue_below_one_is_refused():
    with pytest.raises(EnergyError, match=r"1 or more, not 0.9"):
        co2e(1.0, intensity(1), pue=0.9)
