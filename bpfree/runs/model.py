"""The way back from a run's folder to a model that predicts."""

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

from bpfree.config import resolve
from bpfree.training.checkpoint import MODEL, RECORD
from bpfree.data import reader_of
from bpfree.data import verification
from bpfree.training.data import Spec
from bpfree.data.images.folder import opened
from bpfree.data.graphs.reader import GraphSettings, GraphSource
from bpfree.data.rows import Normalise
from bpfree.data.verification import DAMAGED
from bpfree.training.device import pick_device
from bpfree.errors import InputError, unknown
from bpfree.training.evaluation import without_targets, evaluating
from bpfree.functional.metrics import METRICS
from bpfree.runs.train import GIVEN, plan, read_config
from bpfree.config.settings import build
from bpfree.training.random_streams import Streams
from bpfree.training.trainer import Batch, Trainer
from bpfree.runs import record as energy_record

_BRIGHTEST = 2.0  # no float that stands for a byte is larger, though resizing may go beyond 1
OVERRIDES = ("readout", "device", "precision", "eval_batch_size")  # what may differ between training and prediction


class Model:
    """A trained net with its rule's way of predicting.

    Attributes:
        trainer: the rule with its net, in evaluation mode.
        record: the run's record.
        config: the run's configuration.
    """

    def __init__(self, trainer: Trainer, record: Mapping[str, Any], config: Mapping[str, Any], device: torch.device):
        self.trainer, self.record, self.config, self.device = trainer, record, config, device

    def predict(self, x: Any) -> Tensor:
        """Class scores ``(N, C)`` on the CPU, or what the task asks for.

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
            parts = self._normalised(verification.examples(x, "x")).split(rows)
            batches = (Batch(part.to(self.device)) for part in parts)
        with evaluating(self.trainer, self.device, precision):
            return torch.cat([self.trainer.predict(without_targets(batch, precision)).float().cpu() for batch in batches])

    def classes(self, x: Any) -> list[str]:
        """The name of the most likely class of every row.

        Raises:
            InputError: the readout gives the scores of several nets.
        """
        names, scores = self.record["data"]["class_names"], self.predict(x)
        if scores.dim() > 2:
            raise InputError(f"this run holds {scores.shape[1]} nets: choose one of them, for example with readout = 0")
        return [names[c] if names else str(c) for c in scores.argmax(1).tolist()]

    def errors(self, x: Any) -> list[float]:
        """How far every row's reconstruction is from the row: mean squared error, in normalised units."""
        misses = self.predict(x) - self.targets(x)
        return misses.square().flatten(1).mean(1, dtype=torch.float64).tolist()

    def predictions(self, x: Any) -> list[str] | list[float]:
        """A word on every row: `errors` of a net that reconstructs, `classes` of one that classifies."""
        return self.errors(x) if self.trainer.spec.task == "reconstruction" else self.classes(x)

    def targets(self, x: Any, y: Any = None) -> Tensor:
        """What `predict` is held against: the normalised examples of a net that reconstructs, else ``y``."""
        return self._normalised(verification.examples(x, "x")) if self.trainer.spec.task == "reconstruction" else y

    def _normalised(self, x: Tensor) -> Tensor:
        x, given = _shaped(x, self.trainer.spec.shape), self.record["data"]["input"]
        if given is None:
            return x.float()
        bytes_now, bytes_then = x.dtype == torch.uint8, given["dtype"] == "uint8"
        if bytes_then and not bytes_now and not given.get("counts") and x.max() > _BRIGHTEST:
            raise InputError(
                f"x holds {x.max():g}, and this model was trained on bytes, where floats are 0..1: give 0..255 as uint8"
            )
        if bytes_now != bytes_then and not (bytes_then and given.get("counts")):
            x = x.double() * 255 if bytes_then else x.double() / 255
        constants = (torch.tensor(given[name], dtype=torch.float64) for name in ("offset", "scale"))
        return Normalise(*constants)(x.clone())


