"""The plan of a run: names and values become checked settings of rule, net, data and loop."""

import copy
import dataclasses
import inspect
import os
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from bpfree import data as data_room
from bpfree import nets
from bpfree.config.settings import as_dict, resolve, setting, settings, with_absolute_paths
from bpfree.config.user_files import absolute, file_and_object, short_name
from bpfree.data import locations
from bpfree.data.graphs.raw import GraphSettings
from bpfree.data.graphs.recognition import is_graph, is_ready_graph
from bpfree.data.settings import DataSettings, OwnSettings
from bpfree.errors import InputError
from bpfree.rules import RULES
from bpfree.runs import provenance
from bpfree.runs.metrics import own_metric
from bpfree.runs.probe import Probe
from bpfree.training.callbacks import Callback
from bpfree.training.data import Data, Spec
from bpfree.training.device import pick_device
from bpfree.training.loop_settings import LoopSettings
from bpfree.training.run_folder import CONFIG
from bpfree.training.small_tables import fitted, undecided
from bpfree.training.trainer import Trainer

NAMES = ("algo", "data", "net")
GIVEN = "given in memory: "  # begins the name of data or of a net that were objects in Python


@settings
class RunSettings(LoopSettings):
    """Settings of a run: those of the loop, first weights and callbacks."""

    init_from: str | None = setting(
        None,
        "folder of a run whose weights this one begins with, where names and shapes agree",
        absolute=os.path.abspath,
    )
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
        net: a name, or blocks in memory.
        rule_settings, net_settings, data_settings: instances of their ``Settings``.
        loop_settings: `RunSettings`.
        open: settings that the data decide on (`bpfree.training.small_tables.undecided`).
    """

    cls: type[Trainer]
    algo: str
    data: Any
    net: Any
    rule_settings: Any
    net_settings: Any
    data_settings: Any
    loop_settings: RunSettings
    open: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def config(self) -> dict[str, Any]:
        """The flat configuration that ``config.yaml`` holds."""
        data, net = (part if isinstance(part, str) else GIVEN + type(part).__name__ for part in (self.data, self.net))
        settings = (self.rule_settings, self.net_settings, self.data_settings, self.loop_settings)
        return {"algo": self.algo, "data": data, "net": net, **as_dict(*settings)}

    @property
    def files(self) -> dict[str, dict[str, str]]:
        """The user's own data and net that are no built-in ones: ``file``, the name, and ``sha256``.

        The hash is that of the file's bytes, or of the weights of a net in memory.
        """
        own = {}
        if isinstance(self.data, str) and data_room.user_file(self.data):
            own["data"] = data_room.DATA.source_hash(self.data, data_room.DATA.load(self.data))
        if not isinstance(self.net, str):
            own["net"] = provenance.weights_sha256(nn.ModuleList(self.net))
        elif file_and_object(self.net):
            own["net"] = nets.NETS.source_hash(self.net, nets.NETS.load(self.net))
        return {kind: {"file": self.config[kind], "sha256": str(sha256)} for kind, sha256 in own.items()}

    def net_key(self, spec: Spec) -> str | None:
        """Hash of the net and of the data with its settings, but for the seed of the run; None: the data have no hash.

        A difference between two runs counts only where this hash is equal.

        Args:
            spec: of the data as they were loaded.
        """
        if not spec.sha256:
            return None
        data = {key: value for key, value in as_dict(self.data_settings).items() if key != "data_dir"}
        if spec.normalize:  # auto, and what it became, are the same
            data["normalize"] = spec.normalize
        net = self.files["net"]["sha256"] if "net" in self.files else self.net
        return provenance.sha256_of([net, as_dict(self.net_settings), spec.sha256, data])

    def load_data(self) -> Data:
        """The data, by name or from memory, split and normalised."""
        seed = self.loop_settings.seed
        load = data_room.load if isinstance(self.data, str) else data_room.as_data
        return load(self.data, self.data_settings, seed)

    def settled(self, data: Data) -> "tuple[Plan, Data]":
        """The plan with the settings that ``data`` call for, where they are open, and the data with notes."""
        if not self.open:
            return self, data
        rule, net, data = fitted(self.rule_settings, self.net_settings, data, self.cls.min_steps, self.open)
        return dataclasses.replace(self, rule_settings=rule, net_settings=net, open={}), data

    def build(self) -> Trainer:
        """A new trainer; its net is built when the data's shapes are known."""
        if isinstance(self.net, str):
            return self.cls(net=self.net, settings=self.rule_settings, net_settings=self.net_settings)
        trainer = self.cls(copy.deepcopy(self.net), settings=self.rule_settings)
        trainer.notes.append("the net's blocks were given in memory: a copy of them is trained, from their own weights")
        return trainer

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


