"""Tasks, metrics and the label's place in the input. Expected values from scikit-learn and numpy in float64."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn import datasets, metrics

import bpfree
from bpfree.data.sources import TensorSource
from bpfree.rules.forward_forward import ForwardForward
from bpfree.runs.model import evaluate
from bpfree.training.data import Data, Spec
from tests.inputs.case import Case

Array = np.ndarray
SMALL = {"hidden": (30, 30), "batch_size": 20, "device": "cpu"}
RUN = {"epochs": 1, "meter": "none", "device": "cpu", "threads": 1}
READS_ITSELF = """
from bpfree import Trainer


class AsGiven(Trainer):
    tasks = ("classification", "regression")

    def local_losses(self, batch):
        yield from ()

    def predict(self, batch):
        return batch.x
"""


def data(x: Array, y: Array) -> Data:
    """Arrays as they are, every row in every part; integers are classes, floats ``(N, T)`` numbers."""
    classes = int(y.max()) + 1 if y.dtype.kind == "i" else 0
    part = TensorSource(torch.from_numpy(x).float(), torch.from_numpy(y if classes else y.astype(np.float32)))
    task, metric = ("classification", "accuracy") if classes else ("regression", "r2")
    targets = 0 if classes else y.shape[1]
    return Data(Spec("arrays", x.shape[1:], classes, None, task, metric, True, "", "", 0, targets), part, part, part)


def images(height: int, width: int, classes: int, border: bool = False) -> tuple[Array, Array]:
    x = np.random.default_rng(1).random((40, 1, height, width)).astype(np.float32)
    x[:, :, : int(border)] = 0
    return x, np.arange(40) % classes


def blobs(_: Path) -> tuple[Array, Array]:
    centres = [[-1.3, -1.3], [0, 0], [1.3, 1.3]]
    x, y = datasets.make_blobs(120, centers=centres, cluster_std=0.1, random_state=0)
    return x.astype(np.float32), y.astype(np.int64)


def forward_forward(epochs: int = 1, **settings: Any) -> Callable[[tuple[Array, Array]], ForwardForward]:
    def fitted(pair: tuple[Array, Array]) -> ForwardForward:
        values = {**SMALL, **settings, "epochs": epochs}
        device = values.pop("device")
        trainer = ForwardForward(**values)
        trainer.fit(data(*pair), device=device)
        return trainer

    return fitted


def guesses(pair: tuple[Array, Array]) -> Array:
    """Classes that forward-forward predicts for what it was trained on."""
    trainer = forward_forward(epochs=60)(pair)
    batch = next(data(*pair).val.batches(len(pair[0])))
    return trainer.predict(batch).argmax(1).numpy()


def kept(pair: tuple[Array, Array]) -> Array:
    """Values of the input that still stand in what the first layer sees, in their order."""
    trainer = forward_forward()(pair)
    x = torch.from_numpy(pair[0])
    codes = [trainer.label.join(x, torch.full((trainer.spec.classes,), c)).flatten(1) for c in (0.0, 1.0)]
    return codes[0][:, (codes[0] == codes[1]).all(0)].numpy()[:, -x[0].numel() :]


def notes(**settings: Any) -> Callable[[tuple[Array, Array]], list[str]]:
    return lambda pair: forward_forward(**settings)(pair).notes


def share_of_first(pair: tuple[Array, Array]) -> list[str]:
    """The variance of the first C values over that of all, in float64; every batch of 40 rows is the whole set."""
    spread = pair[0].reshape(len(pair[0]), -1).astype(np.float64).var(0)
    classes = pair[1].max() + 1
    return [
        f"the label stands in place of the first {classes} of {len(spread)} input values, which hold "
        f"{spread[:classes].sum() / spread.sum():.2%} of the inputs' variance: label_embedding = append loses none"
    ]


def scores(classes: int, rows: int = 300) -> Callable[[Path], tuple[Path, Array, Array]]:
    """A rule that predicts its input, in a folder; inputs that are class scores; classes of unlike sizes."""

    def make(folder: Path) -> tuple[Path, Array, Array]:
        (folder / "as_given.py").write_text(READS_ITSELF, encoding="utf-8")
        rng = np.random.default_rng(classes)
        y = (rng.random(rows) ** 3 * classes).astype(np.int64)
        y[:classes] = np.arange(classes)
        return folder, (rng.normal(size=(rows, classes)) + np.eye(classes)[y]).astype(np.float32), y

    return make


def numbers(targets: int, constant: bool = False) -> Callable[[Path], tuple[Path, Array, Array]]:
    """The same for numbers and predictions that are near them."""

    def make(folder: Path) -> tuple[Path, Array, Array]:
        (folder / "as_given.py").write_text(READS_ITSELF, encoding="utf-8")
        rng = np.random.default_rng(targets)
        y = np.ones((50, targets)) if constant else rng.normal(size=(50, targets))
        return folder, (y + 0.5 * rng.normal(size=y.shape)).astype(np.float32), y.astype(np.float32)

    return make


def trained(made: tuple[Path, Array, Array], **settings: Any) -> dict[str, Any]:
    folder, x, y = made
    rule = f"{folder / 'as_given.py'}:AsGiven"
    return bpfree.train(rule, data(x, y), out=folder / "run", hidden=(2,), **RUN, **settings)


def metric(name: str) -> Callable[[tuple[Path, Array, Array]], Any]:
    return lambda made: trained(made)["extensions"]["metrics"][name]


def own(text: str) -> Callable[[tuple[Path, Array, Array]], Any]:
    """Value of the user's own metric, or what went wrong with it."""

    def read(made: tuple[Path, Array, Array]) -> Any:
        file = made[0] / "mine.py"
        if text:
            file.write_text(text, encoding="utf-8")
        values = trained(made, metric=f"{file}:mine")["extensions"]["metrics"]["own"]
        return values["error"] or values["value"]

    return read


