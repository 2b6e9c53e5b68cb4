"""Metrics, against scikit-learn's in float64 and against cases worked by hand."""

import contextlib

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from bpfree.functional import metrics
from bpfree.functional.metrics import METRICS, accuracy, mse, r2

EXACT = {"rel": 0, "abs": 1e-12}
SHAPES = [(40, 2), (200, 3), (500, 10), (60, 30)]  # the last one lacks some classes, in the targets and in the guesses


def classes(rows: int, count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores that know something of targets whose classes are of unlike sizes."""
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) ** 2 * count).astype(np.int64)
    return torch.from_numpy(rng.normal(size=(rows, count)) + 2 * np.eye(count)[y]), torch.from_numpy(y)


def test_accuracy_counts_rows_whose_largest_score_is_the_target():
    scores = torch.tensor([[0.1, 0.9], [2.0, -1.0], [0.0, 5.0]])
    assert accuracy(scores, torch.tensor([1, 0, 0])).item() == 2 / 3


def test_mse_is_the_mean_over_all_entries():
    assert mse(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])).item() == 2.5


def test_metrics_have_names():
    assert {"accuracy": accuracy, "mse": mse, "r2": r2}.items() <= METRICS.items()


@pytest.mark.parametrize(("rows", "count"), SHAPES)
def test_metrics_of_classes_are_those_of_scikit_learn(rows: int, count: int):
    scores, y = classes(rows, count)
    ours, guess = metrics.of_classes(scores, y), scores.numpy().argmax(1)
    assert ours["rows"] == rows
    assert ours["accuracy"] == pytest.approx(sk.accuracy_score(y, guess), **EXACT)
    with pytest.warns(UserWarning, match="y_pred") if set(guess) - set(y.tolist()) else contextlib.nullcontext():
        assert ours["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, guess), **EXACT)
    assert ours["f1_macro"] == pytest.approx(sk.f1_score(y, guess, average="macro"), **EXACT)
    assert ours["majority_share"] == np.bincount(y).max() / rows
    assert ours["confusion"] == sk.confusion_matrix(y, guess, labels=range(count)).tolist()


@pytest.mark.parametrize(("rows", "count"), SHAPES[2:])
def test_top_five_is_that_of_scikit_learn(rows: int, count: int):
    scores, y = classes(rows, count)
    expected = sk.top_k_accuracy_score(y, scores.numpy(), k=5, labels=range(count))
    assert metrics.of_classes(scores, y)["top5_accuracy"] == pytest.approx(expected, **EXACT)


def test_top_five_of_equal_scores_is_that_of_scikit_learn():
    scores, y = torch.zeros(12, 6, dtype=torch.float64), torch.arange(12) % 6
    expected = sk.top_k_accuracy_score(y, scores.numpy(), k=5)
    assert metrics.of_classes(scores, y)["top5_accuracy"] == pytest.approx(expected, **EXACT)


def test_top_five_says_nothing_of_five_classes():
    assert "top5_accuracy" not in metrics.of_classes(*classes(50, 5))


@pytest.mark.parametrize(("rows", "count"), SHAPES[:3])
def test_auc_is_that_of_scikit_learn_on_probabilities(rows: int, count: int):
    scores, y = classes(rows, count)
    p = scores.softmax(1).numpy()
    expected = sk.roc_auc_score(y, p[:, 1]) if count == 2 else sk.roc_auc_score(y, p, multi_class="ovr")
    assert metrics.of_classes(scores, y)["auc_one_vs_rest"] == pytest.approx(expected, **EXACT)


def test_auc_ranks_rows_whose_probabilities_round_to_one():
    """Of two classes the rank is that of the difference of the scores, however large it is."""
    scores, y = classes(60, 2)
    expected = sk.roc_auc_score(y, (scores[:, 1] - scores[:, 0]).numpy())
    assert metrics.of_classes(scores * 1e4, y)["auc_one_vs_rest"] == pytest.approx(expected, **EXACT)


def test_auc_is_the_mean_over_the_classes_that_have_rows():
    scores, y = classes(80, 3)
    y[y == 1] = 0
    p = scores.softmax(1).numpy()
    expected = (sk.roc_auc_score(y == 0, p[:, 0]) + sk.roc_auc_score(y == 2, p[:, 2])) / 2
    assert metrics.of_classes(scores, y)["auc_one_vs_rest"] == pytest.approx(expected, **EXACT)


def test_one_class_alone_has_no_auc():
    assert metrics.of_classes(torch.randn(5, 3), torch.zeros(5, dtype=torch.int64))["auc_one_vs_rest"] is None


def test_confusion_of_many_classes_is_left_out():
    scores = torch.eye(101)
    assert metrics.of_classes(scores, torch.arange(101))["confusion"] is None


def test_rows_of_one_class_do_not_hide_the_other():
    """99 of 100 rows are of class 0, and so are all predictions."""
    y = torch.tensor([0] * 99 + [1])
    ours = metrics.of_classes(torch.tensor([[1.0, 0.0]]).expand(100, 2), y)
    assert (ours["accuracy"], ours["majority_share"], ours["balanced_accuracy"]) == (0.99, 0.99, 0.5)


@pytest.mark.parametrize("targets", [1, 3])
def test_metrics_of_numbers_are_those_of_scikit_learn(targets: int):
    rng = np.random.default_rng(1)
    y = rng.normal(size=(50, targets)) * [1, 10, 0.1][:targets]
    f = y + rng.normal(size=y.shape)
    ours = metrics.of_numbers(torch.from_numpy(f), torch.from_numpy(y))
    assert ours["r2"] == pytest.approx(sk.r2_score(y, f), rel=1e-12)
    assert ours["mse"] == pytest.approx(sk.mean_squared_error(y, f), rel=1e-12)
    assert ours["mae"] == pytest.approx(sk.mean_absolute_error(y, f), rel=1e-12)


@pytest.mark.parametrize(("miss", "expected"), [(0.0, 1.0), (0.5, 0.0)])
def test_r2_of_a_target_that_does_not_vary_is_defined_as_in_scikit_learn(miss: float, expected: float):
    y = np.full((6, 1), 3.0)
    assert sk.r2_score(y, y + miss) == expected
    assert r2(torch.from_numpy(y + miss), torch.from_numpy(y)).item() == expected


def test_r2_of_several_nets_is_the_mean_of_theirs():
    y = torch.randn(20, 2, dtype=torch.float64)
    f = y[:, None] + torch.randn(20, 3, 2, dtype=torch.float64)
    expected = np.mean([sk.r2_score(y.numpy(), f[:, r].numpy()) for r in range(3)])
    assert r2(f, y).item() == pytest.approx(expected, **EXACT)
