"""Trained models: `load` brings one back from the folder of its run, to predict and to be evaluated on other data."""

import dataclasses
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from bpfree.config.notes import tell
from bpfree.config.settings import build
from bpfree.config.user_files import file_and_object
from bpfree.data import DATA, absolute, locations, reader_of, user_file, verification
from bpfree.data.graphs.raw import GraphSettings
from bpfree.data.graphs.source import GraphSource
from bpfree.data.images.sets import FileRows
from bpfree.data.inputs import far_outside, in_units, normalised
from bpfree.data.made import is_maker
from bpfree.data.reader import Raw, Reader
from bpfree.data.rows import ArrayRows, Filled, Rows
from bpfree.data.tables.files import read_table
from bpfree.data.tables.layout import further_rows
from bpfree.errors import InputError, unknown
from bpfree.functional.metrics import METRICS
from bpfree.rules import RULES
from bpfree.runs import record as records
from bpfree.runs.example_files import PICTURE_SETTINGS, images_in, read_examples, rows_of_images
from bpfree.runs.metrics import beside
from bpfree.runs.plan import GIVEN, plan, read_config
from bpfree.runs.weights import read_weights
from bpfree.training.data import Spec
from bpfree.training.device import pick_device
from bpfree.training.evaluation import evaluating, without_targets
from bpfree.training.random_streams import Streams
from bpfree.training.run_folder import CONFIG, MODEL, RECORD
from bpfree.training.trainer import Batch, Trainer

Transform = Callable[[Tensor], Tensor]
TABLES = (".csv", ".parquet")
OVERRIDES = ("readout", "device", "precision", "eval_batch_size")  # settings of prediction, not of training


