"""Trained models: `load` brings one back from the folder of its run, to predict and to be evaluated on other data."""

import dataclasses
import hashlib
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from bpfree.config.settings import build
from bpfree.config.user_files import file_and_object
from bpfree.data import reader_of, verification
from bpfree.data.graphs.reader import GraphSettings, GraphSource
from bpfree.data.images.folder import opened
from bpfree.data.verification import DAMAGED
from bpfree.errors import InputError, unknown
from bpfree.functional.metrics import METRICS
from bpfree.rules import RULES
from bpfree.runs import record as records
from bpfree.runs.inputs import normalised
from bpfree.runs.metrics import beside
from bpfree.runs.plan import GIVEN, plan, read_config
from bpfree.training.data import Spec
from bpfree.training.device import pick_device
from bpfree.training.evaluation import evaluating, without_targets
from bpfree.training.random_streams import Streams
from bpfree.training.run_folder import CONFIG, MODEL, RECORD
from bpfree.training.trainer import Batch, Trainer

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

    def predict(self, x: Any) -> Tensor:
        """Class scores ``(N, C)`` on the CPU, or the outputs of another task.

        Args:
            x: of a net that was trained on a graph: a part of a graph, such as ``bpfree.data.load("cora").test``. Else
                raw examples ``(N, …)`` as an array, tensor or nested list, in the shape of the training data; gray
                images may come without their channel axis and colour images with it last. Bytes count as 0..255,
                floats as in training: 0..1 when the training data were bytes. Normalised here as in training.

        Raises:
            InputError: another shape or type, NaN or infinity.
        """
        rows, precision, spec = self.config["eval_batch_size"], self.config["precision"], self.trainer.spec
        if spec.nodes and not (isinstance(x, GraphSource) and tuple(x.x.shape) == (spec.nodes, *spec.shape)):
            raise InputError(
                f"this model was trained on a graph of {spec.nodes} rows with {spec.shape[0]} features each: give a "
                f"part of one, such as bpfree.data.load(…).test"
            )
        if isinstance(x, GraphSource):
            batches: Iterable[Batch] = x.to(self.device, 0).batches(rows)
        else:
            parts = self._normalised(x).split(rows)
            batches = (Batch(part.to(self.device)) for part in parts)
        with evaluating(self.trainer, self.device, precision):
            return torch.cat(
                [self.trainer.predict(without_targets(batch, precision)).float().cpu() for batch in batches]
            )

    def classes(self, x: Any) -> list[str]:
        """The name of the most likely class of every row.

        Args:
            x: as for `predict`.

        Raises:
            InputError: the readout gives the scores of several nets.
        """
        names, scores = self.record["data"]["class_names"], self.predict(x)
        if scores.dim() > 2:
            raise InputError(f"this run holds {scores.shape[1]} nets: choose one of them, for example with readout = 0")
        return [names[c] if names else str(c) for c in scores.argmax(1).tolist()]

    def errors(self, x: Any) -> list[float]:
        """Mean squared error of every row's reconstruction, in normalised units."""
        residuals = self.predict(x) - self.targets(x)
        return residuals.square().flatten(1).mean(1, dtype=torch.float64).tolist()

    def predictions(self, x: Any) -> list[str] | list[float]:
        """One value for every row: `errors` of a net that reconstructs, `classes` of one that classifies."""
        return self.errors(x) if self.trainer.spec.task == "reconstruction" else self.classes(x)

    def targets(self, x: Any, y: Any = None) -> Tensor:
        """Targets of `predict`: the normalised examples of a net that reconstructs, else the labels.

        Args:
            x: as for `predict`.
            y: labels of the examples.
        """
        return self._normalised(x) if self.trainer.spec.task == "reconstruction" else y

    def _normalised(self, x: Any) -> Tensor:
        return normalised(verification.examples(x, "x"), self.trainer.spec.shape, self.record["data"]["input"])


