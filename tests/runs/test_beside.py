"""Metrics beside the selected one: in the record, in the tables, and those of the user's own."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk

import bpfree
from bpfree import InputError
from bpfree.cli.output import closing
from bpfree.runs import model as models

OWN = """def worst_class(scores, y):
    right = scores.argmax(1) == y
    return min(right[y == c].mean() for c in set(y))
"""


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """180 rows of class 0, 20 of class 1, which overlap; the test part is as uneven."""
    rng = np.random.default_rng(0)
    y = (np.arange(400) % 10 == 9).astype(np.int64)
    x = (y[:, None] + 1.2 * rng.normal(size=(400, 3))).astype(np.float32)
    path = tmp_path_factory.mktemp("uneven") / "uneven.npz"
    np.savez(path, x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    return path


@pytest.fixture(scope="module")
def trained(uneven: Path) -> tuple[dict, Path, Path]:
    """A record, with its folder and the file of the user's own metric."""
    own = uneven.with_name("mine.py")
    own.write_text(OWN)
    out = uneven.with_name("run")
    options = {"hidden": (8,), "epochs": 3, "out": out, "meter": "none", "threads": 1}
    return bpfree.train("backprop", f"npz:{uneven}", metric=f"{own}:worst_class", **options), out, own


def test_record_has_the_metrics_of_the_test_part(trained: tuple[dict, Path, Path], uneven: Path):
    record, out, _ = trained
    with np.load(uneven) as data:
        x, y = data["x_test"], data["y_test"]
    scores = bpfree.load(out).predict(x).double()
    guess, p = scores.numpy().argmax(1), scores.softmax(1).numpy()
    ours = record["extensions"]["metrics"]
    close = {"rel": 0, "abs": 1e-12}
    assert ours["accuracy"] == record["result"]["test"] == sk.accuracy_score(y, guess)
    assert ours["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, guess), **close)
    assert ours["f1_macro"] == pytest.approx(sk.f1_score(y, guess, average="macro"), **close)
    assert ours["auc_one_vs_rest"] == pytest.approx(sk.roc_auc_score(y, p[:, 1]), **close)
    assert ours["confusion"] == sk.confusion_matrix(y, guess).tolist()
    assert (ours["majority_share"], ours["rows"]) == (0.9, 200)
    assert json.loads((out / "run.json").read_text())["extensions"]["metrics"] == ours


def test_own_metric_is_recorded_with_its_file(trained: tuple[dict, Path, Path], uneven: Path):
    record, out, own = trained
    with np.load(uneven) as data:
        x, y = data["x_test"], data["y_test"]
    recall = sk.recall_score(y, bpfree.load(out).predict(x).numpy().argmax(1), average=None)
    assert record["extensions"]["metrics"]["own"] == {
        "name": f"{own}:worst_class",
        "sha256": hashlib.sha256(own.read_bytes()).hexdigest(),
        "value": pytest.approx(recall.min(), abs=1e-12),
        "error": None,
    }


def test_uneven_classes_are_told_of_beside_the_accuracy(trained: tuple[dict, Path, Path], capsys):
    closing.print_run(trained[0])
    lines = {line.strip().split("  ")[0]: line for line in capsys.readouterr().out.splitlines()}
    values = trained[0]["extensions"]["metrics"]
    assert lines["balanced accuracy"].endswith(f"{values['balanced_accuracy']:.2%}")
    assert lines["share of the largest class"].endswith("90.00%")
    assert any("mine.py:worst_class" in name for name in lines)


def test_even_classes_have_nothing_more_to_tell(trained: tuple[dict, Path, Path], capsys):
    record = {**trained[0], "extensions": {"metrics": {"balanced_accuracy": 0.9, "majority_share": 0.55}}}
    closing.print_run(record)
    assert "balanced" not in capsys.readouterr().out


def test_evaluation_has_the_metrics_and_the_confusion_matrix(trained: tuple[dict, Path, Path], uneven: Path, capsys):
    record, out, _ = trained
    values = models.evaluate(bpfree.load(out), f"npz:{uneven}", {})
    assert values["metrics"] == record["extensions"]["metrics"]
    closing.print_evaluation(values, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2:] for line in lines if line.strip().startswith("class ")] == [
        [str(n) for n in row] for row in values["metrics"]["confusion"]
    ]
    assert any(line.split("  ")[1:] and line.strip().startswith("AUC, one against the rest") for line in lines)
    closing.print_evaluation(values, as_json=True)
    assert json.loads(capsys.readouterr().out) == values


def test_own_metric_that_fails_loses_no_run(uneven: Path, tmp_path: Path):
    file = tmp_path / "bad.py"
    file.write_text("def f(scores, y):\n    return 1 / 0\n")
    options = {"hidden": (2,), "epochs": 1, "out": tmp_path / "run", "meter": "none", "threads": 1}
    record = bpfree.train("backprop", f"npz:{uneven}", metric=f"{file}:f", **options)
    own = record["extensions"]["metrics"]["own"]
    assert (record["status"], own["value"], own["error"]) == ("finished", None, "ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (None, "f", r"metric file .* does not exist"),
        ("f = 3\n", "f", r"is not a function: write FILE.py:function"),
        ("def g(scores, y):\n    return 0\n", "f", r"unknown object in .* 'f'"),
        ("import nowhere_at_all\n", "f", r"does not import: ModuleNotFoundError"),
    ],
)
def test_own_metric_is_checked_before_anything_is_trained(
    uneven: Path, tmp_path: Path, text: str | None, name: str, message: str
):
    file = tmp_path / f"metric_{len(text or '')}.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=message):
        bpfree.train("backprop", f"npz:{uneven}", metric=f"{file}:{name}", out=tmp_path / "run", meter="none")
    assert not (tmp_path / "run").exists()


def test_errors_of_numbers_are_in_the_units_of_the_data(tmp_path: Path):
    """Numbers are learnt at mean 0 and deviation 1: of two targets of unlike units both count as they are."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3))
    y = x[:, :2] * [500.0, 0.1] + [2000.0, -7.0] + rng.normal(size=(90, 2))
    own = tmp_path / "mine.py"
    own.write_text("def worst(numbers, targets):\n    return abs(numbers - targets).max()\n")
    options = {"hidden": (8,), "epochs": 3, "out": tmp_path / "run", "meter": "none", "threads": 1}
    record = bpfree.train("backprop", (x[:60], y[:60], x[60:], y[60:]), metric=f"{own}:worst", **options)
    guess, ours = bpfree.load(tmp_path / "run").predict(x[60:]).numpy(), record["extensions"]["metrics"]
    assert ours["mse"] == pytest.approx(sk.mean_squared_error(y[60:], guess), rel=1e-5)
    assert ours["mae"] == pytest.approx(sk.mean_absolute_error(y[60:], guess), rel=1e-5)
    assert ours["r2"] == pytest.approx(record["result"]["test"], rel=1e-5)
    assert ours["own"]["value"] == pytest.approx(np.abs(guess - y[60:]).max(), rel=1e-5)
