"""``bpfree reproduce``: one run a seed, summed up against the target."""

import json
import re

import pytest
from command import DIGITS, one_line

from bpfree.runs import record as energy_record

RECIPE = f"""
about: a recipe for tests
target: {{test: 0.2, sum: 0.2}}
seeds: [0, 1]
algo: mono-forward
data: npz:{DIGITS}
hidden: [32]
epochs: 2
threads: 1
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("recipes")
    (place / "tiny.yaml").write_text(RECIPE)
    (place / "proud.yaml").write_text(RECIPE.replace("test: 0.2", "test: 0.999").replace("[0, 1]", "[0]"))
    return place


@pytest.fixture(scope="module")
def summary(place, bpfree):
    done = bpfree("reproduce", "tiny.yaml", "--out", "study", "--meter", "none", "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_figures_are_mean_and_deviation_over_the_seeds(place, summary):
    a, b = (energy_record.read(place / "study" / f"s{seed}" / "run.json")["result"]["test"] for seed in (0, 1))
    assert summary["figures"]["test"]["n"] == 2
    assert summary["figures"]["test"]["mean"] == pytest.approx((a + b) / 2, rel=1e-12)
    assert summary["figures"]["test"]["sd"] == pytest.approx(abs(a - b) / 2**0.5, rel=1e-12)
    assert summary["figures"].keys() == {"test", "last", "sum"}
    assert summary["verdict"] == "reached"
    assert json.loads((place / "study" / "summary.json").read_text()) == summary


def test_finished_seeds_are_not_run_again(place, summary, bpfree):
    before = (place / "study" / "s0" / "run.json").read_bytes()
    done = bpfree("reproduce", "tiny.yaml", "--out", "study", "--meter", "none", "--quiet", cwd=place)
    assert done.returncode == 0
    assert "reached" in done.stdout
    assert (place / "study" / "s0" / "run.json").read_bytes() == before


def test_missed_target_is_said_and_is_exit_code_1(place, bpfree):
    done = bpfree("reproduce", "proud.yaml", "--out", "proud", "--meter", "none", "--quiet", cwd=place)
    assert done.returncode == 1
    assert "missed" in done.stdout


def test_shortened_recipe_is_not_judged(place, bpfree):
    order = ("--epochs", "1", "--seeds", "3,", "--out", "short", "--meter", "none", "--quiet")
    done = bpfree("reproduce", "proud.yaml", *order, cwd=place)
    assert done.returncode == 0
    assert "changed" in done.stdout
    assert [path.name for path in (place / "short").glob("s?")] == ["s3"]


def test_changed_recipe_leaves_the_folder_of_the_real_one_alone(place, bpfree):
    order = ("--set", "epochs=1", "--meter", "none", "--quiet")
    assert bpfree("reproduce", "proud.yaml", *order, cwd=place).returncode == 0
    assert bpfree("reproduce", "proud.yaml", *order, "--lr", "0.5", cwd=place).returncode == 0
    folders = [path.name for path in (place / "runs" / "reproduce").iterdir()]
    assert len(folders) == 2  # each change has its own
    assert all(re.fullmatch("proud-changed-[0-9a-f]{6}", name) for name in folders)


def test_seed_of_a_recipe_is_told_where_it_belongs(place, bpfree):
    assert "give --seeds 0,1 instead of seed" in one_line(
        bpfree("reproduce", "proud.yaml", "--seed", "3", cwd=place), 2
    )


def test_unknown_recipe_gets_one_line(place, bpfree):
    assert "unknown recipe 'mf-minst'" in one_line(bpfree("reproduce", "mf-minst", cwd=place), 2)
