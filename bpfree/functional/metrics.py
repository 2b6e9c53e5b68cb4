"""Metrics of a task, in float64; `METRICS` has those that models are selected by, ``metric(scores, targets)``, by name.

Classes are counted as scikit-learn counts them: a class that occurs neither among the targets nor among the
predictions takes no part in a mean over classes.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

CONFUSION_CLASSES = 100  # no confusion matrix is kept of more
NAMES = {  # in words, of the metrics that stand beside the selected one
    "balanced_accuracy": "balanced accuracy",
    "top5_accuracy": "top-5 accuracy",
    "f1_macro": "F1, mean over classes",
    "auc_one_vs_rest": "AUC, one against the rest",
    "majority_share": "share of the largest class",
    "mse": "mean squared error",
    "mae": "mean absolute error",
}


def accuracy(scores: Tensor, y: Tensor) -> Tensor:
    """Share of rows whose largest score is the target's.

    Args:
        scores: class scores ``(N, C)``; ``(N, R, C)`` of R nets gives the mean of their accuracies.
        y: classes ``(N,)`` int64.

    Returns:
        A scalar in 0..1.
    """
    return (scores.argmax(-1).view(len(y), -1) == y[:, None]).double().mean()


def confusion(scores: Tensor, y: Tensor) -> Tensor:
    """Confusion matrix: entry (i, j) counts the rows of class i whose largest score is that of class j.

    Args:
        scores: class scores ``(N, C)``.
        y: classes ``(N,)`` int64.

    Returns:
        ``(C, C)`` int64.
    """
    classes = scores.shape[1]
    return torch.bincount(y * classes + scores.argmax(1), minlength=classes**2).view(classes, classes)


def balanced_accuracy(counts: Tensor) -> Tensor:
    """Mean over the classes of the share of their rows that is predicted right.

    Args:
        counts: confusion matrix ``(C, C)``.

    Returns:
        A scalar in 0..1.
    """
    counts = counts.double()
    rows = counts.sum(1)
    return (counts.diagonal() / rows)[rows > 0].mean()


def f1_macro(counts: Tensor) -> Tensor:
    """Mean over the classes of F1, the harmonic mean of precision and recall: ``2 TP / (2 TP + FP + FN)``.

    Args:
        counts: confusion matrix ``(C, C)``.

    Returns:
        A scalar in 0..1.
    """
    counts = counts.double()
    either = counts.sum(0) + counts.sum(1)  # 2 TP + FP + FN
    return (2 * counts.diagonal() / either)[either > 0].mean()


def top_k(scores: Tensor, y: Tensor, k: int) -> Tensor:
    """Share of rows whose target is among the k largest scores; of equal scores the later class counts as larger.

    Args:
        scores: class scores ``(N, C)``.
        y: classes ``(N,)`` int64.
        k: at most C.

    Returns:
        A scalar in 0..1.
    """
    order = scores.flip(1).argsort(dim=1, descending=True, stable=True)[:, :k]
    return (scores.shape[1] - 1 - order == y[:, None]).any(1).double().mean()


def roc_auc(scores: Tensor, y: Tensor) -> Tensor:
    """Area under the ROC curve: probability that a random positive scores above a random negative, ties counting half.

    The Mann-Whitney form: U = sum of the positives' ranks - P (P + 1) / 2, area = U / (P (N - P)).

    Args:
        scores: ``(N,)``.
        y: labels ``(N,)``, 0 or 1.

    Returns:
        A scalar in 0..1; NaN without a positive or without a negative.
    """
    values, place = scores.double().unique(return_inverse=True)
    count = torch.bincount(place, minlength=len(values)).double()
    rank = (count.cumsum(0) - (count - 1) / 2)[place]  # the mean rank among equals
    positives = y.double().sum()
    u = (rank * y).sum() - positives * (positives + 1) / 2
    return u / (positives * (len(y) - positives))


def auc_one_vs_rest(scores: Tensor, y: Tensor) -> Tensor:
    """Mean over the classes of the area under the ROC curve of that class against all others.

    Rows are ranked by ``softmax(scores)`` of the class, through its log odds, which do not round to 1.

    Args:
        scores: class scores ``(N, C)``.
        y: classes ``(N,)`` int64.

    Returns:
        A scalar in 0..1, over the classes that have rows and lack some; NaN when there is none.
    """
    odds = log_odds(scores.double())
    return torch.stack([roc_auc(odds[:, c], y == c) for c in range(scores.shape[1])]).nanmean()


def log_odds(scores: Tensor) -> Tensor:
    """``log(p / (1 - p))`` of ``p = softmax(scores)``: ``s_c - log(sum of exp(s_j) over j != c)``.

    Args:
        scores: ``(N, C)``, C at least 2.

    Returns:
        ``(N, C)``.
    """
    odds = scores.log_softmax(1) - torch.log1p(-scores.softmax(1))
    top = scores.argmax(1, keepdim=True)  # its probability may round to 1
    rest = scores.scatter(1, top, -torch.inf).logsumexp(1, keepdim=True)
    return odds.scatter(1, top, scores.gather(1, top) - rest)


def mse(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean squared error over all entries.

    Args:
        outputs: ``(N, …)``.
        y: targets of the same shape.

    Returns:
        A scalar.
    """
    return F.mse_loss(outputs.double(), y.double())


