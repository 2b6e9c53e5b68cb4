"""Arms: what a comparison runs, from the text that a user types to checked plans.

An arm is written ``rule`` or ``rule:key=value,…``. What all arms share (stopping rule, batches, seeds, device,
checkpoints) belongs to the study, and no arm may set it. Every distinct net gets one twin, plain backpropagation on the
same net and data, and the controls, among them those that the rules of its arms declare (`Trainer.controls`); the first
arm is run once more, the A/A arm, whose differences are noise.
"""

import dataclasses
import math
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from bpfree.config.settings import as_dict
from bpfree.errors import InputError, unknown
from bpfree.rules import RULES
from bpfree.runs import train
from bpfree.training import contract
from bpfree.training.data import Spec
from bpfree.training.loop import LoopSettings

BASELINE = "backprop"
PROTOCOL = {  # of arXiv 2511.01061's correction
    "epochs": 100,
    "patience": 20,
    "min_delta": 0.0,
    "batch_size": 128,
    "keep": "best",
    "validate_every": 1,
}
QUICK = {"epochs": 6, "patience": 3, "subset": 2000, "hidden": (256, 256), "channels": (16, 32)}
OF_THE_STUDY = {*PROTOCOL, *(field.name for field in dataclasses.fields(LoopSettings))}
INHERITED = ("lr_schedule",)  # what twins and controls take over from the arm that they stand beside
NO_ARMS = "no arms given: write --algos mono-forward,forward-forward"
SUPERVISED, UNTRAINED = f"{BASELINE}:deep_supervision=true", "random-features"  # controls of every net


@dataclasses.dataclass
class Arm:
    """One arm.

    Attributes:
        name: as typed, or what it is beside another arm.
        values: all its settings but for the seed; ``own``: those that were written behind its rule.
        role: arm, twin, control or aa; ``reference``: the arm that it is twin, control or repeat of.
        net_key: hash of net and data.
        search: what its tuning took and found.
        slug: its name in paths.
    """

    name: str
    algo: str
    data: str
    net: str
    values: dict[str, Any]
    own: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    role: str = "arm"
    reference: str | None = None
    net_key: str | None = None
    search: dict[str, Any] | None = None
    slug: str = ""

    def plan(self, **changes: Any) -> train.Plan:
        return train.plan(self.algo, self.data, self.net, {**self.values, **changes})

    def matched(self, passes: float, spec: Spec, cached: Container[str]) -> int:
        """Epochs of a phase with which this arm sees the data at least ``passes`` times in all its phases; those named
        in ``cached`` have a pass more, that computes their frozen prefix."""
        trainer = self.plan().build()
        trainer.build(spec)
        for epochs in range(1, math.ceil(passes)):
            seen = sum(phase.epochs + (phase.name in cached) for phase in trainer.phases(epochs))
            if seen >= passes - 1e-9:
                return epochs
        return math.ceil(passes)


def separate(text: str | Iterable[str]) -> list[str]:
    """The arms in ``a,b:k=v,l=w,c``: what holds ``=`` before any ``:``, or is a number, belongs to the arm before it.

    Arms that are separate already stay so.

    >>> separate("mono-forward,backprop:lr=0.1,hidden=64,32,cafo")
    ['mono-forward', 'backprop:lr=0.1,hidden=64,32', 'cafo']
    """
    if not isinstance(text, str):
        return list(text)
    arms: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        goes_on = re.fullmatch(r"[\w-]+=.*|[\d.eE+-]+", part)
        if goes_on and arms and ":" in arms[-1]:
            arms[-1] += "," + part
        elif part:
            arms.append(part)
    return arms


def parse(text: str) -> tuple[str, dict[str, str]]:
    """Rule and settings of one arm.

    >>> parse("mine.py:Rule:lr=0.1,hidden=64,32")
    ('mine.py:Rule', {'lr': '0.1', 'hidden': '64,32'})
    """
    match = re.fullmatch(r"(?P<rule>.*?\.py(?::\w+(?=:|$))?|[^:]*)(?::(?P<rest>.*))?", text)
    assert match is not None
    values: dict[str, str] = {}
    last = None
    for part in (match["rest"] or "").split(",") if match["rest"] is not None else ():
        key, equals, value = part.partition("=")
        if equals and key:
            last = key.strip().replace("-", "_")
            if last in values:
                raise InputError(f"arm {text}: {last} is given twice")
            values[last] = value.strip()
        elif last is not None and part:
            values[last] += "," + part
        else:
            raise InputError(f"arm {text!r} is not valid: expected rule, or rule:key=value,key=value")
    return match["rule"].strip(), values


