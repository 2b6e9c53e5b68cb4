"""Settings: one declaration makes checks, help and search spaces."""

import dataclasses
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpfree.config.settings import as_dict, build, options, resolve, setting, settings
from bpfree.errors import InputError


@settings
class Oven:
    heat: float = setting(180.0, "how hot", unit="C", gt=0, le=300, search=(100.0, 250.0))
    mode: Literal["fan", "grill"] = setting("fan", "what heats", search=("fan", "grill"))
    racks: tuple[int, ...] = setting((1, 3), "racks in use")
    timer: int | None = setting(None, "minutes", unit="min", ge=1)
    light: bool = setting(True, "lamp on")


@settings
class Room:
    heat: float = setting(20.0, "room heat")
    doors: int = setting(1, "doors", ge=0)


def test_nothing_said_gives_the_defaults():
    assert as_dict(build(Oven, {})) == {"heat": 180.0, "mode": "fan", "racks": [1, 3], "timer": None, "light": True}


def test_text_is_read_as_a_command_line_gives_it():
    oven = build(Oven, {"heat": "200", "racks": "2,4", "timer": "none", "light": "false"})
    assert (oven.heat, oven.racks, oven.timer, oven.light) == (200.0, (2, 4), None, False)


@pytest.mark.parametrize("text", ["[2, 4]", "(2,4)", "2,4", "2, 4,"])
def test_a_list_may_be_written_with_or_without_brackets(text: str):
    assert build(Oven, {"racks": text}).racks == (2, 4)


@given(st.floats(min_value=1e-3, max_value=300), st.integers(1, 10**6), st.lists(st.integers(), max_size=5))
def test_what_is_saved_is_what_is_built_again(heat: float, timer: int, racks: list[int]):
    oven = build(Oven, {"heat": heat, "timer": timer, "racks": tuple(racks)})
    assert build(Oven, as_dict(oven)) == oven


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        build(Oven, {}).heat = 1.0


def test_what_is_no_number_is_told_what_would_be_one():
    with pytest.raises(InputError, match=r"heat = 'hot' is not valid: expected float > 0, <= 300 C \(how hot\)"):
        build(Oven, {"heat": "hot"})


@pytest.mark.parametrize("values", [{"heat": 0}, {"heat": 301}, {"heat": float("nan")}])
def test_a_number_out_of_range_says_the_range(values: dict):
    with pytest.raises(InputError, match=r"heat = .* is not valid: expected > 0, <= 300 C \(how hot\)"):
        build(Oven, values)


def test_a_wrong_choice_says_the_choices():
    with pytest.raises(InputError, match=r"mode = 'steam' is not valid: expected fan \| grill"):
        build(Oven, {"mode": "steam"})


def test_a_wrong_type_says_the_type():
    with pytest.raises(InputError, match="light = 'maybe' is not valid: expected bool"):
        build(Oven, {"light": "maybe"})


def test_an_unknown_setting_says_the_nearest():
    with pytest.raises(InputError, match="unknown setting 'hate': did you mean heat"):
        build(Oven, {"hate": 1})


def test_an_unknown_setting_that_is_near_nothing_says_all():
    with pytest.raises(InputError, match="choose from heat, light, mode, racks, timer"):
        build(Oven, {"qqqq": 1})


def test_values_are_shared_out_over_the_classes_that_know_them():
    oven, room = resolve([Oven, Room], {"light": False, "doors": 2})
    assert (oven.light, room.doors) == (False, 2)


def test_a_name_that_two_classes_know_goes_to_both():
    oven, room = resolve([Oven, Room], {"heat": 25.0})
    assert (oven.heat, room.heat) == (25.0, 25.0)


def test_a_rules_own_defaults_give_way_to_what_is_said():
    oven, room = resolve([Oven, Room], {"heat": 30.0}, prefer={"heat": 40.0, "doors": 5})
    assert (oven.heat, room.doors) == (30.0, 5)


def test_a_rules_own_default_for_an_absent_class_is_left_out():
    (room,) = resolve([Room], {}, prefer={"light": False})
    assert room.doors == 1


def test_an_option_is_all_that_help_needs():
    heat, mode, racks, timer, _ = options(Oven)
    assert (heat.flag, heat.type, heat.range, heat.unit, heat.help) == (
        "--heat",
        "float",
        "> 0, <= 300",
        "C",
        "how hot",
    )
    assert (mode.type, mode.range) == ("choice", "fan | grill")
    assert racks.type == "list of int"
    assert (timer.type, timer.range) == ("int or none", ">= 1")


def test_a_flag_has_dashes():
    from bpfree.training.trainer import RuleSettings

    assert {"--batch-size", "--weight-decay"} <= {option.flag for option in options(RuleSettings)}


def test_options_follow_the_order_of_declaration():
    assert [option.name for option in options(Oven)] == ["heat", "mode", "racks", "timer", "light"]
