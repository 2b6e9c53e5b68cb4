"""Phases: validation, early stop, the learning rate and the optimizer of each."""

import pytest
import torch
import torch.nn.functional as F
from small import loop_of, run, snapshot, tiny

from bpfree.rules.mono_forward import MonoForward
from bpfree.training.loop import Loop
from bpfree.training.trainer import Batch, Local, Phase

SMALL = {"hidden": (12, 10), "epochs": 2, "batch_size": 8}


class Scripted(MonoForward):
    """The validation accuracy goes as ``script`` says: predictions are right for that many of 8 rows."""

    script: list[int] = []

    def predict(self, batch: Batch):
        right = self.script[min(len(self.seen), len(self.script) - 1)]
        wrong = (self.truth + 1) % 10
        self.seen.append(snapshot(self))
        return F.one_hot(torch.where(torch.arange(8) < right, self.truth, wrong), 10).float()[: len(batch.x)]

    def setup(self):
        super().setup()
        self.seen: list[dict] = []
        self.truth = tiny().val.y  # a rule does not get the answers when it predicts


def scripted(script: list[int], **values) -> tuple[Scripted, Loop]:
    rule = Scripted(**{**SMALL, "epochs": 20, **values})
    rule.script = script
    return rule, run(rule)


def test_patience_stops_the_phase_and_the_best_state_comes_back():
    """3, 5, 4, 5 right of 8 with patience 2: stops after epoch 4 with the weights of epoch 2."""
    rule, loop = scripted([3, 5, 4, 5, 8], patience=2)
    assert [entry["val"] for entry in loop.history] == [3 / 8, 5 / 8, 4 / 8, 5 / 8]
    assert [entry["best"] for entry in loop.history] == [3 / 8, 5 / 8, 5 / 8, 5 / 8]
    assert all(tensor.equal(rule.seen[1][name]) for name, tensor in rule.state_dict().items())


def test_validation_comes_every_few_epochs_and_at_the_end_of_a_phase():
    loop = run(MonoForward(**{**SMALL, "epochs": 5}), validate_every=2)
    assert [entry["epoch"] for entry in loop.history] == [2, 4, 5]


def test_patience_counts_epochs_however_often_they_are_validated():
    """Nothing improves: with patience 5 and a validation every 2 epochs, the first after 2, it stops after 8."""
    loop = run(MonoForward(**{**SMALL, "epochs": 20, "patience": 5, "min_delta": 2.0}), validate_every=2)
    assert [entry["epoch"] for entry in loop.history] == [2, 4, 6, 8]


def test_every_phase_has_an_early_stop_of_its_own():
    """A good first phase must not stop the second: 6, then 1, 1 with patience 1."""
    _, loop = scripted([6, 5, 1, 2, 1], patience=1, schedule="sequential")
    assert [(entry["phase"], entry["val"]) for entry in loop.history] == [
        ("block 0", 6 / 8),
        ("block 0", 5 / 8),
        ("block 1", 1 / 8),
        ("block 1", 2 / 8),
        ("block 1", 1 / 8),
    ]


def test_the_learning_rate_follows_the_progress_of_the_phase():
    """Two epochs of three batches in each of two phases, half-linear: 1, 1, 1, then 1, 2/3, 1/3; and again."""
    rates: list[float] = []

    class Noting(MonoForward):
        def on_step(self, owner):
            rates.append(self.loop.learner.owners[owner].optimizer.param_groups[0]["lr"])

    rule = Noting(**SMALL, schedule="sequential", lr=1.0, optimizer="sgd", lr_schedule="half-linear")
    loop = loop_of(rule, tiny())
    object.__setattr__(rule, "loop", loop)
    loop.run()
    assert rates == pytest.approx([1, 1, 1, 1, 2 / 3, 1 / 3] * 2, abs=1e-12)


def test_warm_up_counts_the_batches_of_the_phase():
    """Two epochs of three batches in each of two phases, warm over four: 1/4, 1/2, 3/4, 1, 1, 1; and again."""
    rates: list[float] = []

    class Noting(MonoForward):
        def on_step(self, owner):
            rates.append(self.loop.learner.owners[owner].optimizer.param_groups[0]["lr"])

    rule = Noting(**SMALL, schedule="sequential", lr=1.0, optimizer="sgd", lr_schedule="constant", warmup_steps=4)
    loop = loop_of(rule, tiny())
    object.__setattr__(rule, "loop", loop)
    loop.run()
    assert rates == [0.25, 0.5, 0.75, 1, 1, 1] * 2


def test_every_phase_begins_with_a_fresh_optimizer():
    """SGD with momentum on a constant gradient: the first step of the second phase is as long as that of the first."""
    steps: list[float] = []

    class Constant(MonoForward):
        def local_losses(self, batch):
            p = self.heads[0].weight
            before = p.detach().clone()
            yield Local(p.sum(), owner=0)
            steps.append((before - p.detach()).mean().item())

        def phases(self, epochs):
            return [Phase("first", (0, 1), epochs), Phase("second", (0, 1), epochs)]

    run(Constant(**{**SMALL, "epochs": 1}, optimizer="sgd", lr=0.1, momentum=0.5, lr_schedule="constant"))
    assert steps == pytest.approx([0.1, 0.15, 0.175] * 2, rel=1e-3)
