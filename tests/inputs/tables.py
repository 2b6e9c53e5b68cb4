"""Tables: pandas objects, CSV, Parquet, SVMlight and npz files. Expected values from pandas, numpy and scikit-learn."""
# ruff: noqa: E501

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import dump_svmlight_file, load_svmlight_file
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

import bpfree
from bpfree.data import as_data, load
from bpfree.rules.mono_forward import MonoForward
from tests.inputs.case import Case

N = 24
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=N) * 10
COLOURS = np.array(["red", "green", "blue"])[np.arange(N) % 3]
LABELS = np.array(["no", "yes"])[np.arange(N) % 2]
PLAIN = {"normalize": "none"}


def table(**columns: Any) -> pd.DataFrame:
    """A number, the columns at hand, and the label."""
    return pd.DataFrame({"w": NUMBERS, **columns, "label": LABELS})


def split(frame: Any) -> dict[str, Any]:
    """The table as training and as test part: the rows of the test part keep their order."""
    return {"train": frame, "test": frame}


def tested(data: Any) -> np.ndarray:
    """Rows of the test part as they are learnt."""
    return next(data.test.batches(len(data.test))).x.numpy()


def classes(data: Any) -> list[str]:
    """Names of the labels of the test part."""
    names = data.spec.class_names or tuple(map(str, range(data.spec.classes)))
    return [names[c] for c in data.test.y.tolist()]


def fitted(**settings: Any) -> Callable[[Any], Any]:
    """Read parts in memory as ``fit`` does; the rows of the test part."""
    return lambda parts: tested(as_data(parts, {**PLAIN, **settings}))


def noted(words: str, **settings: Any) -> Callable[[Any], Any]:
    """The same; the note with ``words`` in it."""

    def read(parts: Any) -> str:
        return next((note for note in as_data(parts, {**PLAIN, **settings}).notes if words in note), "no such note")

    return read


def dummies(*names: str, **options: Any) -> Callable[[Any], Any]:
    """Features by pandas, of the test part without its label."""
    return lambda parts: pd.get_dummies(
        parts["test"].drop(columns="label"), columns=list(names) or None, **options
    ).to_numpy(dtype=float)


def in_memory(name: str, frame: Callable[[], Any], expected: Any, read: Any = None) -> Case:
    """A table in memory that is training and test part."""
    return Case(f"DataFrame: {name}", "fit", lambda _: split(frame()), read or fitted(), expected)


def values(frame: pd.DataFrame) -> Callable[[Any], Any]:
    return lambda _: frame.to_numpy(dtype=float)


def _types() -> pd.DataFrame:
    whole = (RNG.permutation(N) * 2).astype(int)
    kinds = ("int8", "uint8", "int16", "int32", "int64", "float32", "float64", "Int64", "Float64")
    return table(**{kind: pd.Series(whole).astype(kind) for kind in kinds}, flag=NUMBERS > 0)


def _imputed(_: Any) -> np.ndarray:
    x = np.where(np.arange(N) % 5 == 0, np.nan, NUMBERS)
    filled = SimpleImputer(add_indicator=True).fit_transform(x[:, None])
    return StandardScaler().fit_transform(np.c_[NUMBERS, filled])


def _missing() -> dict[str, Any]:
    frame = table(gap=pd.Series(NUMBERS).mask(np.arange(N) % 5 == 0))
    return {"train": frame, "val": frame, "test": frame}


def _other(part: pd.DataFrame, **columns: Any) -> dict[str, Any]:
    return {"train": part, "test": part.assign(**columns)}


