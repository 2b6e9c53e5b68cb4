"""Limits for people who have little time: ``max_steps`` and ``max_minutes`` end a run, tested and finished.

22 training rows in batches of 5 are 5 steps a pass.
"""

import pytest
from command import TINY
from small import tiny

import bpfree

SMALL = {"hidden": (8, 8), "batch_size": 5, "threads": 1, "meter": "none", "device": "cpu"}


def train(out, algo="mono-forward", **values):
    return bpfree.train(algo, tiny(), out=out, **{**SMALL, **values})


def figures(record):
    """Results of a run, without times."""
    result = record["result"]
    return {key: result[key] for key in ("test", "val", "predictions_sha256", "data_passes", "epochs")}


class StopAfter:
    """Ask the run to stop after some batches, as Ctrl-C does."""

    def __init__(self, batches):
        self.batches = batches

    def on_batch(self, loop):
        if loop.cursor.steps == self.batches:
            loop.stop("enough")


def test_a_limit_within_a_pass_ends_the_run_validated_and_tested(tmp_path):
    record = train(tmp_path / "run", epochs=3, max_steps=7)
    assert (record["status"], record["limit"], record["error"]) == ("finished", "max_steps", None)
    assert record["result"]["epochs"] == 1
    assert record["result"]["data_passes"] == pytest.approx(7 / 5)
    assert [entry["epoch"] for entry in record["history"]] == [1, 2]  # the second one of 2 batches
    assert None not in (record["result"]["val"], record["result"]["test"])


def test_the_model_of_a_limited_run_is_the_state_that_was_tested(tmp_path):
    record = train(tmp_path / "run", epochs=3, max_steps=7, keep="last")
    assert record["result"]["val"] == record["history"][-1]["val"]
    loaded = bpfree.load(tmp_path / "run")
    accuracy = (loaded.predict(tiny().test.x).argmax(1) == tiny().test.y).double().mean().item()
    assert accuracy == pytest.approx(record["result"]["test"], abs=1e-12)


def test_a_limit_at_the_end_of_a_pass_is_that_pass(tmp_path):
    """Without a schedule over the epochs, 5 steps of 3 epochs are an epoch of 1."""
    limited = train(tmp_path / "limited", epochs=3, max_steps=5, lr_schedule="constant")
    whole = train(tmp_path / "whole", epochs=1, lr_schedule="constant")
    assert figures(limited) == figures(whole)
    assert (limited["limit"], whole["limit"]) == ("max_steps", None)


def test_a_limit_that_is_not_reached_changes_nothing(tmp_path):
    limited, free = train(tmp_path / "limited", epochs=1, max_steps=6), train(tmp_path / "free", epochs=1)
    assert figures(limited) == figures(free)
    assert limited["limit"] is None


@pytest.mark.parametrize("stop_at", [3, 7])
def test_resuming_does_not_extend_the_limit(tmp_path, stop_at):
    """Stopped before the limit or at it, and resumed: the run ends where it would have without the stop."""
    straight = train(tmp_path / "straight", epochs=3, max_steps=7)
    out = tmp_path / "resumed"
    assert train(out, epochs=3, max_steps=7, callbacks=[StopAfter(stop_at)])["status"] == "stopped"
    resumed = bpfree.train(data=tiny(), resume=out, meter="none")
    assert (resumed["status"], resumed["limit"]) == ("finished", "max_steps")
    assert figures(resumed) == figures(straight)
    again = bpfree.train(data=tiny(), resume=out, meter="none")
    assert again["result"] == resumed["result"]


def test_a_limit_in_a_later_phase_keeps_the_phases_before_it(tmp_path):
    """Layer by layer, 2 epochs of 5 steps a layer: step 12 is in the second layer."""
    record = train(tmp_path / "run", epochs=2, schedule="sequential", max_steps=12)
    assert record["phase"] == 1
    assert [entry["epoch"] for entry in record["history"]] == [1, 2, 3]
    assert bpfree.load(tmp_path / "run").predict(tiny().test.x).shape == (16, 10)


def test_a_closed_form_is_solved_with_the_rows_seen(tmp_path):
    """Sums that are solved when a pass ends are solved when a limit ends it: scores that differ between rows."""
    record = train(tmp_path / "run", "cafo", predictor="mse", max_steps=2)
    assert record["limit"] == "max_steps"
    assert record["result"]["data_passes"] == pytest.approx(2 / 5)
    assert bpfree.load(tmp_path / "run").predict(tiny().test.x).std(0).min() > 0


def test_no_time_at_all_is_one_step(tmp_path):
    """The limit is looked at after every batch, so the first one is always made."""
    record = train(tmp_path / "run", epochs=3, max_minutes=1e-9)
    assert (record["status"], record["limit"]) == ("finished", "max_minutes")
    assert record["result"]["data_passes"] == pytest.approx(1 / 5)


def test_the_command_line_says_which_limit_ended_the_run(bpfree, tmp_path):
    out = bpfree("train", "--algo", "mono-forward", *TINY, "--max-steps", 2, "--quiet", cwd=tmp_path).stdout
    (line,) = [line for line in out.splitlines() if line.split()[0] == "epochs"]
    assert line.endswith("ended by max_steps = 2)")
