"""The early stop and the diagnostics."""

import math

import pytest
import torch
from torch import nn

from bpfree.training.diagnostics import Monitor
from bpfree.training.early_stopping import EarlyStop


def stopped(
    values: list[float], patience: int | None, min_delta: float, maximize: bool = True
) -> tuple[int, float, int]:
    """(epochs run, best value, epoch of the best) of a run whose validation metric goes through ``values``."""
    stop, trainer = EarlyStop(patience, min_delta, maximize), nn.Linear(1, 1)
    for epoch, value in enumerate(values, 1):
        stop.update(value, epoch, trainer)
        if stop.done:
            break
    return epoch, stop.value, stop.epoch


@pytest.mark.parametrize(
    ("values", "patience", "min_delta", "expected"),
    [
        ([0.5, 0.6, 0.6, 0.59, 0.9], 2, 0.0, (4, 0.6, 2)),  # two epochs without more than 0.6
        ([0.5, 0.6, 0.55, 0.61, 0.6, 0.6], 2, 0.0, (6, 0.61, 4)),  # an improvement starts the count anew
        ([0.5, 0.55, 0.58, 0.61], 3, 0.1, (4, 0.61, 4)),  # small steps add up against the best, not the last
        ([0.5, 0.55, 0.58, 0.59], 3, 0.1, (4, 0.5, 1)),  # … but not to more than 0.1
        ([0.9, 0.1, 0.1], 1, 0.0, (2, 0.9, 1)),
        ([0.1, 0.2, 0.3], 1, 0.0, (3, 0.3, 3)),
        ([0.5, 0.5, 0.5, 0.5], None, 0.0, (4, 0.5, 1)),  # no patience: never stops, keeps the best
    ],
)
def test_early_stop_by_hand(values, patience, min_delta, expected):
    assert stopped(values, patience, min_delta) == expected


def test_early_stop_of_a_metric_that_falls():
    assert stopped([3.0, 2.0, 2.5, 2.1], 2, 0.0, maximize=False) == (4, 2.0, 2)


def test_a_gain_of_exactly_min_delta_is_none():
    assert stopped([0.5, 0.75], 1, 0.25) == (2, 0.5, 1)


def test_the_best_state_is_restored():
    stop, trainer = EarlyStop(None, 0.0, True), nn.Linear(1, 1, bias=False)
    for epoch, value in enumerate([0.2, 0.9, 0.4], 1):
        trainer.weight.data.fill_(epoch)
        stop.update(value, epoch, trainer)
    stop.restore(trainer)
    assert trainer.weight.item() == 2.0


def test_the_best_state_is_a_copy():
    stop, trainer = EarlyStop(None, 0.0, True), nn.Linear(1, 1, bias=False)
    trainer.weight.data.fill_(1.0)
    stop.update(0.5, 1, trainer)
    trainer.weight.data.fill_(7.0)
    assert stop.best_state["weight"].item() == 1.0


def test_without_a_best_state_nothing_is_restored():
    trainer = nn.Linear(1, 1)
    before = trainer.weight.clone()
    EarlyStop(None, 0.0, True).restore(trainer)
    assert trainer.weight.equal(before)


def test_nan_is_never_an_improvement():
    assert stopped([0.5, math.nan], 1, 0.0) == (2, 0.5, 1)


def test_early_stop_goes_on_from_its_state():
    stop, trainer = EarlyStop(2, 0.0, True), nn.Linear(1, 1)
    for epoch, value in enumerate([0.5, 0.4], 1):
        stop.update(value, epoch, trainer)
    again = EarlyStop(2, 0.0, True)
    again.load_state_dict(stop.state_dict())
    again.update(0.45, 3, trainer)
    assert (again.done, again.value, again.epoch) == (True, 0.5, 1)


