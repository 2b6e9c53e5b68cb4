"""``predict`` of a rule that was fitted: raw examples as arrays, tensors and lists, normalised as in training."""

import numpy as np
import pytest
import torch

import bpfree
from bpfree.errors import InputError
from bpfree.rules.backprop import Backprop
from bpfree.rules.forward_forward import ForwardForward
from bpfree.rules.mono_forward import MonoForward

RNG = np.random.default_rng(0)
X, Y = 50 + 20 * RNG.standard_normal((60, 5)), np.arange(60) % 3
SMALL = {"hidden": (8,), "epochs": 2, "batch_size": 16}


@pytest.mark.parametrize("rule", [MonoForward, Backprop, ForwardForward])
def test_a_fitted_rule_predicts_what_its_run_predicts(rule, tmp_path):
    fitted = rule(**SMALL)
    fitted.fit(X, Y, device="cpu")
    bpfree.train(rule, (X, Y), out=tmp_path / "run", device="cpu", meter="none", **SMALL)
    expected = bpfree.load(tmp_path / "run").predict(X)
    assert expected.std() > 0
    for x in (X, torch.from_numpy(X), X.tolist()):
        assert torch.equal(fitted.predict(x), expected)


def test_numbers_come_back_in_their_units():
    y = 1000 + 100 * X[:, 0]
    rule = Backprop(hidden=(16,), epochs=150, batch_size=16, lr=1e-2)
    rule.fit(X, y, device="cpu")
    predicted = rule.predict(X)
    assert predicted.shape == (60, 1)
    assert np.corrcoef(predicted[:, 0], y)[0, 1] > 0.95
    assert abs(predicted.mean().item() - y.mean()) < 0.2 * y.std()


def test_a_subclass_predicts_through_its_parent():
    class Mine(MonoForward):
        def predict(self, batch):
            return 2 * super().predict(batch)

    mine, parent = Mine(**SMALL), MonoForward(**SMALL)
    mine.fit(X, Y, device="cpu")
    parent.fit(X, Y, device="cpu")
    assert torch.equal(mine.predict(X), 2 * parent.predict(X))
    assert not mine.training


def test_a_rule_that_was_not_fitted_says_so():
    with pytest.raises(InputError, match="MonoForward has not been trained: call fit first"):
        MonoForward().predict(X)


@pytest.mark.parametrize(
    ("x", "line"),
    [(X[:, :4], "x has shape"), (X * np.nan, "NaN"), ("rows.csv", "x"), (X.astype(str), "x")],
    ids=["shape", "nan", "path", "text"],
)
def test_other_examples_are_refused_in_a_line(x, line):
    rule = MonoForward(**SMALL)
    rule.fit(X, Y, device="cpu")
    with pytest.raises(InputError, match=line):
        rule.predict(x)
