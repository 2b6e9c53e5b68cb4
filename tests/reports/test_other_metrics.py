"""The other metrics of a report, and its confusion matrices."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sound
from scipy import stats
from sklearn import metrics as sk

from bpfree.reports import other_metrics, pages, tables

CLASSES = ["cat", "<b>dog</b>", "owl"]


def predictions(arm: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predicted classes of a made-up run: one in five rows is wrong, one in ten of the arm mine."""
    rng = np.random.default_rng([seed, len(arm)])
    y = rng.integers(0, 3, 60)
    wrong = rng.random(60) < (0.1 if arm == "mine" else 0.2)
    return y, np.where(wrong, (y + 1) % 3, y)


def with_metrics(made: dict[str, Any], arm: str, seed: int) -> None:
    y, predicted = predictions(arm, seed)
    made["data"]["class_names"] = CLASSES
    made["extensions"] = {
        "metrics": {
            "rows": 60,
            "f1_macro": sk.f1_score(y, predicted, average="macro"),
            "balanced_accuracy": sk.balanced_accuracy_score(y, predicted),
            "auc_one_vs_rest": None,
            "confusion": sk.confusion_matrix(y, predicted, labels=[0, 1, 2]).tolist(),
        }
    }


@pytest.fixture
def report(tmp_path: Path) -> dict[str, Any]:
    return sound.report(tmp_path, with_metrics)


def test_means_and_matrices_are_those_of_scikit_learn(report):
    """The sum of the matrices; recall and F1 as mean over the seeds, with the t interval of scipy."""
    for row in report["budgets"][0]["other_metrics"]:
        runs = [predictions(row["arm"], seed) for seed in sound.SEEDS]
        both = [np.concatenate(parts) for parts in zip(*runs, strict=True)]
        assert row["confusion"] == sk.confusion_matrix(*both).tolist()
        f1 = [sk.f1_score(*run, average="macro") for run in runs]
        low, high = stats.t.interval(0.95, len(f1) - 1, np.mean(f1), stats.sem(f1))
        summary = row["means"]["f1_macro"]
        assert (summary["mean"], summary["low"], summary["high"]) == pytest.approx((np.mean(f1), low, high))
        recall = np.mean([sk.recall_score(*run, average=None) for run in runs], axis=0)
        assert [summary["mean"] for summary in row["recall"]] == pytest.approx(list(recall))
        assert "auc_one_vs_rest" not in row["means"]


def test_page_and_markdown_tell_classes_by_name_and_as_text(report):
    page, text = pages.page(report), tables.markdown(report)
    body = page.split('<script type="application/json"')[0]
    assert body.count("Other metrics, and each class") == 1
    assert "<b>dog</b>" not in body
    assert "&lt;b&gt;dog&lt;/b&gt;" in body
    assert "### Recall of each class" in text
    assert "F1, mean over classes" in text
    row = report["budgets"][0]["other_metrics"][0]
    counts = [count for line in row["confusion"] for count in line]
    shown = re.findall(r'<td class="h\d+" title="[^"]*">([\d,]+)</td>', body)
    assert [int(number) for number in shown[:9]] == counts


def test_of_many_classes_there_is_a_picture_without_numbers(report):
    """The diagonal is as dark as can be, and everything else empty."""
    row = report["budgets"][0]["other_metrics"][0]
    classes = [str(c) for c in range(30)]
    many = {**row, "confusion": (np.eye(30, dtype=int) * 7).tolist(), "classes": classes, "recall": row["recall"] * 10}
    drawn = other_metrics.section({"other_metrics": [many]})
    assert len(re.findall(r'class="h10" title="(\d+) as \1: 7"></td>', drawn)) == 30
    assert len(re.findall(r'class="h0"', drawn)) == 30 * 29


def test_records_without_metrics_and_older_reports_have_no_such_part(tmp_path):
    made = sound.report(tmp_path)
    assert made["budgets"][0]["other_metrics"] == []
    assert "Other metrics" not in pages.page(made)
    del made["budgets"][0]["other_metrics"]
    assert "Other metrics" not in pages.page(made) + tables.markdown(made)


def test_runs_with_unlike_classes_have_means_but_no_matrix(tmp_path):
    def change(made: dict, arm: str, seed: int) -> None:
        with_metrics(made, arm, seed)
        if seed == 1:
            made["extensions"]["metrics"]["confusion"] = [[1, 0], [0, 1]]

    row = sound.report(tmp_path, change)["budgets"][0]["other_metrics"][0]
    assert row["confusion"] is row["recall"] is row["classes"] is None
    assert row["means"]["f1_macro"]["n"] == 5