def settings_of(algo: str | type[Trainer], data: Any = None, net: Any = None) -> dict[str, type]:
    """The settings classes of a run, by title.

    Args:
        algo: the rule.
        data: a name, or data in memory; None: the rule's default.
        net: a name, or blocks in memory; None: `default_net`.

    Raises:
        InputError: a name that does not exist.
    """
    cls = _class_of(algo)
    data = cls.data if data is None else data
    for kind, name in (("data", data), ("net", net)):
        if isinstance(name, str) and name.startswith(GIVEN):
            raise InputError(f"{kind} {name}: give the same from Python, with bpfree.train(…, {kind}=…)")
    in_memory = GraphSettings if is_graph(data) else OwnSettings
    source = data_room.reader_of(data).Settings if isinstance(data, str) else in_memory
    if net is not None and not isinstance(net, str):
        return {"rule": cls.Settings, "net": nets.NoSettings, "data": source, "run": RunSettings}
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
        return cls.net or ("gnn" if is_graph(data) or is_ready_graph(data) else "mlp")
    reader = data_room.reader_of(data)
    return (reader.images and cls.image_net) or cls.net or reader.net


def plan(
    algo: str | type[Trainer], data: Any, net: Any, values: Mapping[str, Any], open_too: Collection[str] = ()
) -> Plan:
    """Check a configuration.

    Args:
        algo: the rule.
        data: a name, or data in memory; None: the rule's default.
        net: a name, or blocks in memory; None: `default_net`.
        values: settings of rule, net, data and loop, in one flat namespace.
        open_too: names of those that small tables may still change, as if nobody had decided on them.

    Raises:
        InputError: a name or setting that does not exist, or a value out of range.
    """
    cls = _class_of(algo)
    if not isinstance(net, str | None):
        _check_blocks(net)
    data = cls.data if data is None else data
    data = data_room.absolute(data) if isinstance(data, str) else data
    net = default_net(cls, data) if net is None else absolute(net) if isinstance(net, str) else net
    classes = settings_of(cls, data, net).values()
    rule, shape, source, loop = map(with_absolute_paths, resolve(classes, values, cls.prefer))
    if isinstance(data, Data):
        _refuse_without_effect(source, *resolve([OwnSettings], {}, cls.prefer))
    if isinstance(data, str) and (":" in data or source.data_dir != DataSettings().data_dir):  # the same from anywhere
        source = dataclasses.replace(source, data_dir=os.path.abspath(locations.path(source.data_dir)))
    loop = dataclasses.replace(loop, device=str(pick_device(loop.device)))
    if loop.metric:
        own_metric(loop.metric)
    open_ = undecided(cls, shape, values.keys() - set(open_too))
    return Plan(cls, algo_name(algo), data, net, rule, shape, source, loop, open_)


def _refuse_without_effect(settings: OwnSettings, defaults: OwnSettings) -> None:
    """Refuse settings of data that are split and normalised already."""
    for field in dataclasses.fields(settings):
        if (value := getattr(settings, field.name)) != getattr(defaults, field.name):
            raise InputError(f"{field.name} = {value} has no effect on bpfree data, which are ready: remove it")


def _check_blocks(net: Any) -> None:
    """Refuse a net that is neither a name nor a list of blocks."""
    several = isinstance(net, list | tuple | nn.Sequential | nn.ModuleList)
    if not several or not len(net) or not all(isinstance(block, nn.Module) for block in net):
        raise InputError(f"net is a {type(net).__name__}: give a name, a list of modules, or an nn.Sequential")


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
    data = _words(planned.config["data"]) if isinstance(planned.data, str) else ["own", type(planned.data).__name__]
    name = "-".join([short_name(planned.algo), *data])
    return Path("runs") / f"{name}-s{planned.loop_settings.seed}-{uuid.uuid4().hex[:6]}"


def new_folder(kind: str, subject: str) -> Path:
    """The folder of a comparison or search that names none, under ``runs``, with random digits.

    Args:
        kind: the first part of its name.
        subject: the second part: the name of a data set or rule.
    """
    return Path("runs") / f"{'-'.join([kind, *_words(subject)])}-{uuid.uuid4().hex[:6]}"


def _words(name: str) -> list[str]:
    """The name of data or of a rule, as words of a folder's name."""
    if data_room.user_file(name):
        return [short_name(name)]
    kind, _, where = name.partition(":")
    return [word for word in (kind, Path(where.strip()).stem) if word]


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