def load(run_dir: str | os.PathLike[str], *, algo: type[Trainer] | None = None, **overrides: Any) -> Model:
    """The model of a run that is finished or was stopped.

        model = bpfree.load("runs/mono-forward-mnist-s0-1a2b3c")
        scores = model.predict(images)

    Args:
        run_dir: the run's folder.
        algo: the rule, where its name alone does not bring it back: a class that was typed into a notebook.
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
    name, data, net = (values.pop(key) for key in ("algo", "data", "net"))
    if algo is None and name.isidentifier() and name not in RULES.choices():
        raise InputError(f"the rule {name} is in no file: give its class, bpfree.load(…, algo={name})")
    if algo is None and (file := file_and_object(name)) and not file[0].is_file():
        call = f"bpfree.load(…, algo={file[1] or 'Class'})"
        raise InputError(f"the rule file {file[0]} does not exist: restore it, or give its class, {call}")
    run = plan(algo or name, None if data.startswith(GIVEN) else data, net, values)
    hashes = record["algo_sha256"], RULES.source_hash(run.algo, run.cls)
    if None not in hashes and hashes[0] != hashes[1]:
        warnings.warn(f"the rule file {run.algo} has changed since {path} was trained with it", stacklevel=2)
    device = pick_device(run.loop_settings.device)
    trainer = run.build()
    trainer.streams = Streams(config["seed"], device)
    trainer.build(_spec(record["data"]))
    trainer.to(device, torch.float64 if run.loop_settings.precision == "fp64" else None)
    try:
        trainer.load_state_dict(_weights(path / MODEL, record["model_sha256"]))
    except RuntimeError:  # of torch, a line for every parameter
        raise InputError(f"{path / MODEL} does not fit the net that its {CONFIG} makes now: train again") from None
    trainer.phase = trainer.phases(trainer.settings.epochs)[record["phase"]]
    if readout is not None:
        if readout not in trainer.readouts:
            raise unknown("readout of this run", readout, trainer.readouts)
        trainer.settings = dataclasses.replace(trainer.settings, readout=readout)
    return Model(trainer.eval(), record, {**run.config, **({"readout": readout} if readout else {})}, device)


def _spec(data: Mapping[str, Any]) -> Spec:
    fields = {field.name: data[field.name] for field in dataclasses.fields(Spec) if field.name in data}
    names = None if fields["class_names"] is None else tuple(fields["class_names"])
    return Spec(**{**fields, "shape": tuple(fields["shape"]), "class_names": names, "sha256": fields["sha256"] or ""})


def _weights(path: Path, sha256: str | None) -> dict[str, Tensor]:
    try:
        content = path.read_bytes()
        if sha256 and hashlib.sha256(content).hexdigest() != sha256:
            raise InputError(f"{path} is not what was written: restore the file or train again")
        return safetensors.torch.load(content)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path} is damaged ({error}): restore the file or train again") from error


def read_examples(path: Path, model: Model) -> Any:
    """Raw examples from a file.

    Args:
        path: of a ``.npy`` array ``(N, …)``, or of one image.
        model: for its channels: an image is read as gray or as colour.

    Returns:
        An array ``(N, …)`` as `Model.predict` takes it.

    Raises:
        InputError: no such file, or not one of these.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        with opened(path) as (image, _):
            return np.asarray(image.convert("L" if model.trainer.spec.shape[0] == 1 else "RGB"))[None]
    except DAMAGED as error:
        raise InputError(f"cannot read {path}: expected a .npy array or a PNG or JPEG image ({error})") from None


def evaluate(model: Model, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The metric of a model on the test part of a data set, normalised as in the model's training.

    Args:
        model: the trained model.
        name: of the data set, as for `bpfree.train`.
        settings: of the data set, instead of those of the model's training.

    Returns:
        ``data`` (the name), ``rows``, ``metric``, ``test`` (its value), ``sha256`` of the data, and ``metrics``, those
        beside it (`bpfree.runs.metrics.beside`).

    Raises:
        InputError: no such data, no test part, or another split of the data that the model was trained on.
    """
    reader = reader_of(name)
    seed = model.config["seed"]
    if issubclass(reader.Settings, GraphSettings):  # split as in training, unless the settings say otherwise
        names = {field.name for field in dataclasses.fields(GraphSettings)}
        then = {key: value for key, value in model.config.items() if key in names}
        data = reader.load({**then, **settings}, seed)
        now, before = (build(GraphSettings, values) for values in ({**then, **settings}, then))
        _refuse_other_split(model, data.spec.sha256, now, before)
        test = cast(GraphSource, data.test)
        return _evaluated(model, name, data.spec.sha256, model.predict(test), test.y)
    then = {key: model.config[key] for key in reader.as_trained if key in model.config}
    now = reader.resolve_settings({**then, **settings}, seed)
    raw = reader.read(now)
    _refuse_other_split(model, raw.sha256, now, reader.resolve_settings(then, seed))
    if raw.x_test is None or raw.y_test is None:
        raise InputError(f"{name} has no test part to evaluate the model on")
    x = raw.x_test
    predictions, targets = [], []
    for part in x.chunks(1 << 24):
        rows = x.gather(torch.arange(part.start, part.stop))
        predictions.append(model.predict(rows))
        targets.append(model.targets(rows, raw.y_test[part]))
    return _evaluated(model, name, raw.sha256, torch.cat(predictions), torch.cat(targets))


def _evaluated(model: Model, name: str, sha256: str, scores: Tensor, y: Tensor) -> dict[str, Any]:
    spec = model.trainer.spec
    metrics = beside(spec, scores, y, model.config.get("metric"))
    value = METRICS[spec.metric](scores, y).item()
    facts = {"data": name, "rows": len(y), "metric": spec.metric, "test": value, "sha256": sha256}
    return {**facts, "metrics": metrics}


def _refuse_other_split(model: Model, sha256: str, now: Any, before: Any) -> None:
    """Refuse another split of the data that the model was trained on: rows of its training would be its test."""
    names = [field.name for field in dataclasses.fields(now) if field.name != "data_dir"]
    changed = [name for name in names if getattr(now, name) != getattr(before, name)]
    if changed and sha256 == model.record["data"]["sha256"]:
        raise InputError(
            f"this run was trained on these data and is evaluated on its own test part: "
            f"leave {' and '.join(changed)} out"
        )
