"""Schedules of the learning rate."""

import math

import pytest
import torch
from torch import nn

from bpfree.training.optimizers import lr_factor, warmup_factor

PROGRESS = [0.0, 0.1, 0.25, 0.5, 0.6, 0.75, 0.9, 1.0]


@pytest.mark.parametrize("progress", PROGRESS)
def test_constant_schedule(progress: float):
    assert lr_factor("constant", progress) == 1.0


@pytest.mark.parametrize("progress", PROGRESS)
def test_cosine_schedule_is_half_of_one_plus_cosine(progress: float):
    assert lr_factor("cosine", progress) == pytest.approx((1 + math.cos(math.pi * progress)) / 2, abs=1e-15)


def test_steps_schedule_quarters_the_rate_four_times():
    """At 50, 75, 87.5 and 93.75 of 100, as 200, 300, 350 and 375 of 400 epochs in arXiv 1901.06656."""
    factors = [lr_factor("steps", percent / 100) for percent in (0, 49, 50, 74, 75, 87, 88, 93, 94, 100)]
    assert factors == [1, 1, *[4**-1] * 2, *[4**-2] * 2, *[4**-3] * 2, *[4**-4] * 2]


@pytest.mark.parametrize("progress", PROGRESS)
def test_half_linear_schedule_is_constant_to_half_then_falls_to_zero(progress: float):
    expected = 1.0 if progress <= 0.5 else (1 - progress) / 0.5
    assert lr_factor("half-linear", progress) == pytest.approx(expected, abs=1e-15)


def test_one_cycle_is_torchs_up_to_the_length_of_its_steps():
    """OneCycleLR counts n steps from 0 to n - 1, with its peak one step before 30 % of them."""
    n = 10_000
    torch_owner = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(torch_owner, 1.0, total_steps=n, cycle_momentum=False)
    for step in range(n):
        assert lr_factor("one-cycle", step / n) == pytest.approx(schedule.get_last_lr()[0], abs=1e-3)
        torch_owner.step()
        if step < n - 1:
            schedule.step()
    ends = [lr_factor("one-cycle", progress) for progress in (0.0, 0.15, 0.3, 1.0)]
    assert ends == pytest.approx([1 / 25, 0.52, 1.0, 1 / 250_000], abs=1e-12)


def test_warm_up_rises_linearly_to_the_scheduled_rate():
    assert [warmup_factor(4, done) for done in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_without_warm_up_the_first_step_has_the_whole_rate():
    assert warmup_factor(0, 0) == 1.0
