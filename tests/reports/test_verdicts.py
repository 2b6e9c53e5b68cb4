"""bpfree.reports.verdicts: sentences from planted effects, and runs that may not be compared."""

import json
import math

import numpy as np
import pytest
import study_doubles as doubles
from study_doubles import ARMS, report_of

from bpfree.errors import InputError
from bpfree.reports import statistics, study, tables
from bpfree.reports.build import build
from bpfree.reports.report import report
from bpfree.reports.study import OWN
from energy import EnergyError, carbon


def comparison(report: dict, measure: str, a: str = "mine") -> dict:
    (actual,) = [c for c in report["comparisons"] if (c["a"], c["measure"]) == (a, measure)]
    return actual


def paired_energies(ratio: float, noises: list[float]):
    """run(arm, seed): mine takes ``ratio`` times the energy of its pair; the log-ratio is off by a noise for each."""

    def run(arm: str, pair: int) -> dict:
        noise = math.exp(noises[pair]) if arm == "mine" else 1.0
        watts = 100.0 * (1 + 0.1 * pair) * (ratio * noise if arm == "mine" else 1.0)
        return doubles.run(arm, pair, watts=watts, train_s=10.0 + pair / 7 + (arm == "mine") * 1e-6)

    return run


@pytest.mark.real_time
def test_a_planted_5_percent_is_found_with_10_pairs_on_the_fake_nvml(metered, tmp_path):
    """100 and 105 W; windows of 0.3 s at a tick of 1 ms. Each pair has a power of its own, and the truth lies in the
    interval: 5 % give or take 1.7 %, above the bound of a window (1.5 ms at 300 W, its limit, are 1.5 % of 30 J)."""
    body = """
import os
for pair in range(10):
    for arm, factor in (("a", 1.05), ("b", 1.0))[:: 1 if pair % 2 else -1]:
        os.environ["FAKE_POWER_MW"] = str(100000 * (1 + pair / 100) * factor)
        time.sleep(0.02)
        with meter.window(f"{arm}{pair}"):
            time.sleep(0.3)
"""
    readings = metered(body, tick_ms=1)["readings"]

    def run(arm: str, pair: int) -> dict:
        made = doubles.run(arm, pair, fake=True)
        window = readings[f"{'a' if arm == 'mine' else 'b'}{pair}"]
        return {**made, "energy": {**made["energy"], "train": window}, "time": {"train_s": window["seconds"]}}

    attempt = tmp_path / str(len(list(tmp_path.iterdir())))
    actual = comparison(report_of(attempt, run, range(10)), "energy_j")
    assert actual["verdict"] == "difference"
    assert actual["low"] <= math.log(1.05) + 0.017
    assert actual["high"] >= math.log(1.05) - 0.017
    assert "mine uses" in actual["sentence"]
    assert "more energy to train than backprop" in actual["sentence"]
    assert "n = 10 pairs, measured:counter, gpu0" in actual["sentence"]


def test_a_planted_1_percent_with_3_pairs_cannot_be_concluded(tmp_path):
    """A spread of 1 % leaves +-2.5 % at n = 3; 10 pairs would be needed (notes, section 10)."""
    actual = comparison(report_of(tmp_path, paired_energies(math.exp(0.01), [-0.01, 0.01, 0.0])), "energy_j")
    assert actual["verdict"] == "cannot conclude"
    assert "covers zero with n = 3 pairs; about " in actual["because"]
    assert actual["pairs_needed"] == 10


def test_a_planted_20_percent_is_stated_as_such(tmp_path):
    actual = comparison(report_of(tmp_path, paired_energies(0.8, [-0.01, 0.01] * 5), range(10)), "energy_j")
    assert actual["verdict"] == "difference"
    assert math.exp(actual["mean"]) == pytest.approx(0.8, abs=0.01)
    assert actual["low"] < math.log(0.8) < actual["high"]
    assert "less energy to train than backprop (95 % CI \u221220." in actual["sentence"]


