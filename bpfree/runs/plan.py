"""The plan of a run: names and values become checked settings of rule, net, data and loop."""

import dataclasses
import inspect
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bpfree import data as data_room
from bpfree import nets
from bpfree.config.settings import as_dict, resolve, setting, settings, with_absolute_paths
from bpfree.config.user_files import absolute, short_name
from bpfree.data import locations
from bpfree.data.settings import DataSettings
from bpfree.errors import InputError
from bpfree.rules import RULES
from bpfree.runs import provenance
from bpfree.runs.metrics import own_metric
from bpfree.runs.probe import Probe
from bpfree.training.callbacks import Callback
from bpfree.training.data import Data
from bpfree.training.device import pick_device
from bpfree.training.loop_settings import LoopSettings
from bpfree.training.run_folder import CONFIG
from bpfree.training.trainer import Trainer

NAMES = ("algo", "data", "net")
GIVEN = "given in memory: "  # begins the data name of a run on arrays or a Dataset


@settings
class RunSettings(LoopSettings):
    """Settings of a run: those of the loop, and callbacks."""

    probe: bool = setting(False, "fit a linear readout on every block after each epoch and record its accuracy")
    metric: str | None = setting(
        None, "FILE.py:function(scores, targets) of your own, reported beside the task's metric", absolute=absolute
    )


@dataclasses.dataclass(frozen=True)
class Plan:
    """A run, checked and complete: names, and the settings of rule, net, data and loop.

    Attributes:
        cls: the rule.
        algo: its name, under which it is found again from anywhere.
        data: a name, or data in memory.
        net: a name.
        rule_settings, net_settings, data_settings: instances of their ``Settings``.
        loop_settings: `RunSettings`.
    """

    cls: type[Trainer]
    algo: str
    data: Any
    net: str
    rule_settings: Any
    net_settings: Any
    data_settings: Any
    loop_settings: RunSettings

    @property
    def config(self) -> dict[str, Any]:
        """The flat configuration that ``config.yaml`` holds."""
        name = self.data if isinstance(self.data, str) else GIVEN + type(self.data).__name__
        settings = (self.rule_settings, self.net_settings, self.data_settings, self.loop_settings)
        return {"algo": self.algo, "data": name, "net": self.net, **as_dict(*settings)}

    def net_key(self, data_sha256: str) -> str | None:
        """Hash of the net and of the data with its settings, but for the seed of the run; None: the data have no hash.

        A difference between two runs counts only where this hash is equal.
        """
        if not data_sha256:
            return None
        data = {key: value for key, value in as_dict(self.data_settings).items() if key != "data_dir"}
        return provenance.sha256_of([self.net, as_dict(self.net_settings), data_sha256, data])

    def load_data(self) -> Data:
        """The data, by name or from memory, split and normalised."""
        seed = self.loop_settings.seed
        load = data_room.load if isinstance(self.data, str) else data_room.as_data
        return load(self.data, self.data_settings, seed)

    def build(self) -> Trainer:
        """A new trainer; its net is built when the data's shapes are known."""
        return self.cls(net=self.net, settings=self.rule_settings, net_settings=self.net_settings)

    def callbacks(self) -> list[Callback]:
        """Callbacks that the settings ask for; they come before the user's, which may read what they add."""
        return [Probe()] if self.loop_settings.probe else []


def _class_of(algo: str | type[Trainer]) -> type[Trainer]:
    """The rule, by name or as it is. InputError: it is no subclass of Trainer."""
    if isinstance(algo, str):
        return RULES.load(algo)
    if isinstance(algo, type) and issubclass(algo, Trainer):
        return algo
    kind = f"a {type(algo).__name__}" if not isinstance(algo, type) else algo.__name__
    raise InputError(f"algo is {kind}: give the name of a rule, or a subclass of bpfree.Trainer itself")