def _shaped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``x`` as ``(N, *shape)``."""
    if tuple(x.shape[1:]) == shape:
        return x
    if (1, *x.shape[1:]) == shape:
        return x[:, None]
    if x.dim() == 4 and (x.shape[3], *x.shape[1:3]) == shape:
        return x.permute(0, 3, 1, 2)
    wanted = ", ".join(map(str, shape))
    raise InputError(f"x has shape {tuple(x.shape)}: this model was trained on examples of ({wanted})")


def load(run_dir: str | os.PathLike[str], *, algo: type[Trainer] | None = None, **overrides: Any) -> Model:
    """The model of a run that is finished or was stopped.

    Args:
        run_dir: the run's folder.
        algo: the rule, where its name alone does not bring it back: a class that was typed into a notebook.
        **overrides: ``readout`` (one that the rule offers), ``device``, ``precision``, ``eval_batch_size``.

    Raises:
        InputError: no run, no model in it yet, a damaged file, or an override that is not about prediction.
    """
    path = Path(run_dir)
    for key in overrides:
        if key not in OVERRIDES:
            raise unknown("override", key, OVERRIDES)
    config, record = read_config(path), energy_record.read(path / RECORD)
    if not (path / MODEL).exists():
        raise InputError(f"{path} holds no model yet: go on with bpfree train --resume {path}")
    readout = overrides.pop("readout", None)
    values = {**config, **overrides}
    name, data, net = (values.pop(key) for key in ("algo", "data", "net"))
    if algo is None and name.isidentifier() and name not in {*resolve.names("rules"), *resolve.plugins()}:
        raise InputError(f"the rule {name} is in no file: give its class, bpfree.load(…, algo={name})")
    if record["algo_sha256"] != (found := resolve.source_hash(name)) and None not in (record["algo_sha256"], found):
        warnings.warn(f"the rule file {name} has changed since {path} was trained with it", stacklevel=2)
    chosen = plan(algo or name, None if data.startswith(GIVEN) else data, net, values)
    device = pick_device(chosen.loop_settings.device)
    trainer = chosen.build()
    trainer.streams = Streams(config["seed"], device)
    trainer.build(_spec(record["data"]))
    trainer.to(device, torch.float64 if chosen.loop_settings.precision == "fp64" else None)
    trainer.load_state_dict(_weights(path / MODEL, record["extra"].get("model_sha256")))
    trainer.phase = trainer.phases(trainer.settings.epochs)[record["extra"]["phase"]]
    if readout is not None:
        if readout not in trainer.readouts:
            raise unknown("readout of this run", readout, trainer.readouts)
        trainer.settings = dataclasses.replace(trainer.settings, readout=readout)
    return Model(trainer.eval(), record, {**chosen.config, **({"readout": readout} if readout else {})}, device)


def _spec(data: Mapping[str, Any]) -> Spec:
    fields = {field.name: data[field.name] for field in dataclasses.fields(Spec)}
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
    """Raw examples from a ``.npy`` array ``(N, …)`` or one image, in the form that `Model.predict` takes."""
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
    """The metric of a model on the test part of the data called ``name``, normalised as in the model's training."""
    reader = reader_of(name)
    metric = model.trainer.spec.metric
    if issubclass(reader.Settings, GraphSettings):  # split as in training, unless the settings say otherwise
        known = {field.name for field in dataclasses.fields(GraphSettings)}
        then = {key: value for key, value in model.config.items() if key in known}
        data = reader.load({**then, **settings}, model.config["seed"])
        chosen, was = (build(GraphSettings, values) for values in ({**then, **settings}, then))
        _judged_as_trained(model, data.spec.sha256, chosen, was)
        test = cast(GraphSource, data.test)
        value = METRICS[metric](model.predict(test), test.y).item()
        return {"data": name, "rows": len(test), "metric": metric, "test": value, "sha256": data.spec.sha256}
    seed = model.config["seed"]
    then = {key: model.config[key] for key in reader.as_trained if key in model.config}
    chosen = reader.resolve_settings({**then, **settings}, seed)
    raw = reader.read(chosen)
    _judged_as_trained(model, raw.sha256, chosen, reader.resolve_settings(then, seed))
    if raw.x_test is None or raw.y_test is None:
        raise InputError(f"{name} has no test part: nothing to judge on")
    x = raw.x_test
    said, true = [], []
    for part in x.chunks(1 << 24):
        rows = x.gather(torch.arange(part.start, part.stop))
        said.append(model.predict(rows))
        true.append(model.targets(rows, raw.y_test[part]))
    value = METRICS[metric](torch.cat(said), torch.cat(true)).item()
    return {"data": name, "rows": len(x), "metric": metric, "test": value, "sha256": raw.sha256}


def _judged_as_trained(model: Model, sha256: str, chosen: Any, then: Any) -> None:
    """Refuses another split of the data that the model was trained on: rows of its training would judge it."""
    names = [field.name for field in dataclasses.fields(chosen) if field.name != "data_dir"]
    other = [name for name in names if getattr(chosen, name) != getattr(then, name)]
    if other and sha256 == model.record["data"]["sha256"]:
        raise InputError(
            f"this run was trained on these data and is judged on its own test part: leave {' and '.join(other)} out"
        )