class Model:
    """A trained net with its rule's way of predicting.

    Attributes:
        trainer: the rule with its net, in evaluation mode.
        record: the run's record (`bpfree.runs.schema.Record` as a dictionary).
        config: the run's configuration, with the overrides of `load`.
        device: on which it predicts.
    """

    def __init__(self, trainer: Trainer, record: Mapping[str, Any], config: Mapping[str, Any], device: torch.device):
        self.trainer, self.record, self.config, self.device = trainer, record, config, device

    def predict(self, x: Any, transform: Transform | None = None) -> Tensor:
        """Class scores ``(N, C)`` on the CPU, numbers ``(N, T)`` in their units, or the outputs of another task.

        Args:
            x: of a net that was trained on a graph: a part of a graph, such as ``bpfree.data.load("cora").test``. Else
                raw examples ``(N, …)`` as an array, tensor or nested list, in the shape of the training data; gray
                images may come without their channel axis and colour images with it last. Or a picture of Pillow's, a
                list of them, or the path of a picture, a folder of pictures, or a ``.npy`` or ``.npz`` file. Of a net
                that was trained on a table with named columns also a pandas DataFrame with these columns, or the path
                of a ``.csv`` or ``.parquet`` file. Bytes count as 0..255, floats as in training: 0..1 when the training
                data were bytes. Normalised here as in training.
            transform: from a batch of the examples as they were given to values as in training, where those were
                scaled before bpfree saw them: ``lambda x: x / 127.5 - 1`` if bytes became -1..1.

        Raises:
            InputError: another shape or type, NaN or infinity, a file that cannot be read, or bytes where training saw
                floats of another range than 0..1.
        """
        spec = self.trainer.spec
        if spec.nodes and not (isinstance(x, GraphSource) and tuple(x.x.shape) == (spec.nodes, *spec.shape)):
            raise InputError(
                f"this model was trained on a graph of {spec.nodes} rows with {spec.shape[0]} features each: give a "
                f"part of one, such as bpfree.data.load(…).test"
            )
        if isinstance(x, GraphSource):
            return self._outputs(x.to(self.device, 0).batches(self.config["eval_batch_size"]))
        low, high = math.inf, -math.inf

        def batches() -> Iterator[Batch]:
            nonlocal low, high
            for raw in self._raw(x, transform):
                if raw.is_floating_point():  # bytes have the range of their type
                    low, high = min(low, raw.min().item()), max(high, raw.max().item())
                yield Batch(self._normalised(raw).to(self.device))

        outputs = self._outputs(batches())
        training = self.record["data"]["input"] or {}
        if low <= high and (note := far_outside(low, high, spec.shape, training)):
            tell(note)
        return in_units(outputs, training)

    def classes(self, x: Any, transform: Transform | None = None) -> list[str]:
        """The name of the most likely class of every row.

        Args:
            x: as for `predict`.
            transform: as for `predict`.

        Raises:
            InputError: the readout gives the scores of several nets.
        """
        names, scores = self.record["data"]["class_names"], self.predict(x, transform)
        if scores.dim() > 2:
            raise InputError(f"this run holds {scores.shape[1]} nets: choose one of them, for example with readout = 0")
        return [names[c] if names else str(c) for c in scores.argmax(1).tolist()]

    def errors(self, x: Any, transform: Transform | None = None) -> list[float]:
        """Mean squared error of every row's reconstruction, in normalised units."""
        rows = self._rows(x)
        residuals = self.predict(rows, transform) - self.targets(rows, transform=transform)
        return residuals.square().flatten(1).mean(1, dtype=torch.float64).tolist()

    def predictions(self, x: Any, transform: Transform | None = None) -> list[Any]:
        """One value for every row: the class, the error of a reconstruction, or the number or numbers of a regression.

        Args:
            x: as for `predict`.
            transform: as for `predict`.
        """
        if self.trainer.spec.task == "regression":
            numbers = self.predict(x, transform)
            return (numbers[:, 0] if numbers.shape[1] == 1 else numbers).tolist()
        return (self.errors if self.trainer.spec.task == "reconstruction" else self.classes)(x, transform)

    def targets(self, x: Any, y: Any = None, transform: Transform | None = None) -> Tensor:
        """Targets of `predict`: the normalised examples of a net that reconstructs, else the labels.

        Args:
            x: as for `predict`.
            y: labels of the examples.
            transform: as for `predict`.
        """
        if self.trainer.spec.task != "reconstruction":
            return y
        return torch.cat([self._normalised(raw) for raw in self._raw(x, transform)])

    def _outputs(self, batches: Iterable[Batch]) -> Tensor:
        precision = self.config["precision"]
        with evaluating(self.trainer, self.device, precision):
            return torch.cat(
                [self.trainer.predict(without_targets(batch, precision)).float().cpu() for batch in batches]
            )

    def _raw(self, x: Any, transform: Transform | None) -> Iterator[Tensor]:
        """Raw examples in batches."""
        rows = self._rows(x)
        for index in torch.arange(len(rows)).split(self.config["eval_batch_size"]):
            raw = rows.gather(index)
            yield raw if transform is None else verification.examples(transform(raw), "transform(x)")

    def _rows(self, x: Any) -> Rows:
        if isinstance(x, str | os.PathLike):
            return self.read(Path(x))[0]
        if images := images_in(x):
            return rows_of_images(images, self.trainer.spec.shape, self._picture_settings())
        table = (self.record["data"]["input"] or {}).get("table")
        if isinstance(x, Rows):
            return Filled(x, torch.tensor(table["fill"])) if table and "fill" in table else x
        if table:
            x, notes = further_rows(x, table)
            for note in notes:
                tell(note)
        return ArrayRows(verification.examples(x, "x"))

    def _normalised(self, x: Tensor) -> Tensor:
        return normalised(x, self.trainer.spec.shape, self.record["data"]["input"])

    def read(self, path: Path, settings: Mapping[str, Any] | None = None) -> tuple[Rows, list[str] | None]:
        """Raw examples from a file or folder, read as in training.

        Args:
            path: as for `bpfree.runs.example_files.read_examples`.
            settings: ``background`` and ``size`` of pictures, instead of those of the training.

        Returns:
            The examples as `predict` takes them, and the name of each where they are the pictures of a folder.

        Raises:
            InputError: a file that cannot be read, or a setting that is not about pictures.
        """
        if path.suffix in TABLES and path.is_file():
            return self._rows(read_table(path)), None
        return read_examples(path, self.trainer.spec.shape, {**self._picture_settings(), **(settings or {})})

    def _picture_settings(self) -> dict[str, Any]:
        """Settings of pictures in training, where it had them."""
        return {name: self.config[name] for name in PICTURE_SETTINGS if name in self.config}