def build_arms(
    algos: Sequence[str],
    data: str,
    net: str | None,
    common: Mapping[str, Any],
    *,
    controls: Sequence[str] | None = None,
    quick: bool = False,
) -> tuple[list[Arm], dict[str, Spec], list[str]]:
    """The arms of a study in the order in which they run, what the data of each look like, what a reader must be told.

    Args:
        algos: arms as typed.
        common: settings of all arms that have them.
        controls: instead of the usual ones; a rule's own stand beside its arms only.
        quick: short runs on few rows with narrow layers, unless ``common`` says otherwise.

    Raises:
        InputError: an arm that does not exist, is given twice, sets what belongs to the study or does not fit the data.
    """
    if not algos:
        raise InputError(NO_ARMS)
    for twice in {text for text in algos if list(algos).count(text) > 1}:
        raise InputError(f"arm {twice} is given twice: its repeats are the seeds")
    values = {**PROTOCOL, **(QUICK if quick else {}), **common}
    typed = [_arm(text, data, net, values) for text in algos]
    _all_known(common, typed)
    loaded: dict[str, Spec] = {}
    try:
        for arm in typed:
            _settle(arm, loaded)
    except InputError:
        if not quick or "subset" in common or "subset" not in typed[0].values:
            raise
        few = {**common, "subset": None}  # of data with fewer rows all are quick
        return build_arms(algos, data, net, few, controls=controls, quick=quick)
    found: list[Arm] = []
    notes: list[str] = []
    keys = list(dict.fromkeys(arm.net_key for arm in typed))
    for key in keys:
        group = [arm for arm in typed if arm.net_key == key]
        first = next((arm for arm in group if arm.name != BASELINE), group[0])
        suffix = "" if len(keys) == 1 else f" (net of {first.name})"
        found += [arm for arm in group if arm.name != BASELINE]  # plain backpropagation is the twin
        rules = list(dict.fromkeys(arm.algo for arm in group))
        for text in [BASELINE, *_controls(rules, controls)]:
            added = _relative(text, first, values, "twin" if text == BASELINE else "control", text + suffix)
            try:
                _settle(added, loaded)
            except InputError as error:
                notes.append(f"{text} cannot run beside {first.name} and was left out: {error}")
                continue
            if all(arm.plan().config != added.plan().config for arm in found):
                found.append(added)
    if len(keys) == len(typed) > 1:
        notes.append("the arms share no net: each is held against its own backprop twin, never against another arm")
    again = dataclasses.replace(found[0], name=f"{found[0].name} again", role="aa", reference=found[0].name)
    found.insert(1, again)
    for k, arm in enumerate(found):
        arm.slug = f"{k:02}-" + re.sub(r"[^\w.=-]+", "_", arm.name).strip("_")
    return found, {arm.name: _settle(arm, loaded) for arm in found}, notes


def default_data(algos: str | Iterable[str]) -> str:
    """The data of a study that names none: what its rules, but for the baseline, train on when none is named."""
    rules = [parse(text)[0] for text in separate(algos)]
    if not rules:
        raise InputError(NO_ARMS)
    names = {RULES.load(rule).data: rule for rule in rules if rule != BASELINE or set(rules) == {BASELINE}}
    if len(names) > 1:
        different = ", ".join(f"{rule} on {data}" for data, rule in names.items())
        raise InputError(f"no data given, and the arms would train on different ones ({different}): add --data NAME")
    return next(iter(names))


def settings_of(algos: str | Iterable[str], data: str, net: str | None = None, **_: Any) -> list[type]:
    """Who takes settings in a study of these arms."""
    found: dict[type, None] = {}
    for text in separate(algos):
        rule, own = parse(text)
        found |= dict.fromkeys(train.settings_of(rule, data, own.get("net", net)).values())
    return list(found)


def _controls(rules: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """The controls of a net that arms of ``rules`` have: the usual ones, or those of ``wanted`` that belong there."""
    if wanted is None:
        own = [text for rule in rules for text in _own_controls(rule)]
        return [SUPERVISED, *own, UNTRAINED]
    return [text for text in wanted if (rule := parse(text)[0]) in rules or text not in _own_controls(rule)]


def _own_controls(rule: str) -> list[str]:
    """The controls that a rule declares, as arms."""
    return [f"{rule}:{values}" for values in RULES.load(rule).controls]


def _arm(text: str, data: str, net: str | None, common: Mapping[str, Any]) -> Arm:
    rule, own = parse(text)
    name_of_net = str(own.pop("net", net or train.default_net(rule, data)))
    for key in own:
        if key in OF_THE_STUDY:
            flag = "--" + key.replace("_", "-")
            raise InputError(f"arm {text}: {key} belongs to the whole study, so that all arms run alike: give {flag}")
    arm = Arm(text, rule, data, name_of_net, {**_fitting(rule, data, name_of_net, common), **own}, own)
    arm.plan()
    return arm


def _relative(text: str, arm: Arm, common: Mapping[str, Any], role: str, name: str) -> Arm:
    """A twin or control on the net and data of ``arm``."""
    rule, own = parse(text)
    plan = arm.plan()
    same = as_dict(plan.net_settings, plan.data_settings)
    same |= {key: getattr(plan.rule_settings, key) for key in INHERITED if hasattr(plan.rule_settings, key)}
    values = {**_fitting(rule, arm.data, arm.net, {**common, **same}), **own}
    return Arm(name, rule, arm.data, arm.net, values, own, role, arm.name)


def _fitting(rule: str, data: str, net: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``values`` that this rule, net, data and loop know."""
    known = _known(rule, data, net)
    return {key: value for key, value in values.items() if key in known}


def _known(rule: str, data: str, net: str) -> set[str]:
    classes = train.settings_of(rule, data, net).values()
    return {field.name for cls in classes for field in dataclasses.fields(cls)}


def _all_known(common: Mapping[str, Any], arms: Iterable[Arm]) -> None:
    known: set[str] = set().union(*(_known(arm.algo, arm.data, arm.net) for arm in arms))
    for key in common:
        if key not in known:
            raise unknown("setting", key, known)
    if "seed" in common:
        raise InputError("seed belongs to a single run: give --seeds 5, or --seeds 0,1,2")


def _settle(arm: Arm, loaded: dict[str, Spec]) -> Spec:
    """Read the data unless that was done, build the net once, and name what both are."""
    plan = arm.plan()
    key = repr((plan.data, plan.data_settings))
    if key not in loaded:
        data = plan.load_data()
        if data.test is None:
            raise InputError(f"data {arm.data} has no test part, on which a comparison is judged: add one")
        loaded[key] = data.spec
    spec = loaded[key]
    arm.net_key = plan.net_key(spec.sha256)
    if arm.net_key is None:
        raise InputError(f"data {arm.data} has no hash, so that nobody could tell whether two runs saw the same")
    with contract.net_fits():
        plan.build().build(spec)
    return spec
