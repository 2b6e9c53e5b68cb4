"""energy.sources.rapl on a tree in a temporary folder (notes §9). Every zone moves by a known number of joules."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from energy_doubles import Tree

from energy import EnergyError, Meter
from energy.sources import rapl


def metered(tree: Tree, move) -> dict:
    """Components of a window in which ``move`` happens."""
    with Meter("rapl", rapl_root=tree.root) as meter:
        meter.enter("train")
        move()
        __import__("time").sleep(0.002)  # longer than a tick of 1 ms
    return meter.readings()["train"]["components"]


def test_psys_core_and_uncore_are_never_added(tree):
    """Package, core, dram and psys +10 J each: 10 J of CPU, 10 J of RAM."""
    for key, name in (("0", "package-0"), ("0:0", "core"), ("0:1", "dram"), ("0:2", "uncore"), ("1", "psys")):
        tree.zone(key, name)
    found = metered(tree, lambda: [tree.add(key, 10) for key in ("0", "0:0", "0:1", "0:2", "1")])
    assert (found["cpu"]["energy_j"], found["ram"]["energy_j"]) == (10.0, 10.0)
    assert found["cpu"]["method"] == found["ram"]["method"] == "measured:counter"


def test_two_packages_add_up(tree):
    tree.zone("0", "package-0", 5_000_000)
    tree.zone("1", "package-1", 7_000_000)
    found = metered(tree, lambda: (tree.add("0", 10), tree.add("1", 4)))
    assert found["cpu"]["energy_j"] == 14.0


def test_mirrored_packages_count_once(tree):
    """Equal values that move together are one counter."""
    tree.zone("0", "package-0")
    tree.zone("1", "package-1")
    found = metered(tree, lambda: (tree.add("0", 10), tree.add("1", 10)))
    assert found["cpu"]["energy_j"] == 10.0


def test_packages_that_only_start_equal_are_not_mirrors(tree):
    tree.zone("0", "package-0", 0)
    tree.zone("1", "package-1", 0)
    found = metered(tree, lambda: (tree.add("0", 10), tree.add("1", 4)))
    assert found["cpu"]["energy_j"] == 14.0


def test_one_wrap_is_made_good(tree):
    """range 100 J, from 95 J to 3 J: 8 J passed."""
    tree.zone("0", "package-0", 95_000_000, range_uj=100_000_000)
    assert metered(tree, lambda: tree.set("0", 3_000_000))["cpu"]["energy_j"] == pytest.approx(8.0)


def test_wraps_between_edges_are_caught_by_reading_in_between(tree):
    """Two wraps in one window, seen because the zone is read in between: 8 + 97 J."""
    tree.zone("0", "package-0", 95_000_000, range_uj=100_000_000)
    source = next(iter(rapl.sources(tree.root)))
    start = source.read().joules
    tree.set("0", 3_000_000)
    source.read()
    tree.set("0", 1_000_000)
    source.read()
    tree.set("0", 0)
    assert source.read().joules - start == pytest.approx(8 + 98 + 99)


@pytest.mark.parametrize("range_uj", [0, None])
def test_without_a_range_a_window_that_runs_backwards_is_unavailable(tree, range_uj):
    tree.zone("0", "package-0", 95_000_000, range_uj)
    found = metered(tree, lambda: tree.set("0", 3_000_000))
    assert found["cpu"]["energy_j"] is None
    assert "ran backwards" in found["cpu"]["reason"]


def test_a_zone_that_vanishes_makes_the_window_unavailable(tree):
    folder = tree.zone("0", "package-0")
    found = metered(tree, lambda: shutil.rmtree(folder))
    assert found["cpu"]["energy_j"] is None
    assert "cannot be read any more" in found["cpu"]["reason"]


def test_without_a_tree_the_reason_is_given(tmp_path):
    with pytest.raises(EnergyError, match="no RAPL here"):
        Meter("rapl", rapl_root=tmp_path)


def test_without_a_dram_zone_ram_says_so(tree):
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


def test_a_tree_that_is_not_the_kernels_is_marked_fake(tree):
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