def frames() -> list[Case]:
    colour = lambda: table(colour=COLOURS)  # noqa: E731
    ordered = pd.Categorical(COLOURS, categories=["red", "green", "violet", "blue"])
    gone = pd.Series(COLOURS).mask(np.arange(N) % 4 == 0)
    unseen = lambda _: _other(colour(), colour=np.where(np.arange(N) == 2, "violet", COLOURS))  # noqa: E731
    labelled = lambda y: lambda _: (table()[["w"]], y, table()[["w"]], y)  # noqa: E731
    names = lambda parts: classes(as_data(parts))  # noqa: E731
    numbers = lambda parts: (as_data(parts).spec.task, as_data(parts).target[0].numpy())  # noqa: E731
    listing = pd.Series([[1]] * N)
    days = pd.date_range("2024-01-01", periods=N)
    return [
        in_memory("numbers of every type", _types, lambda p: p["test"].drop(columns="label").to_numpy(dtype=float)),
        in_memory("a column of categories", colour, dummies()),
        in_memory("categories in a declared order", lambda: table(colour=ordered),
                  lambda p: dummies()(p)[:, [0, 1, 2, 4]]),
        in_memory("a missing category", lambda: table(colour=gone), dummies("colour", dummy_na=True)),
        in_memory("booleans with a gap", lambda: table(b=pd.array([True, None, *[False] * (N - 2)], dtype="boolean")),
                  "numbers are missing in b (1): --missing mean fills them"),
        in_memory("numbers as text", lambda: table(t=[str(v) for v in NUMBERS]), values(table(t=NUMBERS)[["w", "t"]])),
        in_memory("whole numbers as column names", lambda: pd.DataFrame({0: NUMBERS, 1: LABELS}), values(table()[["w"]])),
        in_memory("two levels of column names", lambda: pd.DataFrame({("a", "x"): NUMBERS, ("a", "y"): LABELS}),
                  values(table()[["w"]])),
        in_memory("sparse columns", lambda: table(s=pd.arrays.SparseArray((NUMBERS > 0) * 2.0)),
                  values(table(s=(NUMBERS > 0) * 2.0)[["w", "s"]])),
        in_memory("a column that counts the rows", lambda: table(n=range(N)), lambda _: "columns left out: n (counts the rows)",
                  noted("left out")),
        in_memory("a column of identifiers", lambda: table(patient_id=RNG.permutation(N) * 7),
                  lambda _: "columns left out: patient_id (an identifier)", noted("left out")),
        in_memory("a constant column", lambda: table(c=3), lambda _: "columns left out: c (one value only)", noted("left out")),
        in_memory("free text", lambda: table(t=[f"patient {k}" for k in range(N)]),
                  lambda _: f"columns left out: t ({N} different texts in {N} rows)", noted("left out")),
        in_memory("counts of categories are told", colour, lambda _: "columns of categories, one-hot: colour (3)", noted("one-hot")),
        in_memory("a column to predict called class", lambda: table().rename(columns={"label": "Class"})[["Class", "w"]],
                  values(table()[["w"]])),
        in_memory("dates", lambda: table(d=days), "column d holds dates or times: give numbers"),
        in_memory("dates as text", lambda: table(d=days.strftime("%d/%m/%Y")), "column d holds dates or times"),
        in_memory("dates of Python", lambda: table(d=[day.date() for day in days]), "column d holds dates or times"),
        in_memory("periods", lambda: table(d=days.to_period("D")), "column d holds dates or times"),
        in_memory("time spans", lambda: table(d=days - days[0]), "column d holds dates or times"),
        in_memory("complex numbers", lambda: table(z=NUMBERS * 1j), "column z holds complex numbers"),
        in_memory("lists in a column", lambda: table(v=listing), "column v holds a list: expected numbers or categories"),
        in_memory("a question mark among numbers", lambda: table(v=["?", *range(N - 1)]), "1 of 24 values are no numbers, such as '?'"),
        in_memory("numbers with thousands marks", lambda: table(v=[f"{1000 + k:,}" for k in range(N)]),
                  "column v holds numbers with other marks, such as '1,000': write plain numbers"),
        in_memory("infinity", lambda: table(v=[np.inf, *range(N - 1)]), "row 0 is infinite"),
        in_memory("two columns of one name", lambda: pd.concat([table()[["w"]], table()], axis=1), "the table has two columns w"),
        in_memory("nothing but the label", lambda: table()[["label"]], "no column to learn from"),
        in_memory("a missing label", lambda: table().assign(label=[None, *LABELS[1:]]), "y_train row 0 is missing"),
        in_memory("no such target", table, "unknown column 'lable': did you mean label?", fitted(target="lable")),
        in_memory("no such column to drop", table, "unknown column 'v'", fitted(drop=("v",))),
        Case("DataFrame: a gap, filled and standardised", "fit", lambda _: _missing(),
             lambda p: tested(as_data(p, {"missing": "mean"})), _imputed),
        Case("DataFrame: a category that training lacks", "fit", unseen, fitted(),
             lambda p: np.c_[NUMBERS, np.transpose([p["test"].colour == c for c in ("blue", "green", "red")])]),
        Case("DataFrame: a category that training lacks is told", "fit", unseen, noted("no category"),
             lambda _: "column colour of the test part: 1 rows of no category of the training part: violet"),
        Case("DataFrame: columns of the test part in another order", "fit",
             lambda _: {"train": colour(), "test": colour()[["label", "colour", "w"]]}, fitted(),
             lambda _: pd.get_dummies(colour().drop(columns="label")).to_numpy(dtype=float)),
        Case("DataFrame: the test part lacks a column", "fit", lambda _: {"train": colour(), "test": table()}, fitted(),
             "the test part lacks column colour: it holds w, label"),
        Case("DataFrame: text where training has numbers", "fit", lambda _: _other(table(v=NUMBERS), v=COLOURS), fitted(),
             "column v of the test part holds text"),
        Case("Series: labels as text", "fit", labelled(pd.Series(LABELS)), names, lambda p: list(p[3])),
        Case("Series: categorical labels", "fit", labelled(pd.Series(LABELS).astype("category")), names, lambda p: list(p[3])),
        Case("Series: nullable integers", "fit", labelled(pd.Series(np.arange(N) % 3 + 1, dtype="Int64")), names,
             lambda p: list(map(str, p[3]))),
        Case("Series: booleans", "fit", labelled(pd.Series(NUMBERS > 0)), names, lambda p: list(map(str, p[3]))),
        Case("Series: floats to predict", "fit", labelled(pd.Series(NUMBERS)), lambda p: numbers(p)[0], lambda _: "regression"),
        Case("Series: a gap in the labels", "fit", labelled(pd.Series(LABELS).mask(np.arange(N) == 5)), names, "row 5 is missing"),
        Case("Series: rows in another order by their index", "fit",
             lambda _: (table()[["w"]], pd.Series(LABELS)[::-1]), noted("other indices"),
             lambda _: "rows of x and y of the train part have other indices: they go together by their order"),
    ]  # fmt: skip


