"""energy.sources.rapl on a tree in a temporary folder (notes §9). Every zone moves by a known number of joules."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from energy_doubles import SimulatedTime, Tree

from energy import EnergyError, Meter
from energy.sources import rapl
from energy.sources.rapl_zone import Zone


@pytest.fixture
def clock(monkeypatch) -> SimulatedTime:
    return SimulatedTime(monkeypatch)


@pytest.fixture
def metered(clock) -> Callable[..., dict]:
    """metered(tree, move, seconds): components of a window of so many seconds in which ``move`` happens."""

    def run(tree: Tree, move: Callable[[], object], seconds: float = 0.1) -> dict:
        with Meter("rapl", rapl_root=tree.root) as meter:
            meter.enter("train")
            move()
            clock.pass_by(seconds)
        return meter.readings()["train"]["components"]

    return run


def test_psys_core_and_uncore_are_never_added(tree, metered):
    """Package, core, dram and psys +10 J each: 10 J of CPU, 10 J of RAM."""
    for key, name in (("0", "package-0"), ("0:0", "core"), ("0:1", "dram"), ("0:2", "uncore"), ("1", "psys")):
        tree.zone(key, name)
    found = metered(tree, lambda: [tree.add(key, 10) for key in ("0", "0:0", "0:1", "0:2", "1")])
    assert (found["cpu"]["energy_j"], found["ram"]["energy_j"]) == (10.0, 10.0)
    assert found["cpu"]["method"] == found["ram"]["method"] == "measured:counter"


def test_two_packages_add_up(tree, metered):
    tree.zone("0", "package-0", 5_000_000)
    tree.zone("1", "package-1", 70_000_000)
    found = metered(tree, lambda: (tree.add("0", 10), tree.add("1", 4)))
    assert found["cpu"]["energy_j"] == 14.0


def test_mirrored_packages_count_once(tree, metered):
    """Equal values that move together are one counter."""
    tree.zone("0", "package-0")
    tree.zone("1", "package-1")
    found = metered(tree, lambda: (tree.add("0", 10), tree.add("1", 10)))
    assert found["cpu"]["energy_j"] == 10.0


def test_mirrors_count_once_though_they_show_it_at_different_ticks(tree, metered):
    """One die lags by 0.3 J, what a package draws in a few milliseconds."""
    tree.zone("0", "package-0", 5_000_000)
    tree.zone("1", "package-1", 4_700_000)
    assert metered(tree, lambda: (tree.add("0", 10), tree.add("1", 10)))["cpu"]["energy_j"] == 10.0


def test_packages_that_only_start_equal_void_what_they_part_in(tree, clock):
    """Whether the 10 J of before were one package's or two's is never decided afterwards."""
    tree.zone("0", "package-0", 0)
    tree.zone("1", "package-1", 0)
    with Meter("rapl", rapl_root=tree.root) as meter:
        for number, joules in enumerate(((10, 10), (10, 4), (10, 10))):
            meter.enter(f"{number}")
            clock.pass_by(0.1)
            tree.add("0", joules[0])
            tree.add("1", joules[1])
    parts = [reading["components"]["cpu"] for reading in meter.readings().values()]
    assert [part["energy_j"] for part in parts] == [10.0, None, None]
    assert parts[1]["reason"] == parts[2]["reason"] == "intel-rapl:0 and intel-rapl:1 no longer show one counter"


def scripted_zone(monkeypatch, key: str, values_uj: list[int]) -> None:
    """The zone ``key`` shows these values one after the other, the last one for ever."""
    plain, left = Zone.raw, list(values_uj)

    def raw(zone: Zone) -> int:
        if zone.folder.name != f"intel-rapl:{key}":
            return plain(zone)
        return left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(Zone, "raw", raw)


def test_a_mirror_that_agrees_only_most_of_the_time_is_one(tree, metered, monkeypatch):
    """Two of nine reads at the start, and one of those in the window, show it 40 J too low."""
    tree.zone("0", "package-0", 100_000_000)
    tree.zone("1", "package-1", 100_000_000)
    right, low = 100_000_000, 60_000_000
    start = [right, right, low, right, right, low, right, right, right, right]  # the zone itself is made with the first
    scripted_zone(monkeypatch, "1", [*start, right, low, 110_000_000])
    assert metered(tree, lambda: tree.add("0", 10))["cpu"]["energy_j"] == 10.0


def test_zones_that_agree_now_and_then_are_in_doubt(tree, monkeypatch, clock):
    tree.zone("0", "package-0", 100_000_000)
    tree.zone("1", "package-1", 100_000_000)
    scripted_zone(monkeypatch, "1", [100_000_000] * 4 + [60_000_000])
    with pytest.raises(EnergyError, match=r"intel-rapl:0 and intel-rapl:1 agree in 3 of 9 reads"):
        Meter("rapl", rapl_root=tree.root)


def test_one_wrap_is_made_good(tree, metered):
    """range 100 J, from 95 J to 3 J: 8 J passed."""
    tree.zone("0", "package-0", 95_000_000, range_uj=100_000_000)
    tree.constraint("0", 120)
    assert metered(tree, lambda: tree.set("0", 3_000_000))["cpu"]["energy_j"] == pytest.approx(8.0)


def test_wraps_between_edges_are_caught_by_reading_in_between(tree, clock):
    """Three wraps in one window, seen because the zone is read in between: 8 + 98 + 99 J at 100 W or so."""
    tree.zone("0", "package-0", 95_000_000, range_uj=100_000_000)
    tree.constraint("0", 120)
    source = next(iter(rapl.sources(tree.root)))
    start = source.read().joules
    for value_uj, seconds in ((3_000_000, 0.05), (1_000_000, 0.55), (0, 0.55)):
        tree.set("0", value_uj)
        clock.pass_by(seconds)
        assert source.read().fault == ""
    assert source.read().joules - start == pytest.approx(8 + 98 + 99)


def test_a_suspend_voids_its_window_whatever_the_counter_did(tree, clock):
    """It began again and shows 3 J: 62,146 J as a wrap. Or it went on: what it left out is not known."""
    tree.zone("0", "package-0", 200_000_000_000)
    with Meter("rapl", rapl_root=tree.root) as meter:
        for after_uj in (3_000_000, 4_000_000):
            meter.enter(f"suspended {after_uj}")
            clock.pass_by(0.1)
            clock.suspended_s += 3600
            tree.set("0", after_uj)
        meter.enter("after")
        clock.pass_by(0.1)
        tree.add("0", 2)
    *during, after = (reading["components"]["cpu"] for reading in meter.readings().values())
    assert [part["energy_j"] for part in during] == [None, None]
    assert "was reset or is wrong" in during[0]["reason"]
    assert "the machine was suspended for 3600.0 s" in during[1]["reason"]
    assert after["energy_j"] == 2.0


@pytest.mark.parametrize(
    ("before_uj", "after_uj", "seconds"),
    [
        (200_000_000_000, 3_000_000, 0.1),  # it began again: 62,146 J as a wrap
        (200_000_000_000, 199_999_999_939, 0.04),  # 61 uJ back: 262,143 J as a wrap
        (1_000_000, 900_000_000, 0.5),  # 899 J forward
        (262_143_000_000, 200_000_000, 0.1),  # a wrap near the end, but of 200 J
    ],
)
def test_a_step_that_no_package_can_have_made_is_not_booked(tree, clock, before_uj, after_uj, seconds):
    """At 1 kW and a half as much again: 150 J in 0.1 s. The window after is fine."""
    tree.zone("0", "package-0", before_uj)
    with Meter("rapl", rapl_root=tree.root) as meter:
        meter.enter("train")
        tree.set("0", after_uj)
        clock.pass_by(seconds)
        meter.enter("validate")
        tree.add("0", 2)
        clock.pass_by(seconds)
    train, validate = (meter.readings()[name]["components"]["cpu"] for name in ("train", "validate"))
    assert train["energy_j"] is None
    assert "was reset or is wrong" in train["reason"]
    assert validate["energy_j"] == pytest.approx(2.0)


def test_a_step_back_seen_by_a_read_in_the_background_voids_the_window(tree, clock):
    tree.zone("0", "package-0", 200_000_000_000)
    with Meter("rapl", rapl_root=tree.root) as meter:
        meter.enter("train")
        clock.pass_by(0.04)
        tree.set("0", 199_999_999_939)
        meter._touch("cpu")
        clock.pass_by(0.04)
        tree.add("0", 2)
    assert meter.readings()["train"]["components"]["cpu"]["energy_j"] is None


@pytest.mark.parametrize(("seconds", "known"), [(60.0, True), (170.0, True), (180.0, False), (3600.0, False)])
def test_a_process_that_stood_still_may_have_missed_a_wrap(tree, metered, seconds, known):
    """262,143 J at 1.5 times 1 kW last 174.8 s."""
    tree.zone("0", "package-0")
    part = metered(tree, lambda: tree.add("0", 1000), seconds)["cpu"]
    assert part["energy_j"] == (1000.0 if known else None)
    assert known or f"was not read for {seconds:.0f} s" in part["reason"]


def test_a_zone_is_read_thrice_in_the_time_of_its_fastest_turn(tree):
    """65,532 J (AMD) at 1.5 kW last 43.7 s; 262,143 J at 1.5 times 200 W last 873.8 s, but a minute is the most."""
    tree.zone("0", "package-0", range_uj=65_532_610_987)
    assert next(iter(rapl.sources(tree.root))).period_s == pytest.approx(65_532.610987 / 1500 / 3)
    tree.constraint("0", 600)
    tree.set_range("0", 262_143_328_850)
    assert next(iter(rapl.sources(tree.root))).period_s == 60.0


@pytest.mark.parametrize(
    ("maxima_w", "limits_w", "highest_w"),
    [
        ((), (), 1000),
        ((125, 253), (), 253),
        ((125, 0), (), 125),
        ((65,), (4095,), 1000),
        ((65,), (88,), 88),
        ((0,), (0,), 1000),
        ((1200,), (4095,), 1200),
    ],
)
def test_the_highest_power_is_what_the_zone_states(tree, maxima_w, limits_w, highest_w):
    """A limit of 4095 W is none, and a processor whose limit is raised draws more than its nominal maximum."""
    tree.zone("0", "package-0")
    for number, watts in enumerate(maxima_w):
        tree.constraint("0", watts, number)
    for number, watts in enumerate(limits_w):
        tree.constraint("0", watts, number, "power_limit")
    assert next(iter(rapl.sources(tree.root))).highest_w == highest_w


def test_the_stated_power_decides_what_is_plausible(tree, metered):
    tree.zone("0", "package-0")
    tree.constraint("0", 65)
    assert metered(tree, lambda: tree.add("0", 9))["cpu"]["energy_j"] == 9.0
    assert metered(tree, lambda: tree.add("0", 10))["cpu"]["energy_j"] is None  # 1.5 x 65 W x 0.101 s = 9.85 J


def test_a_counter_that_never_moves_is_no_zero(tree, metered):
    """As some virtual machines show it."""
    tree.zone("0", "package-0")
    part = metered(tree, lambda: None)["cpu"]
    assert (part["energy_j"], part["method"]) == (None, "unavailable")
    assert part["reason"] == "not resolved: the counter did not move in 0.1 s"


@pytest.mark.parametrize("range_text", ["", "many", "-5"])
def test_an_unreadable_range_costs_no_counter(tree, metered, range_text):
    (tree.zone("0", "package-0") / "max_energy_range_uj").write_text(range_text)
    assert metered(tree, lambda: tree.add("0", 3))["cpu"]["energy_j"] == pytest.approx(3.0)


def test_a_range_that_may_not_be_read_costs_no_counter(tree, metered, monkeypatch):
    tree.zone("0", "package-0")
    plain = Path.read_text

    def guarded(path: Path, *arguments: object, **named: object) -> str:
        if path.name == "max_energy_range_uj":
            raise PermissionError(path)
        return plain(path, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", guarded)
    assert metered(tree, lambda: tree.add("0", 3))["cpu"]["energy_j"] == pytest.approx(3.0)


@pytest.mark.parametrize("range_uj", [0, None])
def test_without_a_range_a_window_that_runs_backwards_is_unavailable(tree, metered, range_uj):
    tree.zone("0", "package-0", 95_000_000, range_uj)
    found = metered(tree, lambda: tree.set("0", 3_000_000))
    assert found["cpu"]["energy_j"] is None
    assert "ran backwards" in found["cpu"]["reason"]


def test_a_zone_that_vanishes_makes_the_window_unavailable(tree, metered):
    folder = tree.zone("0", "package-0")
    found = metered(tree, lambda: shutil.rmtree(folder))
    assert found["cpu"]["energy_j"] is None
    assert "cannot be read any more" in found["cpu"]["reason"]


def test_without_a_tree_the_reason_is_given(tmp_path):
    with pytest.raises(EnergyError, match="no RAPL here"):
        Meter("rapl", rapl_root=tmp_path)


def test_without_a_dram_zone_ram_says_so(tree, metered):
    tree.zone("0", "package-0")
    found = metered(tree, lambda: tree.add("0", 1))
    assert found["ram"]["energy_j"] is None
    assert found["ram"]["reason"] == "RAPL here has no zone for ram"


def test_a_refused_permission_names_the_file_and_the_fix():
    """energy_uj is 0400 root since PLATYPUS; tried as a user who is not root."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    folder = Tree(root).zone("0", "package-0")
    (folder / "energy_uj").chmod(0o000)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.seteuid(65534)
        with pytest.raises(EnergyError, match=r"permission refused on intel-rapl:0/energy_uj.*chmod a\+r"):
            Meter("rapl", rapl_root=root)
    finally:
        if is_root:
            os.seteuid(0)
        shutil.rmtree(root)


def test_a_tree_that_is_not_the_kernels_is_marked_fake(tree, metered):
    tree.zone("0", "package-0")
    assert metered(tree, lambda: tree.add("0", 1))["cpu"]["fake"] is True
    assert rapl._on_sysfs(Path("/sys/class")) is True


def test_auto_prefers_rapl_for_the_cpu_and_models_what_it_lacks(tree):
    tree.zone("0", "package-0")
    with Meter("auto", rapl_root=tree.root) as meter:
        found = meter.describe()["components"]
    assert found["cpu"]["method"] == "measured:counter"
    assert found["ram"]["method"] == "constant"
    assert found["ram"]["refused"] == ["RAPL here has no zone for ram"]
