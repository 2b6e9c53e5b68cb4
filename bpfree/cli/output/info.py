"""Descriptions: names of everything there is, and a rule with its settings, owners and costs."""

import json
import sys
from typing import TYPE_CHECKING, Any

from bpfree.cli.output.tables import metric_text, print_mapping, print_table
from bpfree.config import flags
from bpfree.config.resolve import PACKAGE, first_line
from bpfree.config.settings import Option, options
from bpfree.config.user_files import file_and_object

if TYPE_CHECKING:
    from bpfree.training.trainer import Trainer


def print_names(as_json: bool) -> None:
    """Print rules, nets, data, meters and recipes, each with one line. Imports no torch."""
    from bpfree.data import DATA, SOURCES
    from bpfree.nets import NETS
    from bpfree.rules import RULES
    from bpfree.runs import recipes
    from bpfree.runs.meters import METERS
    from energy.sources.find import BACKENDS

    kinds = {
        "rules": RULES.names(),
        "nets": NETS.names(),
        "data": DATA.names() | {name: _data_line(where) for name, where in SOURCES.items()},
        "meters": BACKENDS | METERS.names(),
        "recipes": recipes.names(),
    }
    if as_json:
        print(json.dumps(kinds, indent=1))
        return
    for title, names in kinds.items():
        print_table(names.items(), title)


def _data_line(where: str) -> str:
    """The docstring of a reader's module begins with the names of its data: they are left out."""
    line = first_line(where.partition(":")[0]).replace("``", "")
    return line.partition(": ")[2] or line


def print_settings(algo: str, data: str | None = None, net: str | None = None) -> None:
    """Print every setting with default, range, range of a search, and help.

    Args:
        algo: the rule.
        data: the data; None: the rule's.
        net: the net; None: the rule's or the data's.
    """
    from bpfree.rules import rule
    from bpfree.runs import plan

    prefer = rule(algo).prefer
    for title, cls in plan.settings_of(algo, data, net).items():
        rows = []
        for option in options(cls):
            flag = option.flag + (" / --no-" + option.flag[2:] if option.type == "bool" else "")
            unit = f" [{option.unit}]" if option.unit else ""
            default, kind = flags.default_text(option, prefer), option.range or option.type
            rows.append((flag, default, kind, _search_text(option), option.help + unit))
        print_table(rows, f"\nSettings of the {title}", ("flag", "default", "takes", "searched", ""))


def _search_text(option: Option) -> str:
    """The range or the choices that `bpfree tune` tries."""
    if option.span is None:
        return " | ".join(map(str, option.search or "-"))
    low, high, log = option.span
    return f"{low:g} to {high:g}" + (", log" if log else "")


def print_rule(name: str) -> None:
    """Print a rule's docstring, costs, defaults of its own and settings."""
    from bpfree.rules import rule

    cls = rule(name)
    module = sys.modules[cls.__module__].__doc__
    # A rule of one's own may explain itself in its file, in its class, or in both; a built-in one does so in its file.
    texts = [module, cls.__doc__] if file_and_object(name) else [module or cls.__doc__]
    print("\n\n".join(text.strip() for text in texts if text) or "(no description)", end="\n\n")
    print_mapping({**_costs(cls), **_first_hour(name)})
    if departures := cls.departures():
        rows = [(d.name, flags.value_text(d.value), flags.value_text(d.common), d.reason) for d in departures]
        headers = ("setting", "here", "common", "reason")
        print_table(rows, "\nDefaults that differ from the common ones", headers)
    print_settings(name)


def _first_hour(name: str) -> dict[str, str]:
    """The result of the rule's defaults, from the committed table of ``examples/first_hour.py``, if it is there."""
    file = PACKAGE / "rules" / "first_hour.json"
    row = json.loads(file.read_text(encoding="utf-8")).get(name) if file.exists() else None
    if row is None:
        return {}
    reached = f"test {row['metric']} {metric_text(row['test'], row['metric'])} on {row['data']} with {row['net']}"
    return {"with its defaults": f"{reached}, {row['epochs']} epochs, {row['cpu_s']:.0f} s on one core"}


def _costs(cls: "type[Trainer]") -> dict[str, Any]:
    """Owners and passes of the rule on the net that it trains when none is named, for its own data (not loaded)."""
    from bpfree.runs import plan
    from bpfree.training.data import Spec

    specs = (
        Spec("mnist", (1, 28, 28), 10, None, "classification", "accuracy", True, "", ""),
        Spec("vowels", (12,), 7, None, "classification", "accuracy", True, "", ""),
        Spec("cora", (1433,), 7, None, "node-classification", "accuracy", True, "", "", 2708),
    )
    try:
        trainer = cls(net=plan.default_net(cls, cls.data))
        trainer.build(next(spec for spec in specs if spec.name == cls.data))
        owners = {key: sum(p.numel() for p in params if p.requires_grad) for key, params in trainer.owners().items()}
    except Exception as error:  # a rule for other data, or one that is still being written
        return {"owners": f"not known without its data ({type(error).__name__}: {error})"}
    return {
        "owners": "; ".join(f"{key}: {n:,} parameters" for key, n in owners.items()) or "none",
        "phases": ", ".join(phase.name for phase in trainer.phases(trainer.settings.epochs)),
        "forward passes": f"{trainer.forward_passes[0]:g} a step, {trainer.forward_passes[1]:g} a prediction",
        "torchrun": f"{'same result' if cls.batch_separable else 'the result may differ'} on N processes",
        "readouts": " ".join(trainer.readouts) or None,
        "tasks": ", ".join(cls.tasks),
        "not made for": cls.not_for or None,
        "data, net": f"{cls.data}, {plan.default_net(cls, cls.data)} when none is named",
    }