def mae(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean absolute error over all entries.

    Args:
        outputs: ``(N, …)``.
        y: targets of the same shape.

    Returns:
        A scalar.
    """
    return F.l1_loss(outputs.double(), y.double())


def r2(outputs: Tensor, y: Tensor) -> Tensor:
    """Coefficient of determination ``1 - sum (f - y)^2 / sum (y - mean(y))^2``, mean over the targets.

    A target that does not vary counts 1 where every prediction is exact, else 0.

    Args:
        outputs: numbers ``(N, T)``; ``(N, R, T)`` of R nets gives the mean of theirs.
        y: targets ``(N, T)``.

    Returns:
        A scalar, at most 1.
    """
    y = y.double()
    left = (outputs.double().view(len(y), -1, y.shape[1]) - y[:, None]).square().sum(0)  # (R, T)
    spread = (y - y.mean(0)).square().sum(0).expand_as(left)
    constant = (left == 0).double()
    return torch.where(spread > 0, 1 - left / spread, constant).mean()


METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "accuracy": accuracy,
    "mse": mse,
    "r2": r2,
    "roc-auc": roc_auc,
}


def of_classes(scores: Tensor, y: Tensor) -> dict[str, float | int | list[list[int]] | None]:
    """All metrics of class scores, by name.

    Args:
        scores: ``(N, C)``.
        y: classes ``(N,)`` int64.

    Returns:
        ``rows``, ``accuracy``, ``balanced_accuracy``, ``top5_accuracy`` (of more than five classes), ``f1_macro``,
        ``auc_one_vs_rest``, ``majority_share``, the share of the most frequent class, and ``confusion``, the matrix as
        nested lists. None: not defined, or a matrix of more than `CONFUSION_CLASSES` classes.
    """
    counts, classes = confusion(scores, y), scores.shape[1]
    values = {
        "accuracy": counts.diagonal().sum().double() / len(y),
        "balanced_accuracy": balanced_accuracy(counts),
        **({"top5_accuracy": top_k(scores, y, 5)} if classes > 5 else {}),
        "f1_macro": f1_macro(counts),
        "auc_one_vs_rest": auc_one_vs_rest(scores, y),
        "majority_share": counts.sum(1).max().double() / len(y),
    }
    kept = counts.tolist() if classes <= CONFUSION_CLASSES else None
    return {"rows": len(y), **_plain(values), "confusion": kept}


def of_numbers(outputs: Tensor, y: Tensor) -> dict[str, float | int | None]:
    """All metrics of predicted numbers, by name: ``rows``, ``r2``, ``mse``, ``mae``.

    Args:
        outputs: ``(N, T)``.
        y: targets ``(N, T)``.
    """
    return {"rows": len(y), **_plain({"r2": r2(outputs, y), "mse": mse(outputs, y), "mae": mae(outputs, y)})}


def _plain(values: dict[str, Tensor]) -> dict[str, float | None]:
    """Numbers that JSON can hold: None for NaN."""
    return {name: None if value.isnan() else value.item() for name, value in values.items()}