def test_an_effect_smaller_than_the_meters_own_bound_is_no_verdict(tmp_path):
    """Windows of 1 s at ticks of 20 ms may err by 2 %, a ratio by (2 + 2) / 98; an effect of 3 % is smaller."""
    rng = np.random.default_rng(3)

    def run(arm: str, seed: int) -> dict:
        return doubles.run(
            arm,
            seed,
            watts=100 * (1.03 if arm == "mine" else 1) + rng.normal(0, 0.01),
            train_s=1 + seed / 1e4 + len(arm) / 1e9,
        )

    actual = comparison(report_of(tmp_path, run, range(10)), "energy_j")
    assert actual["verdict"] == "cannot conclude"
    assert "the meter's ticks alone may err by up to 4.1%" in actual["because"]


def test_a_meter_without_a_bound_of_its_error_ranks_nothing(tmp_path):
    """A measured source that states no tick: 20 % less in every pair, and nobody knows what the meter adds."""

    def run(arm: str, seed: int) -> dict:
        parts = (("wall", "measured:counter", "a plug", None),)
        watts, train_s = (80 if arm == "mine" else 100) + seed / 100, 10 + seed + len(arm) / 1e6
        return doubles.run(arm, seed, watts=watts, train_s=train_s, parts=parts)

    actual = comparison(report_of(tmp_path, run, range(5)), "energy_j")
    assert actual["verdict"] == "cannot conclude"
    assert actual["because"].startswith("the meter states no bound of its error")


def test_a_difference_too_small_to_print_is_not_printed_as_none(tmp_path):
    """One byte of 10 million is 0.00001 %."""

    def run(arm: str, seed: int) -> dict:
        return doubles.run(arm, seed, train_s=10 + seed + len(arm) / 1e6, peak=10**7 - (arm == "mine"))

    sentence = comparison(report_of(tmp_path, run), "live_bytes")["sentence"]
    assert sentence.startswith("mine needs under 0.01 % less working memory than backprop")


def test_working_memory_is_the_same_in_every_pair_and_told_so(tmp_path):
    """Bytes of tensors have no spread: 3/4 of the twin's is a difference, and a repeat differs by nothing."""

    def run(arm: str, seed: int) -> dict:
        times = {"peak": 3 * 10**6 if arm != "backprop" else 4 * 10**6, "train_s": 10 + seed + len(arm) / 99}
        return doubles.run(arm.removesuffix(" again"), seed, **times)

    report = report_of(tmp_path, run, range(4), AA)
    assert comparison(report, "live_bytes")["sentence"] == (
        "mine needs 25.0 % less working memory than backprop (the same in all n = 4 pairs)."
    )
    repeat = comparison(report, "live_bytes", "mine again")
    assert (repeat["low"], repeat["high"]) == (0, 0)
    assert "it covers zero, as it must" in repeat["sentence"]


@pytest.mark.parametrize(("device", "compared"), [("cpu", True), ("cuda", False)])
def test_cpu_time_is_compared_where_processors_do_the_work(tmp_path, device, compared):
    """The double works all of its time: as many CPU seconds as seconds."""

    def run(arm: str, seed: int) -> dict:
        made = doubles.run(arm, seed, train_s=(12 if arm == "mine" else 10) + seed / (7 if arm == "mine" else 9))
        return {**made, "device": {"type": device, "name": "A", "driver": None}}

    report = report_of(tmp_path, run, range(5))
    assert any(c["measure"] == "cpu_s" for c in report["comparisons"]) is compared
    assert ("CPU time, training" in tables.markdown(report)) is compared
    if compared:
        actual = comparison(report, "cpu_s")
        assert "mine takes 20." in actual["sentence"]
        assert "more CPU time to train than backprop" in actual["sentence"]


AA = {"mine": {}, "mine again": {"role": "aa", "algo": "mine", "twin_of": "mine"}, "backprop": {"role": "twin"}}


def noisy(shift: float):
    """The repeat of mine draws ``shift`` times as much, 2 % more and 2 % less in turns; so does its time."""

    def run(arm: str, seed: int) -> dict:
        turn = math.exp(0.02 * (-1) ** seed) if arm == "mine again" else 1.0
        cost = {"mine again": shift, "backprop": 1.5}.get(arm, 1.0) * (1 + seed / 1000 * (arm == "backprop"))
        test = 0.95 + seed / 1000 + 0.001 * (turn - 1)
        return doubles.run(
            arm.removesuffix(" again"), seed, test=test, watts=100 * cost, train_s=(10 + seed) * turn + len(arm) / 1e9
        )

    return run