def written(name: str, content: bytes | str) -> Callable[[Path], str]:
    """Write a file; the name of the data."""

    def make(folder: Path) -> str:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return f"{path.name.split('.')[1]}:{path}"

    return make


def file(**settings: Any) -> Callable[[str], np.ndarray]:
    """Read a file as ``train`` does, the same file being the test part; the rows of the test part."""
    return lambda name: tested(load(name, {**PLAIN, "test": name.partition(":")[2], **settings}))


def labels_of(name: str) -> list[str]:
    return classes(load(name, {"test": name.partition(":")[2]}))


def text(frame: pd.DataFrame | None = None, **options: Any) -> str:
    return (table(colour=COLOURS) if frame is None else frame).to_csv(index=False, **options)


def files() -> list[Case]:
    frame = table(colour=COLOURS)
    encoded = pd.get_dummies(frame.drop(columns="label")).to_numpy(dtype=float)
    quoted = frame.assign(colour=[f'{c}, "{c}"\nline' for c in COLOURS])
    whole = pd.DataFrame({"a": np.arange(N) ** 2, "label": np.arange(N) % 2})
    csv = lambda name, content, expected=lambda _: encoded, read=None: Case(  # noqa: E731
        f"CSV: {name}", "data", written("t.csv", content), read or file(), expected
    )
    head, *lines = text().splitlines()
    return [
        csv("commas", text()),
        csv("semicolons and decimal commas", text(sep=";", decimal=",")),
        csv("tabs", text(sep="\t")),
        csv("bars", text(sep="|")),
        csv("a byte order mark", "\ufeff" + text()),
        csv("lines that end as in Windows", text().replace("\n", "\r\n")),
        csv("separators, quotes and line ends in quotes", text(quoted)),
        csv("a spreadsheet's first line", "sep=;\n" + text(sep=";")),
        csv("no names", "\n".join(lines)),
        csv("no names, only numbers", whole.to_csv(index=False, header=False), lambda _: whole[["a"]].to_numpy(float)),
        csv("names that are numbers from 0", whole.set_axis([0, 1], axis=1).to_csv(index=False),
            lambda _: whole[["a"]].to_numpy(float)),
        csv("names that are years", whole.rename(columns={"a": "2019"}).to_csv(index=False),
            lambda _: whole[["a"]].to_numpy(float)),
        csv("a column that pandas has written beside", frame.to_csv(), lambda _: encoded),
        csv("labels as text", text(), lambda _: LABELS.tolist(), labels_of),
        csv("missing numbers", text(table(g=[None, *range(N - 1)])), "numbers are missing in g (1)"),
        csv("missing categories", text(table(g=pd.Series(COLOURS).mask(np.arange(N) == 1))),
            lambda _: pd.get_dummies(table(g=pd.Series(COLOURS).mask(np.arange(N) == 1)).drop(columns="label"),
                                     dummy_na=True).to_numpy(float)),
        csv("a line with a value too many", head + "\n" + lines[0] + "\n" + lines[1] + ",7", "Expected 3 fields in line 3, saw 4"),
        csv("all lines with a value too many", head + "\n" + "\n".join(line + ",7" for line in lines),
            "some rows have more values than the first line has names"),
        csv("nothing", "", "is empty: expected a line of names and a line for each row"),
        csv("another encoding", text().replace("red", "grün").encode("latin-1"), "is not text in UTF-8"),
        csv("names only", head + "\n", "the table has no rows"),
        Case("CSV: compressed", "data", written("t.csv.gz", gzip.compress(text().encode())), file(), lambda _: encoded),
        Case("CSV: no such file", "data", lambda folder: f"csv:{folder / 'none.csv'}", file(), "no such file"),
        Case("Parquet: numbers and categories", "data", _parquet(frame), file(), lambda _: encoded),
        Case("Parquet: a categorical column", "data", _parquet(frame.astype({"colour": "category"})), file(), lambda _: encoded),
        Case("Parquet: another file", "data", written("t.parquet", b"PAR1 is how one begins"), file(), "is no Parquet file"),
        Case("SVMlight: sparse rows", "data", _svmlight, file(), lambda n: load_svmlight_file(n.partition(":")[2])[0].toarray()),
        Case("SVMlight: labels -1 and 1", "data", _svmlight, labels_of,
             lambda n: [f"{y:.0f}" for y in load_svmlight_file(n.partition(":")[2])[1]]),
        Case("SVMlight: text", "data", written("t.svmlight", "these are no numbers\n"), file(), "is no SVMlight file"),
        Case("npz: integers and float labels", "data", _npz(np.arange(N)[:, None] ** 2, np.arange(N) % 2 * 1.0),
             lambda n: tested(load(n, PLAIN)), lambda _: np.arange(N)[:, None] ** 2.0),
        Case("npz: booleans", "data", _npz(np.c_[NUMBERS > 0, NUMBERS > 1], np.arange(N) % 2),
             lambda n: tested(load(n, PLAIN)), lambda _: np.c_[NUMBERS > 0, NUMBERS > 1].astype(float)),
        Case("npz: labels as text", "data", _npz(NUMBERS[:, None], LABELS), lambda n: classes(load(n)), lambda _: LABELS.tolist()),
        Case("npz: numbers to predict", "data", _npz(NUMBERS[:, None], NUMBERS), lambda n: load(n).spec.task, lambda _: "regression"),
        Case("npz: times in seconds since 1970", "data", _npz(1_700_000_000 + np.arange(N)[:, None] % 2, np.arange(N) % 2),
             lambda n: np.unique(tested(load(n))), lambda _: [-1, 1]),
    ]  # fmt: skip


