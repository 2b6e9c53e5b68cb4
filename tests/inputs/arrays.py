"""Arrays, tensors, lists and labels of every kind, given to ``train`` and ``fit``."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tests.inputs.case import Case
from tests.inputs.content import expected_rows, through_fit, through_train

N = 12
X = [[row / 8, (row * 5 % 12) / 4] for row in range(N)]  # exact in float32
NUMBERS = [row % 3 for row in range(N)]
NAMES = [("dog", "ant", "cat")[row % 3] for row in range(N)]
BYTES = [[[row, 255 - row], [128, row * 20]] for row in range(N)]  # (N, 2, 2)


def labelled(name: str, y: Callable[[], Any], texts: list[Any], classes: tuple[str, ...] | None) -> Case:
    """Plain examples with labels of some kind, and the texts that the labels stand for."""
    return Case(
        f"labels: {name}",
        "train",
        lambda folder: (np.array(X), y()),
        through_train,
        lambda made: {"classes": classes, "rows": expected_rows(X, texts)},
    )


def examples(name: str, x: Callable[[], Any], values: Any) -> Case:
    """Examples of some kind with plain labels, and the values that a rule should get."""
    return Case(
        f"examples: {name}",
        "train",
        lambda folder: (x(), NUMBERS),
        through_train,
        lambda made: {"classes": None, "rows": expected_rows(values, NUMBERS)},
    )


def refused(name: str, make: Callable[[], Any], words: str) -> Case:
    """Data that are refused in one line with these words."""
    return Case(f"refused: {name}", "train", lambda folder: make(), through_train, words)


def notes_of(data: Any) -> list[str]:
    from bpfree.data import as_data
    from tests.inputs.content import SETTINGS

    return list(as_data(data, SETTINGS).notes)


def cases() -> list[Case]:
    objects = np.array([*NUMBERS[:-1], None], object)
    unit = [[[pixel / 255 for pixel in line] for line in image] for image in BYTES]
    return [
        labelled("0..C-1, uint8", lambda: np.array(NUMBERS, np.uint8), NUMBERS, None),
        labelled("0..C-1 as floats", lambda: np.array(NUMBERS, np.float64), NUMBERS, None),
        labelled("0..C-1 as text", lambda: [str(c) for c in NUMBERS], NUMBERS, None),
        labelled("0..C-1 in one column", lambda: torch.tensor(NUMBERS)[:, None], NUMBERS, None),
        labelled("1..C", lambda: [c + 1 for c in NUMBERS], [c + 1 for c in NUMBERS], ("1", "2", "3")),
        labelled("with gaps", lambda: [c * 5 for c in NUMBERS], [c * 5 for c in NUMBERS], ("0", "5", "10")),
        labelled("-1 and 1", lambda: [c // 2 * 2 - 1 for c in NUMBERS], [c // 2 * 2 - 1 for c in NUMBERS], ("-1", "1")),
        labelled("boolean", lambda: np.array(NUMBERS) > 0, [c > 0 for c in NUMBERS], ("False", "True")),
        labelled("names", lambda: NAMES, NAMES, ("ant", "cat", "dog")),
        labelled("names as objects", lambda: np.array(NAMES, object), NAMES, ("ant", "cat", "dog")),
        labelled("names as bytes", lambda: np.array(NAMES).astype("S"), NAMES, ("ant", "cat", "dog")),
        labelled("one-hot", lambda: np.eye(3)[NUMBERS], NUMBERS, None),
        labelled("one-hot booleans of torch", lambda: torch.eye(3, dtype=torch.bool)[NUMBERS], NUMBERS, None),
        labelled(
            "one-hot without the first class",
            lambda: np.eye(4)[[c + 1 for c in NUMBERS]],
            [c + 1 for c in NUMBERS],
            ("1", "2", "3"),
        ),
        examples("nested lists", lambda: X, X),
        examples("float16", lambda: np.array(X, np.float16), X),
        examples("bfloat16 of torch", lambda: torch.tensor(X).bfloat16(), torch.tensor(X).bfloat16().tolist()),
        examples("big-endian", lambda: np.array(X, ">f4"), X),
        examples("rows from behind", lambda: np.array(X[::-1])[::-1], X),
        examples("Fortran order", lambda: np.asfortranarray(np.array(X)), X),
        examples("read-only", lambda: read_only(np.array(X)), X),
        examples("a tensor with gradients", lambda: torch.tensor(X, requires_grad=True), X),
        examples("bytes of pictures", lambda: np.array(BYTES, np.uint8)[:, None], unit),
        examples("a sparse matrix of scipy", lambda: sparse(X), X),
        Case(
            "pairs of pairs, as keras gives them",
            "train",
            lambda folder: ((np.array(X), np.array(NUMBERS)), (np.array(X[:3]), np.array(NUMBERS[:3]))),
            through_train,
            lambda made: {
                "classes": None,
                "rows": expected_rows(X, NUMBERS),
                "test": expected_rows(X[:3], NUMBERS[:3]),
            },
        ),
        Case(
            "a test part with other types of labels",
            "train",
            lambda folder: (np.array(X), NAMES, np.array(X[:2]), np.array(["cat", "ant"], object)),
            through_train,
            lambda made: {
                "classes": ("ant", "cat", "dog"),
                "rows": expected_rows(X, NAMES),
                "test": expected_rows(X[:2], ["cat", "ant"]),
            },
        ),
        Case(
            "a mapping of parts",
            "train",
            lambda folder: {"train": (X[:8], NAMES[:8]), "validation": (X[8:], NAMES[8:]), "unsupervised": (X, NAMES)},
            lambda data: [through_train(data), [note for note in notes_of(data) if "left out" in note]],
            lambda made: [
                {"classes": ("ant", "cat", "dog"), "rows": expected_rows(X, NAMES)},
                ["parts left out: unsupervised"],
            ],
        ),
        Case(
            "fit(x, y)",
            "fit",
            lambda folder: {"train": (X[:8], NUMBERS[:8]), "val": (X[8:], NUMBERS[8:])},
            through_fit,
            lambda made: sorted([c, *map(float, x)] for x, c in zip(X[:8], NUMBERS[:8])),
        ),
        Case(
            "fit(x, y) is fit((x, y))",
            "fit",
            lambda folder: (np.array(X), NAMES),
            lambda made: through_fit(*made),
            lambda made: through_fit(made),
        ),
        Case(
            "labels as floats are told",
            "train",
            lambda folder: (X, np.array(NUMBERS, float)),
            lambda data: [
                any("y is float64: its whole numbers are read as classes" in note for note in notes_of(data))
            ],
            lambda made: [True],
        ),
        Case(
            "names of classes are told",
            "train",
            lambda folder: (X, NAMES),
            lambda data: [any("y: 3 classes, in this order: ant, cat, dog" in note for note in notes_of(data))],
            lambda made: [True],
        ),
        refused("a label is missing", lambda: (X, objects), "y row 11 is missing"),
        refused("a masked label", lambda: (X, np.ma.array(NUMBERS, mask=[1] + [0] * 11)), "y row 0 is missing"),
        refused(
            "numbers beside names", lambda: (X, [0, *NAMES[1:]]), "y holds int and str: expected labels of one kind"
        ),
        refused("labels of several classes a row", lambda: (X, np.ones((N, 3), int)), "one-hot rows (a single 1 each)"),
        refused("one label too few", lambda: (X, NUMBERS[1:]), "y has 11 rows but there are 12 examples"),
        refused("NaN", lambda: (np.array([[np.nan, 0]] * N), NUMBERS), "x row 0 holds NaN or infinity"),
        refused("only one class", lambda: (X, ["ant"] * N), "one class only, ant"),
        refused(
            "a test label that no training row has",
            lambda: (X, NAMES, X[:1], ["elk"]),
            "holds label elk, which no training row has: expected ant, cat, dog",
        ),
        refused("a mapping without train", lambda: {"test": (X, NUMBERS)}, "the parts are test: expected train"),
        refused("a dictionary of columns", lambda: {"x": X, "y": NUMBERS}, "the parts are x, y: expected train"),
        refused(
            "validation rows of another shape",
            lambda: {"train": (np.array(X), NUMBERS), "val": (np.ones((N, 3)), NUMBERS)},
            "validation examples are torch.float64 of shape (3,) but training examples torch.float64 of (2,)",
        ),
        refused(
            "a validation class without training rows",
            lambda: {"train": (np.array(X[:6]), [0, 1] * 3), "val": (np.array(X[6:]), [0, 2] * 3)},
            "validation holds label 2, which no training row has",
        ),
    ]


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def sparse(rows: list) -> Any:
    from scipy.sparse import csr_matrix

    return csr_matrix(np.array(rows))