def test_the_interval_of_the_aa_arm_covers_zero(tmp_path):
    report = report_of(tmp_path, noisy(1.0), range(8), AA)
    for measure in ("test", "energy_j", "train_s"):
        actual = comparison(report, measure, "mine again")
        assert actual["low"] <= 0 <= actual["high"]
        assert "it covers zero, as it must" in actual["sentence"]
    assert comparison(report, "energy_j")["verdict"] == "difference"


def test_an_aa_arm_that_differs_from_itself_voids_the_verdicts_on_that_measure(tmp_path):
    report = report_of(tmp_path, noisy(1.2), range(8), AA)
    assert "does NOT cover zero" in comparison(report, "energy_j", "mine again")["sentence"]
    assert comparison(report, "energy_j")["verdict"] == "cannot conclude"
    assert "the A/A arm, which repeats mine, differs from it by +" in comparison(report, "energy_j")["because"]
    assert comparison(report, "test")["because"] == ""


def test_an_aa_interval_that_misses_zero_by_chance_voids_nothing(tmp_path):
    """One in twenty does: p = 0.04 of one measure of several is no sign of a difference (Holm: at least 0.08)."""
    deviations = [0.000, 0.002, -0.0005, 0.0015, 0.002, 0.0015, -0.0005, 0.002]

    def run(arm: str, seed: int) -> dict:
        more = math.exp(deviations[seed]) if arm == "mine again" else 1.5 if arm == "backprop" else 1.0
        return doubles.run(
            arm.removesuffix(" again"),
            seed,
            watts=100 * more,
            train_s=10 + (seed + len(arm)) % 3 + (9 * seed + len(arm)) / 1e9,
        )

    report = report_of(tmp_path, run, range(8), AA)
    again = comparison(report, "energy_j", "mine again")
    assert again["low"] > 0
    assert again["p"] < 0.05 < again["p_holm"]
    assert "by chance" in again["sentence"]
    assert comparison(report, "energy_j")["verdict"] == "difference"


def accuracies(gap: float, sd: float):
    rng = np.random.default_rng(5)
    return lambda arm, seed: doubles.run(
        arm, seed, test=0.95 + seed / 500 + (arm == "mine") * (gap + rng.normal(0, sd)), train_s=9 + rng.random()
    )


def test_equal_accuracy_is_said_only_when_the_margin_holds_it(tmp_path):
    """0.02 points apart with a spread of 0.05: within 0.25 points, not within 0.01."""
    wide = comparison(report_of(tmp_path / "a", accuracies(0.0002, 0.0005), range(8)), "test")
    assert wide["verdict"] == "equivalent"
    assert "the same test result within ±0.25 points" in wide["sentence"]
    narrow = report_of(tmp_path / "b", accuracies(0.0002, 0.0005), range(8), margin_pp=0.01)
    assert comparison(narrow, "test")["verdict"] == "cannot conclude"


def test_nothing_is_the_same_where_an_arm_is_not_the_same_as_itself(tmp_path):
    """mine and backprop differ by 0.01 points, mine and its repeat by 0.2: far more than their seeds' spread."""
    rng = np.random.default_rng(8)

    def run(arm: str, seed: int) -> dict:
        test = 0.95 + {"mine": 0.0, "mine again": 0.002, "backprop": 0.0001}[arm] + rng.normal(0, 1e-5)
        return doubles.run(arm.removesuffix(" again"), seed, test=test, train_s=9 + rng.random())

    report = report_of(tmp_path, run, range(8), AA)
    assert "does NOT cover zero" in comparison(report, "test", "mine again")["sentence"]
    assert comparison(report, "test")["verdict"] == "cannot conclude"


def test_errors_are_told_to_three_digits(tmp_path):
    def run(arm: str, seed: int) -> dict:
        made = doubles.run(arm, seed, train_s=9 + seed + len(arm) / 99)
        test = 0.0123 + seed * 1e-5 - (arm == "mine") * (0.000412 + seed * 1e-6)
        return {**made, "result": {**made["result"], "metric": "mse", "direction": "min", "test": test}}

    sentence = comparison(report_of(tmp_path, run, range(5)), "test")["sentence"]
    assert "mine is 0.000414 better on test data than backprop" in sentence