def load(
    run_dir: str | os.PathLike[str], *, algo: type[Trainer] | None = None, net: Any = None, **overrides: Any
) -> Model:
    """The model of a run that is finished or was stopped.

        model = bpfree.load("runs/mono-forward-mnist-s0-1a2b3c")
        scores = model.predict(images)

    Args:
        run_dir: the run's folder.
        algo: the rule, where its name alone does not bring it back: a class that was typed into a notebook.
        net: the blocks, where the run was on blocks in memory: modules like those that were given to it.
        **overrides: ``readout`` (one that the rule offers), ``device``, ``precision``, ``eval_batch_size``.

    Returns:
        The model, with the state that was best on validation data.

    Raises:
        InputError: no run, no model in it yet, a damaged file, or an override that is not about prediction.
    """
    path = Path(run_dir)
    for key in overrides:
        if key not in OVERRIDES:
            raise unknown("override", key, OVERRIDES)
    config, record = read_config(path), records.read(path / RECORD)
    if not (path / MODEL).exists():
        raise InputError(f"{path} holds no model yet: go on with bpfree train --resume {path}")
    readout = overrides.pop("readout", None)
    values = {**config, **overrides}
    name, data, net_name = (values.pop(key) for key in ("algo", "data", "net"))
    if net_name.startswith(GIVEN) and net is None:
        raise InputError(f"the net of this run was {net_name}: give blocks like them, bpfree.load(…, net=blocks)")
    if algo is None and name.isidentifier() and name not in RULES.choices():
        raise InputError(f"the rule {name} is in no file: give its class, bpfree.load(…, algo={name})")
    if algo is None and (file := file_and_object(name)) and not file[0].is_file():
        call = f"bpfree.load(…, algo={file[1] or 'Class'})"
        raise InputError(f"the rule file {file[0]} does not exist: restore it, or give its class, {call}")
    if data.startswith(GIVEN) or _made(data):
        data = {"edge_index": ()} if record["data"].get("nodes") else ()  # a prediction needs no more than the settings
    run = plan(algo or name, data, net if net_name.startswith(GIVEN) else net_name, values)
    hashes = record["algo_sha256"], RULES.source_hash(run.algo, run.cls)
    if None not in hashes and hashes[0] != hashes[1]:
        warnings.warn(f"the rule file {run.algo} has changed since {path} was trained with it", stacklevel=2)
    then, now = (files.get("net", {}).get("sha256") for files in (record["extensions"].get("files", {}), run.files))
    if then != now and not net_name.startswith(GIVEN):
        warnings.warn(f"the net file {run.net} has changed since {path} was trained with it", stacklevel=2)
    device = pick_device(run.loop_settings.device)
    trainer = run.build()
    trainer.streams = Streams(config["seed"], device)
    trainer.build(_spec(record["data"]))
    trainer.to(device, torch.float64 if run.loop_settings.precision == "fp64" else None)
    try:
        trainer.load_state_dict(read_weights(path / MODEL, record["model_sha256"]))
    except RuntimeError:  # of torch, a line for every parameter
        raise InputError(f"{path / MODEL} does not fit the net that its {CONFIG} makes now: train again") from None
    trainer.phase = trainer.phases(trainer.settings.epochs)[record["phase"]]
    if readout is not None:
        if readout not in trainer.readouts:
            raise unknown("readout of this run", readout, trainer.readouts)
        trainer.settings = dataclasses.replace(trainer.settings, readout=readout)
    kept = {"data": config["data"], **({"readout": readout} if readout else {})}
    return Model(trainer.eval(), record, {**run.config, **kept}, device)


def _made(data: str) -> bool:
    """True for the name of data that a function makes, and for a file that is gone."""
    file = user_file(data)
    return file is not None and (not file[0].is_file() or is_maker(DATA.load(data)))


def _spec(data: Mapping[str, Any]) -> Spec:
    fields = {field.name: data[field.name] for field in dataclasses.fields(Spec) if field.name in data}
    names = None if fields["class_names"] is None else tuple(fields["class_names"])
    return Spec(**{**fields, "shape": tuple(fields["shape"]), "class_names": names, "sha256": fields["sha256"] or ""})


