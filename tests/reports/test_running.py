"""bpfree.reports.validity.running: metered intervals that overlap on one machine or board."""

import random

import pytest
import sound
import study_doubles as doubles
from sound import verdicts

from bpfree.reports import study
from bpfree.reports.validity.running import Span, overlapped

BOOT = "a boot"


def metered(start_s: float, boot: str = BOOT, board: str = "GPU-0"):
    """change(record): its windows follow each other from ``start_s`` on, on one board of one machine."""

    def change(made: dict) -> None:
        at = start_s
        for window in made["energy"].values():
            window |= {"boot": boot, "intervals": [[at, at + window["seconds"]]]}
            at += window["seconds"]
        made["meter"]["components"]["gpu0"]["devices"] = [board]

    return change


def void(made: dict) -> set[str]:
    return {measure for measure, c in verdicts(made).items() if c["verdict"] == "cannot conclude"}


def test_runs_that_take_turns_do_not_overlap(tmp_path):
    """Each begins 100 s after the one before, and none takes that long."""
    made = sound.report(tmp_path, lambda r, arm, seed: metered(200 * seed + 100 * (arm == "mine"))(r))
    assert made["faults"] == []


@pytest.mark.parametrize(
    ("boards", "boots", "measures"),
    [
        (("GPU-0", "GPU-0"), (BOOT, BOOT), {"energy_j", "train_s"}),
        (("GPU-0", "GPU-1"), (BOOT, BOOT), {"train_s"}),
        (("GPU-0", "GPU-0"), (BOOT, "another"), set()),
    ],
)
def test_arms_at_the_same_time(tmp_path, boards, boots, measures):
    """On one board: joules and times are void; on two of one machine, times; on two machines, nothing."""
    at = dict(zip(sound.ARMS, zip(boards, boots, strict=True), strict=True))
    made = sound.report(tmp_path, lambda r, arm, seed: metered(100 * seed, at[arm][1], at[arm][0])(r))
    assert void(made) == measures


def test_a_processor_is_shared_by_all_runs_of_its_machine(tmp_path):
    cpu = (("cpu", "measured:counter", "RAPL package-0", 1.0),)

    def change(made: dict, arm: str, seed: int) -> None:
        facts = {"test": made["result"]["test"], "train_s": made["time"]["train_s"]}
        made |= doubles.run(arm, seed, parts=cpu, **facts) | {"device": {"type": "cpu", "name": "A", "driver": None}}
        for name, window in made["energy"].items():
            window |= {"boot": BOOT, "intervals": [[100 * seed, 100 * seed + 1]] if name == "train" else []}

    assert {"energy_j", "train_s", "cpu_s"} <= void(sound.report(tmp_path, change))


def test_a_run_that_failed_disturbs_as_well(tmp_path):
    """The runs of a third arm all failed, and one of them lies over the training of mine, seed 0."""

    def change(made: dict, arm: str, seed: int) -> None:
        start_s = {"mine": 0.0, "backprop": 50.0, "third": 5.0 if seed == 0 else 75.0}[arm]
        metered(100 * seed + start_s)(made)
        if arm == "third":
            made |= {"status": "failed", "error": "the loss became NaN"}

    made = sound.report(tmp_path, change, {**sound.ARMS, "third": {}})
    during = "mine, seed 0, own convergence: trained while another run was metered on the same"
    assert [fault["text"] for fault in made["faults"]] == [
        f"{during} machine: its time is not its own",
        f"{during} board: its energy counts both",
    ]


def test_a_resumed_run_keeps_the_stretches_of_its_earlier_boots(tmp_path):
    def change(made: dict, arm: str, seed: int) -> None:
        metered(100 * seed, boot=f"{arm} {seed}")(made)
        if (arm, seed) == ("mine", 0):
            made["energy"]["train"]["earlier_boots"] = {"backprop 3": [[305.0, 306.0]]}

    texts = [fault["text"] for fault in sound.report(tmp_path, change)["faults"]]
    assert {text.partition(":")[0] for text in texts} == {
        "mine, seed 0, own convergence",
        "backprop, seed 3, own convergence",
    }


def test_an_unknown_boot_is_no_machine(tmp_path):
    assert void(sound.report(tmp_path, lambda r, arm, seed: metered(0.0, "unknown")(r))) == set()


def test_overlap_is_found_as_by_looking_at_every_pair():
    """300 random spans of 40 runs on whole seconds, so that many only touch: against all pairs."""
    random.seed(1)
    for _ in range(20):
        spans = []
        for _ in range(300):
            start = random.randrange(2000)
            spans.append(Span(start, start + random.randrange(1, 9), random.randrange(40), random.random() < 0.3))
        pairs = {
            one.run
            for one in spans
            for two in spans
            if one.training and one.run != two.run and one.start < two.end and two.start < one.end
        }
        assert overlapped(spans) == pairs


@pytest.mark.parametrize("intervals", [3, [[1]], [["a", 2]], {"a": 1}])
def test_intervals_that_are_none_are_refused_in_one_line(tmp_path, intervals):
    def change(made: dict, arm: str, seed: int) -> None:
        made["energy"]["train"] |= {"boot": BOOT, "intervals": intervals}

    with pytest.raises(study.InputError) as error:
        sound.report(tmp_path, change)
    assert "intervals" in str(error.value)
    assert "\n" not in str(error.value)