def test_a_difference_in_accuracy_is_a_paired_difference_in_points(tmp_path):
    actual = comparison(report_of(tmp_path, accuracies(-0.01, 0.0005), range(8)), "test")
    assert actual["verdict"] == "difference"
    assert "mine is 1.0" in actual["sentence"]
    assert "points worse on test data than backprop" in actual["sentence"]
    rows = actual["pairs"]
    assert actual["mean"] == pytest.approx(np.mean([row["a"] - row["b"] for row in rows]), rel=1e-12)


def test_p_values_are_corrected_over_all_comparisons_of_a_measure(tmp_path):
    arms = {**ARMS, "other": {}, "third": {}}
    rng = np.random.default_rng(6)
    report = report_of(
        tmp_path, lambda a, s: doubles.run(a, s, train_s=10 * math.exp(rng.normal(0, 0.02))), range(5), arms
    )
    family = [c for c in report["comparisons"] if c["measure"] == "train_s"]
    assert [c["family"] for c in family] == [3, 3, 3]
    assert min(c["p_holm"] for c in family) == pytest.approx(min(1.0, 3 * min(c["p"] for c in family)))


def test_a_difference_that_does_not_survive_the_correction_is_no_verdict(tmp_path):
    """Three pairs: of t with 2 degrees of freedom p = 1 - t / sqrt(2 + t^2), here 0.030, and 0.090 for three arms."""
    spread = {"mine": 0.00614, "other": 0.01, "third": -0.01, "backprop": 0.0}

    def run(arm: str, seed: int) -> dict:
        log_ratio = 0.02 * (arm == "mine") + spread[arm] * (seed - 1)
        return doubles.run(arm, seed, train_s=(10 + seed) * math.exp(log_ratio) + ord(arm[0]) / 1e12)

    actual = comparison(report_of(tmp_path, run, arms={**ARMS, "other": {}, "third": {}}), "train_s")
    t = 0.02 * math.sqrt(3) / 0.00614
    assert actual["p"] == pytest.approx(1 - t / math.sqrt(2 + t * t), rel=1e-6)
    assert actual["low"] > 0
    assert actual["verdict"] == "cannot conclude"
    assert "does not survive Holm's correction for 3 comparisons (p = 0.090)" in actual["because"]


def test_modelled_energy_gives_no_energy_verdict_and_no_ranking(tmp_path):
    report = report_of(tmp_path, lambda arm, seed: doubles.run(arm, seed, train_s=5 + seed, parts=doubles.GUESS))
    assert report["energy"]["ranked"] is False
    (line,) = [line for line in report["verdicts"] if line["measure"] == "energy_j"]
    assert line["kind"] == "cannot conclude"
    assert "cpu is modelled (a load model); ram is constant (watts a DIMM)" in line["text"]
    actual = comparison(report, "energy_j")
    assert (actual["mean"], actual["p"], actual["pairs"]) == (None, None, [])
    assert report["budgets"][0]["pareto"]["x"] == "train_s"
    assert all(row["estimate"] for row in report["budgets"][0]["rows"])


def test_energies_with_different_labels_are_never_ranked_together(tmp_path):
    """mine has a counter, backprop samples and, beside it, an estimate of the CPU that counts in neither."""
    sampled = (("gpu0", "measured:sampled", "NVML power readings", 50.0), doubles.GUESS[0])
    report = report_of(
        tmp_path, lambda a, s: doubles.run(a, s, train_s=9 + s / 9, parts=(doubles.GPU,) if a == "mine" else sampled)
    )
    assert comparison(report, "energy_j")["verdict"] == "cannot conclude"
    assert comparison(report, "energy_j")["n"] == 0
    assert len(report["energy"]["left_out"]) == 3


