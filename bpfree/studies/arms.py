"""Arms: what a comparison runs, as checked plans.

Settings that all arms share (stopping rule, batches, seeds, device, checkpoints) belong to the study, and no arm may
set them.
Every distinct net gets one twin, plain backpropagation on the same net and data, and the controls, among them those
that the rules of its arms declare (`Trainer.controls`); the first arm is run once more, the A/A arm, whose differences
are noise. Two controls are the twin in less memory: they have its settings, searched ones too, and as their gradient is
its own, they run at their own convergence alone.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from bpfree.config.notes import tell
from bpfree.config.settings import as_dict
from bpfree.errors import InputError, unknown
from bpfree.reports.study import BASELINE, MATCHED, OWN
from bpfree.rules import RULES
from bpfree.runs import plan as plans
from bpfree.studies.notation import NO_ARMS, parse
from bpfree.training import contract
from bpfree.training.data import Data, Spec

PROTOCOL = {  # of arXiv 2511.01061's correction
    "epochs": 100,
    "patience": 20,
    "min_delta": 0.0,
    "batch_size": 128,
    "keep": "best",
    "validate_every": 1,
}
QUICK = {"epochs": 6, "patience": 3, "subset": 2000, "hidden": (256, 256), "channels": (16, 32)}
SHARED = {*PROTOCOL, *(field.name for field in dataclasses.fields(plans.RunSettings))}  # settings that no arm may set
SAVED = ("written", "role", "reference", "repeats", "budgets", "search")  # of an arm, in study.json as they are
INHERITED = ("lr_schedule",)  # settings of the rule that twins and controls take over from their reference
SUPERVISED, UNTRAINED = f"{BASELINE}:deep_supervision=true", "random-features"  # controls of every net
LESS_MEMORY = (f"{BASELINE}:accumulate=4", f"{BASELINE}:checkpointing=true")  # so are these: the twin's own gradient


@dataclasses.dataclass
class Arm:
    """One arm.

    Attributes:
        name: its text, with the net's arm behind it where the same text has several nets.
        algo: its rule.
        data: name of the data.
        net: name of the net.
        values: all its settings but for the seed.
        written: names of the settings in its text.
        role: ``arm``, ``twin``, ``control`` or ``aa``.
        reference: name of the arm of which it is twin, control or repeat.
        repeats: name of the arm whose searched settings it has, too; None: a search of its own.
        budgets: those that it runs in.
        net_key: hash of net and data.
        open_too: settings in ``values`` that small tables may still change.
        search: cost and result of the search of its settings.
        slug: its name in paths.
    """

    name: str
    algo: str
    data: str
    net: str
    values: dict[str, Any]
    written: Sequence[str] = ()
    role: str = "arm"
    reference: str | None = None
    repeats: str | None = None
    budgets: Sequence[str] = (OWN, MATCHED)
    open_too: Sequence[str] = ()
    net_key: str | None = None
    search: dict[str, Any] | None = None
    slug: str = ""

    @functools.cached_property
    def plan(self) -> plans.Plan:
        """The checked plan of a run of this arm, with the rule as its file was when the study began."""
        return plans.plan(self.algo, self.data, self.net, self.values, self.open_too)

    def settle(self, data: Data) -> Sequence[str]:
        """Fix the settings that the data decide on, so that twin, controls and repeats have the same.

        Args:
            data: of the arm.

        Returns:
            A note for each setting that is not its default.
        """
        settled, noted = self.plan.settled(data)
        self.values |= {name: settled.config[name] for name in self.plan.open if name in settled.config}
        self.plan = settled
        return noted.notes[len(data.notes) :]

    def matched_epochs(self, passes: float, spec: Spec, cached: Container[str]) -> int:
        """Epochs of each phase with which all phases together see the data at least ``passes`` times.

        Args:
            passes: data passes to be reached.
            spec: of the data.
            cached: names of the phases with a pass more, which computes their frozen prefix.
        """
        trainer = self.plan.build()
        trainer.build(spec)
        for epochs in range(1, math.ceil(passes)):
            seen = sum(phase.epochs + (phase.name in cached) for phase in trainer.phases(epochs))
            if seen >= passes - 1e-9:
                return epochs
        return math.ceil(passes)


def build_arms(
    algos: Sequence[str],
    data: str,
    net: str | None,
    common: Mapping[str, Any],
    *,
    controls: Sequence[str] | None = None,
    quick: bool = False,
    searched: bool = False,
) -> tuple[list[Arm], dict[str, Spec], list[str]]:
    """The arms of a new study.

    Args:
        algos: arms as typed.
        data: name of the data.
        net: name of the net of arms that name none.
        common: settings of all arms that have them.
        controls: instead of the usual ones; a rule's own stand beside its arms only.
        quick: short runs on few rows with narrow layers, unless ``common`` says otherwise.
        searched: settings that an arm does not name are searched before the runs.

    Returns:
        The arms in the order in which they run, name -> the spec of its data, and notes for the reader of the report.

    Raises:
        InputError: an arm that does not exist, is given twice, sets what belongs to the study or does not fit the data.
    """
    if not algos:
        raise InputError(NO_ARMS)
    for repeated in {text for text in algos if list(algos).count(text) > 1}:
        raise InputError(f"arm {repeated} is given twice: its repeats are the seeds")
    values = {**PROTOCOL, **(QUICK if quick else {}), **common}
    typed = [_typed(text, data, net, values) for text in algos]
    if quick and "hidden" not in common:  # narrow beside a net for pictures, wide beside one for a small table
        for arm in typed:
            arm.open_too = [] if "hidden" in arm.written else ["hidden"]
    _refuse_unknown(common, typed)
    loaded: dict[str, Data] = {}
    settled: list[str] = []
    try:
        for arm in typed:
            settled += _check(arm, loaded)
    except InputError:
        if not quick or "subset" in common or "subset" not in typed[0].values:
            raise
        all_rows = {**common, "subset": None}  # data with fewer rows than a quick study's subset are quick as they are
        return build_arms(algos, data, net, all_rows, controls=controls, quick=quick, searched=searched)
    for line in dict.fromkeys(settled):
        tell(line)
    arms: list[Arm] = []
    notes: list[str] = []
    keys = list(dict.fromkeys(arm.net_key for arm in typed))
    for key in keys:
        group = [arm for arm in typed if arm.net_key == key]
        first = next((arm for arm in group if arm.name != BASELINE), group[0])
        suffix = "" if len(keys) == 1 else f" (net of {first.name})"
        arms += [arm for arm in group if arm.name != BASELINE]  # plain backpropagation is the twin
        rules = list(dict.fromkeys(arm.algo for arm in group))
        twin: Arm | None = None
        for text in [BASELINE, *_controls(rules, controls)]:
            added = _relative(text, first, values, "twin" if text == BASELINE else "control", text + suffix)
            if text in LESS_MEMORY and twin is not None:
                added.reference, added.repeats, added.budgets = twin.name, twin.name, (OWN,)
            try:
                _check(added, loaded)
            except InputError as error:
                notes.append(f"{text} cannot run beside {first.name} and was left out: {error}")
                continue
            same = next((arm for arm in arms if _same(arm, added, searched)), None)
            if same is None:
                arms.append(added)
            if text == BASELINE:
                twin = same or added
                twin.role = "twin"  # an arm with its very settings is one
    if len(keys) == len(typed) > 1:
        notes.append("the arms share no net: each is held against its own backprop twin, never against another arm")
    name = arms[0].name
    again = dataclasses.replace(arms[0], name=f"{name} again", role="aa", reference=name, repeats=name)
    arms.insert(1, again)
    return arms, _prepared(arms, loaded), notes


def restore_arms(
    saved: Sequence[Mapping[str, Any]], data: str, common: Mapping[str, Any]
) -> tuple[list[Arm], dict[str, Spec]]:
    """The arms of a study that goes on, with the settings that they began with, whatever the defaults are today.

    Args:
        saved: arms as in ``study.json``.
        data: name of the data.
        common: settings of all arms that have them.

    Returns:
        The arms in the order in which they run, and name -> the spec of its data.

    Raises:
        InputError: a rule, net or setting that does not exist any more, or data that cannot be read.
    """
    arms = []
    for entry in saved:
        settings, algo = dict(entry["settings"]), entry["algo"]
        net = settings.pop("net")
        values = {**_fitting(algo, data, net, common), **settings}
        about = {key: entry[key] for key in SAVED if key in entry}
        if entry["role"] == "aa":
            about["repeats"] = entry["reference"]  # earlier versions did not save it
        arms.append(Arm(entry["name"], algo, data, net, values, **about))
    return arms, _prepared(arms, {})


def _same(arm: Arm, added: Arm, searched: bool) -> bool:
    """True where the runs of two arms would be the same."""
    free = searched and set(arm.written) != set(added.written)  # one of them has a setting searched that is fixed here
    return arm.plan.config == added.plan.config and not free


def _controls(rules: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """The controls beside the arms of ``rules``: the usual ones, or those of ``wanted`` that belong there."""
    if wanted is None:
        declared = [text for rule in rules for text in _declared_controls(rule)]
        return [SUPERVISED, *declared, UNTRAINED, *LESS_MEMORY]
    return [text for text in wanted if (rule := parse(text)[0]) in rules or text not in _declared_controls(rule)]


def _declared_controls(rule: str) -> list[str]:
    """The controls that a rule declares, as arms."""
    return [f"{rule}:{values}" for values in RULES.load(rule).controls]


def _typed(text: str, data: str, net: str | None, common: Mapping[str, Any]) -> Arm:
    """The arm that a user typed."""
    rule, written = parse(text)
    net_name = str(written.pop("net", net or plans.default_net(rule, data)))
    for key in written:
        if key in SHARED:
            flag = "--" + key.replace("_", "-")
            raise InputError(f"arm {text}: {key} belongs to the whole study, so that all arms run alike: give {flag}")
    return Arm(text, rule, data, net_name, {**_fitting(rule, data, net_name, common), **written}, list(written))


def _relative(text: str, arm: Arm, common: Mapping[str, Any], role: str, name: str) -> Arm:
    """A twin or control on the net and data of ``arm``."""
    rule, written = parse(text)
    plan = arm.plan
    same = as_dict(plan.net_settings, plan.data_settings)
    same |= {key: getattr(plan.rule_settings, key) for key in INHERITED if hasattr(plan.rule_settings, key)}
    values = {**_fitting(rule, arm.data, arm.net, {**common, **same}), **written}
    return Arm(name, rule, arm.data, arm.net, values, list(written), role, arm.name)


def _fitting(rule: str, data: str, net: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in ``values`` that this rule, net, data and loop have."""
    known = _known(rule, data, net)
    return {key: value for key, value in values.items() if key in known}