def test_summary_has_the_means_of_an_epoch_by_owner():
    monitor = Monitor()
    for value in (1.0, 3.0):
        monitor.record_loss(0, torch.tensor(value), 0)
    monitor.record_loss("head", torch.tensor(5.0), 0)
    assert monitor.summary()["loss"] == {"0": 2.0, "head": 5.0}


def test_summary_starts_anew():
    monitor = Monitor()
    monitor.record_loss(0, torch.tensor(1.0), 0)
    monitor.summary()
    monitor.record_loss(0, torch.tensor(4.0), 0)
    assert monitor.summary()["loss"] == {"0": 4.0}


def test_gradient_norm_is_over_all_of_an_owners_gradients():
    monitor = Monitor()
    monitor.record_gradient(0, [torch.tensor([3.0]), torch.tensor([4.0])], 0)
    assert monitor.summary()["grad_norm"] == {"0": 5.0}


def test_dead_units_are_those_off_for_every_sample():
    block = nn.ReLU()
    monitor = Monitor()
    with monitor.watching([(4, block)]):
        block(torch.tensor([[1.0, -1.0, -1.0, 0.0], [2.0, -1.0, 5.0, -3.0]]))
    assert monitor.summary()["dead"] == {"4": 0.5}


def test_watching_sees_the_output_of_the_last_part_of_a_block():
    block = nn.Sequential(nn.Identity(), nn.ReLU())
    monitor = Monitor()
    with monitor.watching([(0, block)]):
        block[1](torch.tensor([[-1.0, 1.0]]))  # a rule may run a block's parts one by one
    assert monitor.summary()["dead"] == {"0": 0.5}


def test_watching_ends_with_its_scope():
    block, monitor = nn.ReLU(), Monitor()
    with monitor.watching([(0, block)]):
        pass
    block(torch.tensor([[-1.0]]))
    assert monitor.summary()["dead"] == {}


def test_evaluation_is_not_watched():
    block, monitor = nn.ReLU(), Monitor()
    with monitor.watching([(0, block)]), torch.no_grad():
        block(torch.tensor([[-1.0]]))
    assert monitor.summary()["dead"] == {}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_names_its_block_and_step(bad: float):
    monitor = Monitor()
    for batch, value in enumerate((1.0, 2.0, bad)):
        monitor.record_loss(1, torch.tensor(value), batch)
        monitor.record_loss(0, torch.tensor(1.0), batch)
    assert "block 1" in monitor.not_finite()
    assert "step 3" in monitor.not_finite()


def test_the_first_of_two_bad_losses_is_named():
    monitor = Monitor()
    for batch, (first, second) in enumerate(((1.0, 1.0), (1.0, math.nan), (math.inf, math.nan))):
        monitor.record_loss(0, torch.tensor(first), batch)
        monitor.record_loss(1, torch.tensor(second), batch)
    assert "block 1 became nan at step 2" in monitor.not_finite()


def test_finite_losses_are_no_complaint():
    monitor = Monitor()
    monitor.record_loss(0, torch.tensor(3e38), 0)
    monitor.record_loss(0, torch.tensor(3e38), 0)
    assert monitor.not_finite() is None


def test_diagnostics_go_on_from_their_state():
    monitor, again = Monitor(), Monitor()
    monitor.record_loss(0, torch.tensor(1.0), 0)
    again.load_state_dict(monitor.state_dict())
    for one in (monitor, again):
        one.record_loss(0, torch.tensor(2.0), 0)
    assert again.summary() == monitor.summary()


def test_several_losses_of_one_step_count_as_one_step():
    monitor = Monitor()
    for value in (1.0, 1.0, math.nan):
        monitor.record_loss(0, torch.tensor(value), 0)
    assert "block 0 became nan at step 1" in monitor.not_finite()


def test_a_gradient_that_is_not_finite_is_named_too():
    monitor = Monitor()
    monitor.record_loss("net", torch.tensor(1.0), 4)
    monitor.record_gradient("net", [torch.tensor([math.inf])], 4)
    assert monitor.not_finite() == "the gradient norm of owner net became inf at step 5 of the run"