def test_only_the_measured_part_is_ranked(tmp_path):
    """GPU by counter, CPU and RAM guessed: the verdict is on the GPU alone."""
    parts = (doubles.GPU, *doubles.GUESS)
    report = report_of(tmp_path, lambda a, s: doubles.run(a, s, train_s=9 + s / 9, watts=100, parts=parts))
    assert report["energy"] | {"reason": ""} == {
        "ranked": True,
        "method": "measured:counter",
        "components": ["gpu0"],
        "reason": "",
        "left_out": [],
    }
    assert report["budgets"][0]["rows"][0]["energy_j"]["values"] == pytest.approx([100 * (9 + s / 9) for s in range(3)])
    counted = {entry["component"]: entry["counted"] for entry in report["boundary"]}
    assert counted == {"gpu0": True, "cpu": False, "ram": False}


def test_a_resumed_run_counts_for_accuracy_but_not_for_energy_and_time(tmp_path):
    report = report_of(
        tmp_path, lambda a, s: doubles.run(a, s, train_s=9 + s / 9, resumes=int((a, s) == ("mine", 1))), range(4)
    )
    assert comparison(report, "energy_j")["n"] == 3
    assert comparison(report, "energy_j")["left_out"] == ["seed 1: it was resumed 1 time"]
    assert comparison(report, "train_s")["left_out"] == ["seed 1: it was resumed 1 time"]
    assert comparison(report, "test")["n"] == 4
    row = report["budgets"][0]["rows"][0]
    assert (row["energy_j"]["n"], row["test"]["n"]) == (3, 4)


def test_differences_are_taken_only_on_one_net(tmp_path):
    arms = {"mine": {"net_key": "one"}, "backprop": {"role": "twin", "net_key": "two"}}
    report = report_of(tmp_path, doubles.run, arms=arms)
    assert report["comparisons"] == []
    assert any("2 different nets or data sets" in text for text in report["warnings"])


def test_a_control_on_another_net_is_not_compared(tmp_path):
    arms = {"mine": {"net_key": "one"}, "mine, deeper": {"role": "control", "algo": "mine", "net_key": "two"}}
    assert report_of(tmp_path, doubles.run, arms=arms)["comparisons"] == []


def test_times_of_different_machines_are_not_compared_but_accuracies_are(tmp_path):
    def run(arm: str, seed: int) -> dict:
        return doubles.run(
            arm,
            seed,
            train_s=9 + seed / 9 + len(arm) / 1e9,
            device={"type": "cuda", "name": f"Board of {arm}", "driver": "1"},
        )

    report = report_of(tmp_path, run)
    assert "device Board of mine and Board of backprop" in comparison(report, "train_s")["because"]
    assert comparison(report, "test")["n"] == 3


def test_a_failed_run_is_shown_and_counts_as_not_reaching_the_target(tmp_path):
    def run(arm: str, seed: int) -> dict | None:
        return (
            None
            if (arm, seed) == ("mine", 2)
            else doubles.run(arm, seed, test=0.98 if seed else 0.96, train_s=9 + seed)
        )

    report = report_of(tmp_path, run, range(4), target=0.97)
    mine, backprop = report["budgets"][0]["rows"]
    assert (mine["finished"], mine["planned"], mine["failed"][0]["error"]) == (3, 4, "the loss became NaN")
    assert (mine["reached"]["k"], mine["reached"]["n"]) == (2, 4)
    assert (backprop["reached"]["k"], backprop["reached"]["n"]) == (3, 4)
    assert mine["to_target_j"] is None
    assert [run["status"] for run in report["runs"]].count("failed") == 1


def test_a_target_of_zero_is_a_target(tmp_path):
    report = report_of(tmp_path, lambda a, s: doubles.run(a, s, train_s=9 + s), target=0.0)
    assert report["budgets"][0]["rows"][0]["reached"]["k"] == 3


def test_energy_to_target_is_that_of_the_first_epoch_that_reaches_it(tmp_path):
    """The curve is test - 0.2 x 0.5^k after epoch k + 1 of 5: 0.95 is first reached at k = 3."""
    report = report_of(tmp_path, lambda a, s: doubles.run(a, s, test=0.98, train_s=10.0 + s / 3), target=0.95)
    values = report["budgets"][0]["rows"][0]["to_target_j"]["values"]
    assert values == pytest.approx([100 * (10 + s / 3) * 4 / 5 for s in range(3)])