def settings_of(algo: str | type[Trainer], data: Any = None, net: str | None = None) -> dict[str, type]:
    """The settings classes of a run, by title.

    Args:
        algo: the rule.
        data: a name, or data in memory; None: the rule's default.
        net: a name; None: `default_net`.

    Raises:
        InputError: a name that does not exist.
    """
    cls = _class_of(algo)
    data = cls.data if data is None else data
    if isinstance(data, str) and data.startswith(GIVEN):
        raise InputError(f"data {data}: give the same from Python, with bpfree.train(…, data=…)")
    source = data_room.reader_of(data).Settings if isinstance(data, str) else DataSettings
    net = net or default_net(cls, data)
    return {"rule": cls.Settings, f"net {net}": nets.net(net)[1], "data": source, "run": RunSettings}


def default_net(algo: str | type[Trainer], data: Any) -> str:
    """The net that is built when none is named.

    Args:
        algo: the rule; its own default comes first.
        data: a name, or data in memory; their default comes second.
    """
    cls = _class_of(algo)
    if not isinstance(data, str) or data.startswith(GIVEN):
        return cls.net or "mlp"
    reader = data_room.reader_of(data)
    return (reader.images and cls.image_net) or cls.net or reader.net


def plan(algo: str | type[Trainer], data: Any, net: str | None, values: Mapping[str, Any]) -> Plan:
    """Check a configuration.

    Args:
        algo: the rule.
        data: a name, or data in memory; None: the rule's default.
        net: a name; None: `default_net`.
        values: settings of rule, net, data and loop, in one flat namespace.

    Raises:
        InputError: a name or setting that does not exist, or a value out of range.
    """
    cls = _class_of(algo)
    if not isinstance(net, str | None):
        kind, rule = type(net).__name__, cls.__name__
        raise InputError(f"net is a {kind}: give a name; blocks of your own go into the rule, {rule}(blocks).fit(data)")
    data = cls.data if data is None else data
    net = net or default_net(cls, data)
    classes = settings_of(cls, data, net).values()
    rule, shape, source, loop = map(with_absolute_paths, resolve(classes, values, cls.prefer))
    if isinstance(data, str) and (":" in data or source.data_dir != DataSettings().data_dir):  # the same from anywhere
        source = dataclasses.replace(source, data_dir=os.path.abspath(locations.path(source.data_dir)))
    loop = dataclasses.replace(loop, device=str(pick_device(loop.device)))
    if loop.metric:
        own_metric(loop.metric)
    return Plan(cls, algo_name(algo), data, net, rule, shape, source, loop)


def read_config(path: Path) -> dict[str, Any]:
    """The configuration of the run in ``path``."""
    try:
        config = yaml.safe_load((path / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} holds no run ({CONFIG} is missing): give the folder of a run") from None
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"cannot read {path / CONFIG}: {str(error).splitlines()[0]}") from None
    if not isinstance(config, dict) or not all(isinstance(config.get(name), str) for name in NAMES):
        raise InputError(f"{path / CONFIG} is not the configuration of a run: restore it, or start anew")
    return config


def default_folder(planned: Plan) -> Path:
    """The folder of a run that names none: rule, data and seed under ``runs``, and random digits."""
    kind, _, where = planned.config["data"].partition(":")
    data = kind if isinstance(planned.data, str) else "own"
    parts = [short_name(planned.algo), data, Path(where.strip()).stem]
    name = "-".join(part for part in parts if part)
    return Path("runs") / f"{name}-s{planned.loop_settings.seed}-{uuid.uuid4().hex[:6]}"


def new_folder(kind: str, subject: str) -> Path:
    """The folder of a comparison or search that names none, under ``runs``, with random digits.

    Args:
        kind: the first part of its name.
        subject: the second part: the name of a data set or rule.
    """
    name, _, where = subject.partition(":")
    parts = (kind, name, Path(where.strip()).stem)
    return Path("runs") / f"{'-'.join(part for part in parts if part)}-{uuid.uuid4().hex[:6]}"


def algo_name(algo: str | type[Trainer]) -> str:
    """The name under which `bpfree.rules.rule` finds a rule again from anywhere: files by their absolute path."""
    if isinstance(algo, str):
        return absolute(algo)
    cls = algo
    if cls.__module__.startswith("bpfree.rules."):
        return cls.__module__.rpartition(".")[2].replace("_", "-")
    try:
        path = Path(inspect.getfile(cls)).resolve()
    except (OSError, TypeError):  # typed into a notebook
        return cls.__name__
    return f"{path}:{cls.__name__}" if path.is_file() else cls.__name__