def evaluate(
    model: Model, name: str, settings: Mapping[str, Any], transform: Transform | None = None
) -> dict[str, Any]:
    """The metric of a model on the test part of a data set, normalised as in the model's training.

    Args:
        model: the trained model.
        name: of the data set, as for `bpfree.train`.
        settings: of the data set, instead of those of the model's training.
        transform: of the examples, as for `Model.predict`; unused on a graph.

    Returns:
        ``data`` (the name), ``rows``, ``metric``, ``test`` (its value), ``sha256`` of the data, and ``metrics``, those
        beside it (`bpfree.runs.metrics.beside`).

    Raises:
        InputError: no such data, no test part, or another split of the data that the model was trained on.
    """
    reader = reader_of(name)
    seed = model.config["seed"]
    graph, nodes = issubclass(reader.Settings, GraphSettings), model.trainer.spec.nodes
    if graph != bool(nodes):
        words = ("a graph", "examples of their own") if graph else ("no graph", "one")
        raise InputError(f"{name} is {words[0]}, and this model was trained on {words[1]}")
    if graph:  # split as in training, unless the settings say otherwise
        names = {field.name for field in dataclasses.fields(GraphSettings)}
        then = {key: value for key, value in model.config.items() if key in names}
        data = reader.load({**then, **settings}, seed)
        now, before = (build(GraphSettings, values) for values in ({**then, **settings}, then))
        _refuse_other_split(model, data.spec.sha256, now, before)
        test = cast(GraphSource, data.test)
        return _evaluated(model, name, data.spec.sha256, model.predict(test), test.y)
    then = _settings_then(model, reader, settings)
    now = reader.resolve_settings({**then, **settings}, seed)
    raw = reader.read(now)
    _refuse_other_split(model, raw.sha256, now, reader.resolve_settings(then, seed))
    layout = ((model.record["data"]["input"] or {}).get("table") or {}).get("columns")
    if layout is not None and (raw.table or {}).get("columns") != layout:
        raise InputError(f"the columns of {name} are not those of the training: read the file, and give it to predict")
    if raw.x_test is None or raw.y_test is None:
        hint = ": name its file with --set test=FILE" if hasattr(now, "test") else ""
        raise InputError(f"{name} has no test part to evaluate the model on{hint}")
    for note in raw.notes:
        tell(note)
    x, channels = raw.x_test, model.trainer.spec.shape[0]
    if isinstance(x, FileRows) and channels in (1, 3) and x.form.channels != channels:
        x = FileRows(x.files, x.size, dataclasses.replace(x.form, channels=channels))
        tell(f"test pictures, read as {'gray' if channels == 1 else 'colour'} as in training: {len(x):,}")
    predictions, targets = model.predict(x, transform), model.targets(x, _as_trained(model, raw), transform)
    return _evaluated(model, name, raw.sha256, predictions, targets)


def _settings_then(model: Model, reader: Reader, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the training: all for the data that it read, and for others those that define an example."""
    fields = [field.name for field in dataclasses.fields(reader.Settings)]
    own = {key: model.config[key] for key in fields if key in model.config}
    same = absolute(reader.name) == model.config["data"]
    if reader.wants:  # one name may mean two files, and two names one file
        kind, _, where = model.config["data"].partition(":")
        here, there = (build(reader.Settings, values) for values in (settings, own))
        paths = locations.named_path(here, reader.where), locations.named_path(there, where)
        same = reader.name.partition(":")[0] == kind and paths[0].resolve() == paths[1].resolve()
        if own.get("test"):
            own["test"] = str(locations.named_path(there, own["test"]))
        own.pop("data_dir", None)  # the name counts from here
    return own if same else {key: value for key, value in own.items() if key in reader.as_trained}


def _evaluated(model: Model, name: str, sha256: str, scores: Tensor, y: Tensor) -> dict[str, Any]:
    """The metric, and those beside it, of scores on the test part of a data set."""
    spec = model.trainer.spec
    metrics = beside(spec, scores, y, model.config.get("metric"))
    value = METRICS[spec.metric](scores, y).item()
    facts = {"data": name, "rows": len(y), "metric": spec.metric, "test": value, "sha256": sha256}
    return {**facts, "metrics": metrics}


def _as_trained(model: Model, raw: Raw) -> Tensor:
    """Labels of the test part in the numbers of the model's classes: by name where both have names."""
    y, names = cast(Tensor, raw.y_test), model.record["data"]["class_names"]
    if model.trainer.spec.task != "classification":
        return y
    if names and raw.class_names and list(names) != list(raw.class_names):
        if unknown_names := sorted(set(raw.class_names) - set(names)):
            raise InputError(f"the model was not trained on the classes {', '.join(unknown_names)} of {raw.name}")
        return torch.tensor([names.index(name) for name in raw.class_names])[y]
    if int(y.max()) >= model.trainer.spec.classes:
        raise InputError(f"{raw.name} has a class {int(y.max())}: the model knows 0..{model.trainer.spec.classes - 1}")
    return y


def _refuse_other_split(model: Model, sha256: str, now: Any, before: Any) -> None:
    """Refuse another split of the data that the model was trained on: rows of its training would be its test."""
    names = [field.name for field in dataclasses.fields(now) if field.name != "data_dir"]
    changed = [name for name in names if getattr(now, name) != getattr(before, name)]
    if changed and sha256 == model.record["data"]["sha256"]:
        raise InputError(
            f"this run was trained on these data and is evaluated on its own test part: "
            f"leave {' and '.join(changed)} out"
        )