def test_converged_means_that_the_stopping_rule_ended_the_run(tmp_path):
    report = report_of(tmp_path, lambda a, s: doubles.run(a, s, train_s=9 + s, config={"epochs": 5 if s else 100}))
    assert report["budgets"][0]["rows"][0]["converged"] == 1


def test_a_run_that_a_limit_ended_has_not_converged(tmp_path):
    report = report_of(tmp_path, lambda a, s: doubles.run(a, s, train_s=9 + s, limit="max_steps" if s else None))
    assert report["budgets"][0]["rows"][0]["converged"] == 1


def test_converged_counts_epochs_not_validations_and_each_phase_by_its_own_limit(tmp_path):
    """Validated every second epoch, all 100 of them are used up; a phase of 3 ended early at 2, or not at 3."""
    every_second = [{"epoch": k, "phase": "all", "val": 0.9, "train_s": k} for k in range(2, 101, 2)]

    def phased(first: int) -> list[dict]:
        phases = ["blocks"] * first + ["all"] * 7
        return [{"epoch": k, "phase": phase, "val": 0.9, "train_s": k} for k, phase in enumerate(phases, 1)]

    histories = [every_second, phased(3), phased(2)]

    def run(arm: str, seed: int) -> dict:
        phases = {"blocks": 3, "all": 100}
        return doubles.run(arm, seed, train_s=9 + seed, history=histories[seed], phases=phases)

    assert report_of(tmp_path, run)["budgets"][0]["rows"][0]["converged"] == 1


def test_pairs_needed_are_for_the_level_that_holm_asks(tmp_path):
    """So many pairs of this mean and spread survive the correction; one that did not needs more than it has."""
    arms, rng = {**ARMS, "other": {}, "third": {}}, np.random.default_rng(6)
    report = report_of(
        tmp_path, lambda a, s: doubles.run(a, s, train_s=10 * math.exp(rng.normal(0, 0.02))), range(5), arms
    )
    family = sorted((c for c in report["comparisons"] if c["measure"] == "train_s"), key=lambda c: c["p"])
    for rank, c in enumerate(family):
        assert statistics.power_of(abs(c["mean"]) / c["sd"], c["pairs_needed"], 0.05 / (3 - rank)) >= 0.8
        assert c["p_holm"] < 0.05 or c["pairs_needed"] > c["n"]


def test_a_window_shorter_than_a_tick_counts_in_the_whole_run(tmp_path):
    """Tests of 10 ms at 100 W, ticks of 20 ms: 1 J that no window can claim, between edges that cancel."""

    def run(arm: str, seed: int) -> dict:
        made = doubles.run(arm, seed, train_s=10.0 + seed)
        made["energy"]["predict"] = doubles.window(0.01, {"gpu0": 100.0})
        return made

    row = report_of(tmp_path, run)["budgets"][0]["rows"][0]
    assert row["all_j"]["values"] == pytest.approx([100 * (1 + 10 + seed + 2 + 0.5) + 1 for seed in range(3)])


def test_pairs_on_two_boards_count_and_a_pair_across_them_does_not(tmp_path):
    """Seeds 0 and 2 on one board, 1 and 3 on another; the arms of seed 4 are apart."""

    def run(arm: str, seed: int) -> dict:
        board = "01"[(seed + (seed == 4 and arm == "mine")) % 2]
        parts = (("gpu0", "measured:counter", f"NVML energy counter of Board ({board})", 20.0),)
        return doubles.run(arm, seed, parts=parts, watts=100.0 + len(arm) + seed, train_s=10.0 + seed + len(arm) / 9)

    actual = comparison(report_of(tmp_path, run, range(5)), "energy_j")
    assert [pair["seed"] for pair in actual["pairs"]] == [0, 1, 2, 3]
    assert actual["left_out"] == ["seed 4: they were metered by different devices"]


def test_times_of_runs_that_went_on_together_are_not_compared(tmp_path):
    report = report_of(tmp_path, lambda a, s: doubles.run(a, s, train_s=9 + s + len(a)), concurrent_runs=4)
    assert "4 runs went on at the same time" in comparison(report, "train_s")["because"]
    assert comparison(report, "test")["n"] == 3