def of(function: Callable[..., Any], **options: Any) -> Callable[[tuple[Path, Array, Array]], Any]:
    """Scikit-learn's metric of the predicted classes."""
    return lambda made: function(made[2], made[1].argmax(1), **options)


def probabilities(made: tuple[Path, Array, Array]) -> Array:
    e = np.exp(made[1].astype(np.float64))
    return e / e.sum(1, keepdims=True)


def evaluated(folder: Path) -> tuple[Path, Array, Array]:
    """An uneven table in a file: 9 of 10 rows are of class 0."""
    y = (np.arange(200) % 10 == 9).astype(np.int64)
    x = (y[:, None] + np.random.default_rng(0).normal(size=(200, 3))).astype(np.float32)
    np.savez(folder / "table.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return folder, x, y


def evaluation(made: tuple[Path, Array, Array]) -> dict[str, Any]:
    """Balanced accuracy and confusion of ``predict --data``, less those of scikit-learn on the predictions."""
    folder, x, y = made
    name = f"npz:{folder / 'table.npz'}"
    bpfree.train("backprop", name, out=folder / "run", hidden=(8,), **RUN)
    model = bpfree.load(folder / "run")
    guess, ours = model.predict(x).numpy().argmax(1), evaluate(model, name, {})["metrics"]
    return {
        "balanced": ours["balanced_accuracy"] - metrics.balanced_accuracy_score(y, guess),
        "confusion": np.array(ours["confusion"]) - metrics.confusion_matrix(y, guess),
        "majority": ours["majority_share"],
    }


def cases() -> list[Case]:
    """Every case of this file."""
    ours = "label of forward-forward: "
    iris = datasets.load_iris()
    flowers = (iris.data.astype(np.float32), iris.target.astype(np.int64))
    mine = "def mine(scores, y):\n    return float((scores.argmax(1) == y).sum())\n"
    return [
        Case(ours + "two features, three blobs", "fit", blobs, guesses, lambda pair: pair[1]),
        Case(ours + "iris keeps its four features", "fit", lambda _: flowers, kept, lambda pair: pair[0]),
        Case(
            ours + "more classes than columns of a picture",
            "fit",
            lambda _: images(5, 6, 8),
            kept,
            lambda pair: pair[0].reshape(40, -1),
        ),
        Case(ours + "sequences", "fit", lambda _: (images(5, 6, 3)[0][:, 0], np.arange(40) % 3), kept, _flat),
        Case(ours + "empty border of pictures", "fit", lambda _: images(5, 6, 6, border=True), notes(), lambda _: []),
        Case(ours + "no border", "fit", lambda _: images(5, 6, 4), notes(batch_size=40), share_of_first),
        Case(
            ours + "written over too few features",
            "fit",
            blobs,
            forward_forward(label_embedding="overlay"),
            "3 class labels do not fit into inputs of shape (2,): use label_embedding = append",
        ),
        Case("numbers for a rule of classes", "fit", _numbers, forward_forward(), "cannot learn regression"),
        Case("metrics: accuracy", "train", scores(3), metric("accuracy"), of(metrics.accuracy_score)),
        Case(
            "metrics: balanced accuracy",
            "train",
            scores(4),
            metric("balanced_accuracy"),
            of(metrics.balanced_accuracy_score),
        ),
        Case("metrics: F1", "train", scores(5), metric("f1_macro"), of(metrics.f1_score, average="macro")),
        Case(
            "metrics: confusion",
            "train",
            scores(3),
            metric("confusion"),
            lambda made: metrics.confusion_matrix(made[2], made[1].argmax(1)).tolist(),
        ),
        Case(
            "metrics: top five of twelve",
            "train",
            scores(12),
            metric("top5_accuracy"),
            lambda made: metrics.top_k_accuracy_score(made[2], made[1], k=5),
        ),
        Case(
            "metrics: AUC of two classes",
            "train",
            scores(2),
            metric("auc_one_vs_rest"),
            lambda made: metrics.roc_auc_score(made[2], probabilities(made)[:, 1]),
        ),
        Case(
            "metrics: AUC of four classes",
            "train",
            scores(4),
            metric("auc_one_vs_rest"),
            lambda made: metrics.roc_auc_score(made[2], probabilities(made), multi_class="ovr"),
        ),
        Case(
            "metrics: share of the largest class",
            "train",
            scores(3),
            metric("majority_share"),
            lambda made: np.bincount(made[2]).max() / len(made[2]),
        ),
        Case("metrics: R2", "train", numbers(2), metric("r2"), lambda made: metrics.r2_score(made[2], made[1])),
        Case("metrics: R2 of a constant", "train", numbers(1, constant=True), metric("r2"), lambda _: 0.0),
        Case(
            "metrics: mean absolute error",
            "train",
            numbers(3),
            metric("mae"),
            lambda made: metrics.mean_absolute_error(made[2], made[1]),
        ),
        Case(
            "metric of one's own",
            "train",
            scores(3),
            own(mine),
            lambda made: float((made[1].argmax(1) == made[2]).sum()),
        ),
        Case("metric of one's own in no file", "train", scores(3), own(""), "does not exist: give FILE.py:object"),
        Case(
            "metric of one's own that fails",
            "train",
            scores(3),
            own("def mine(scores, y):\n    raise ValueError('no')\n"),
            lambda _: "ValueError: no",
        ),
        Case(
            "uneven classes",
            "predict --data",
            evaluated,
            evaluation,
            lambda _: {"balanced": 0.0, "confusion": np.zeros((2, 2)), "majority": 0.9},
        ),
    ]


def _flat(pair: tuple[Array, Array]) -> Array:
    return pair[0].reshape(len(pair[0]), -1)


def _numbers(_: Path) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 3)).astype(np.float32), rng.normal(size=(20, 2))