def _parquet(frame: pd.DataFrame) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        frame.to_parquet(folder / "t.parquet")
        return f"parquet:{folder / 't.parquet'}"

    return make


def _svmlight(folder: Path) -> str:
    x = np.where(RNG.random((N, 5)) < 0.5, 0, RNG.normal(size=(N, 5)).round(3))
    dump_svmlight_file(x, np.arange(N) % 2 * 2 - 1, str(folder / "t.svmlight"), zero_based=False)
    return f"svmlight:{folder / 't.svmlight'}"


def _npz(x: np.ndarray, y: np.ndarray) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        np.savez(folder / "t.npz", x_train=x, y_train=y, x_test=x, y_test=y)
        return f"npz:{folder / 't.npz'}"

    return make


TINY = {"hidden": (4,), "epochs": 2, "threads": 1, "meter": "none", "device": "cpu"}


def _trained(frame: pd.DataFrame, **settings: Any) -> Callable[[Path], Any]:
    """Train on a table; the folder of the run, and its model."""

    def make(folder: Path) -> tuple[Path, Any]:
        bpfree.train(MonoForward, frame, out=folder / "run", **TINY, **settings)
        return folder, bpfree.load(folder / "run")

    return make


def predictions() -> list[Case]:
    frame = table(colour=COLOURS)
    encoded = pd.get_dummies(frame.drop(columns="label")).to_numpy(dtype=float)
    gap = table(v=pd.Series(NUMBERS).mask(np.arange(N) == 2))
    by_file = lambda made: _predict_file(made, frame)  # noqa: E731
    asked = lambda rows: lambda made: made[1].predict(rows).numpy()  # noqa: E731

    def filled(made: Any) -> np.ndarray:
        values: Mapping[str, Any] = made[1].record["data"]["input"]["table"]
        v = gap.v.fillna(values["fill"][1])
        return made[1].predict(np.c_[NUMBERS, v, gap.v.isna()]).numpy()

    return [
        Case("DataFrame to predict", "load().predict", _trained(frame), asked(frame), asked(encoded)),
        Case("DataFrame to predict, columns in another order", "load().predict", _trained(frame),
             asked(frame[["colour", "w"]]), asked(encoded)),
        Case("DataFrame to predict, one row", "load().predict", _trained(frame), asked(frame[5:6]), asked(encoded[5:6])),
        Case("DataFrame to predict, a column is missing", "load().predict", _trained(frame), asked(frame[["w"]]),
             "x lacks column colour"),
        Case("DataFrame to predict, with a gap as in training", "load().predict", _trained(gap, missing="mean"), asked(gap), filled),
        Case("DataFrame to predict, with a gap that training has not", "load().predict", _trained(table(v=NUMBERS)), asked(gap),
             "NaN or infinity"),
        Case("CSV to predict", "predict", _trained(frame), by_file, asked(encoded)),
        Case("labels of a table to predict are text", "load().predict", _trained(frame),
             lambda made: sorted(set(made[1].classes(frame)) | {"no", "yes"}), lambda _: ["no", "yes"]),
    ]  # fmt: skip


def _predict_file(made: Any, frame: pd.DataFrame) -> np.ndarray:
    folder, model = made
    frame.to_csv(folder / "rows.csv", index=False)
    return model.predict(folder / "rows.csv").numpy()


def cases() -> list[Case]:
    return [*frames(), *files(), *predictions()]