def test_co2e_is_derived_with_its_intensity(tmp_path):
    """14 s at 100 W in all windows, 360 g/kWh: 1400 J / 3.6e6 x 360 g."""
    report = report_of(tmp_path, lambda a, s: doubles.run(a, s), at=carbon.intensity(360.0))
    assert report["budgets"][0]["rows"][0]["co2e_g"] == pytest.approx(1400 / 3.6e6 * 360)
    assert report["co2e"]["source"] == "given by the user"


def test_the_front_holds_what_no_other_arm_beats(tmp_path):
    arms = {**ARMS, "worse": {}, "costly": {}}
    made = {"mine": (0.96, 5.0), "backprop": (0.97, 9.0), "worse": (0.95, 9.5), "costly": (0.98, 20.0)}
    report = report_of(
        tmp_path, lambda a, s: doubles.run(a, s, test=made[a][0] + s / 999, train_s=made[a][1] + s / 99), arms=arms
    )
    assert report["budgets"][0]["pareto"] == {"x": "energy_j", "fronts": [["mine", "backprop", "costly"]]}


def test_a_study_that_is_not_done_says_so_and_counts_no_planned_run_as_failed(tmp_path):
    doubles.write(tmp_path, ARMS, doubles.run, range(4))
    plan = study.read(tmp_path)
    for listed in plan["runs"][5:]:
        listed["status"] = "planned"
        (tmp_path / listed["path"] / "run.json").unlink()
    study.write(plan, tmp_path)
    report = build(study.load(tmp_path))
    assert "3 of 8 runs are still to be made: this is not the whole study." in report["warnings"]
    assert [row["failed"] for row in report["budgets"][0]["rows"]] == [[], []]


def test_memory_against_depth_needs_several_depths(tmp_path):
    arms = {"shallow": {"algo": "mine"}, "deep": {"algo": "mine"}, "backprop": {"role": "twin"}}

    def run(arm: str, seed: int) -> dict:
        hidden = [9] * {"shallow": 2, "deep": 8}.get(arm, 2)
        return doubles.run(
            "mine" if arm != "backprop" else arm, seed, config={"hidden": hidden}, peak=len(hidden) * 10**6
        )

    assert report_of(tmp_path, run, arms=arms)["depth"] == [{"algo": "mine", "points": [[2, 2e6, 3], [8, 8e6, 3]]}]


def test_nothing_finished_is_nothing_to_report(tmp_path):
    with pytest.raises(InputError, match="no run of this study has finished"):
        report_of(tmp_path, lambda arm, seed: None)


def test_runs_made_elsewhere_are_reported_where_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    doubles.write(tmp_path / "a", ARMS, doubles.run)
    computed, files = report([tmp_path / "a" / "runs"], co2="100")
    assert {path.parent.name for path in files} == {"report"}
    assert computed["co2e"]["g_per_kwh"] == 100
    doubled, _ = report([tmp_path / "a" / "runs"], co2="100", pue=2.0)
    (once, twice) = (r["budgets"][0]["rows"][0]["co2e_g"] for r in (computed, doubled))
    assert twice == pytest.approx(2 * once)
    assert comparison(computed, "test")["b"] == "backprop"
    with pytest.raises(EnergyError, match="did you mean FRA"):
        report([tmp_path / "a"], co2="Frnace")
    with pytest.raises(InputError, match="give its intensity"):
        report([tmp_path / "a"], pue=1.5)


def test_the_budgets_of_a_study_stay_apart(tmp_path):
    doubles.write(tmp_path, ARMS, lambda a, s: doubles.run(a, s, train_s=9 + s))
    plan = json.loads((tmp_path / "study.json").read_text())
    second = doubles.write(tmp_path / "b", ARMS, lambda a, s: doubles.run(a, s, train_s=5 + s), budget=study.MATCHED)
    for listed in second.plan["runs"]:
        plan["runs"].append({**listed, "path": f"b/{listed['path']}"})
    study.write({**plan, "budgets": [OWN, study.MATCHED]}, tmp_path)
    report = build(study.load(tmp_path))
    assert [budget["name"] for budget in report["budgets"]] == [OWN, study.MATCHED]
    assert [budget["rows"][0]["train_s"]["mean"] for budget in report["budgets"]] == [10, 6]
    assert {c["budget"] for c in report["comparisons"]} == {OWN, study.MATCHED}