def _known(rule: str, data: str, net: str) -> set[str]:
    """Names of the settings of a rule, net, data and loop."""
    classes = plans.settings_of(rule, data, net).values()
    return {field.name for cls in classes for field in dataclasses.fields(cls)}


def _refuse_unknown(common: Mapping[str, Any], arms: Iterable[Arm]) -> None:
    """InputError for a common setting that no arm has."""
    known: set[str] = set().union(*(_known(arm.algo, arm.data, arm.net) for arm in arms))
    for key in common:
        if key not in known:
            raise unknown("setting", key, known)
    if "seed" in common:
        raise InputError("seed belongs to a single run: give --seeds 5, or --seeds 0,1,2")


def _check(arm: Arm, loaded: dict[str, Data]) -> Sequence[str]:
    """Settle the arm on its data and set ``net_key``; returns notes. InputError: the net does not fit the data."""
    data = _data(arm, loaded)
    notes = arm.settle(data)
    arm.net_key = arm.plan.net_key(data.spec)
    if arm.net_key is None:
        raise InputError(f"data {arm.data} has no hash, so that nobody could tell whether two runs saw the same")
    with contract.net_fits():
        arm.plan.build().build(data.spec)
    return notes


def _data(arm: Arm, loaded: dict[str, Data]) -> Data:
    """The data of an arm; ``loaded`` keeps what was read before."""
    key = repr((arm.plan.data, arm.plan.data_settings))
    if key not in loaded:
        loaded[key] = arm.plan.load_data()
        if loaded[key].test is None:
            way = "give --test FILE" if hasattr(arm.plan.data_settings, "test") else "add one"
            raise InputError(f"data {arm.data} has no test part, on which a comparison is judged: {way}")
    return loaded[key]


def _prepared(arms: Sequence[Arm], loaded: dict[str, Data]) -> dict[str, Spec]:
    """Set every arm's slug and net; name of each arm -> the spec of its data."""
    for k, arm in enumerate(arms):
        arm.slug = f"{k:02}-" + re.sub(r"[^\w.=-]+", "_", arm.name).strip("_")
        _check(arm, loaded)
    return {arm.name: _data(arm, loaded).spec for arm in arms}
