"""Options of a comparison and of a search: one declaration for checks, defaults, messages and the commands' help."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from bpfree.config.flags import default_text
from bpfree.config.settings import options as declarations
from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.reports.measures import POINTS


@settings
class CompareOptions:
    """Options of `bpfree.compare` with one value each; arms, data, seeds, controls and settings stand beside them."""

    net: str | None = setting(None, "net of arms that name none; none: each rule's own")
    tune: int | None = setting(None, "trials of a search of each arm's settings before the runs; none: no search", ge=1)
    tune_epochs: int = setting(20, "epochs of a trial of that search at most", ge=1)
    quick: bool = setting(False, "few rows, few passes, narrow layers, labelled so in every report")
    target: float | None = setting(None, "value of the test metric whose cost is compared, such as 0.97")
    margin_pp: float = setting(0.25, "percentage points of the metric within which two arms count as equivalent", gt=0)
    meter: str = setting("auto", "energy meter: auto, nvml, nvml-sampled, rapl, codecarbon or none")
    jobs: int = setting(1, "runs at the same time, where the meter can tell them apart", ge=1)
    idle_s: float | None = setting(
        None, "seconds of idle power measured before the runs; none: 5, or 1 in a quick study", ge=0
    )
    question: str = setting("", "question that the study answers, shown in its report")


@settings
class TuneOptions:
    """Options of `bpfree.tune` with one value each; rule, data, net, searched names and settings stand beside them."""

    trials: int = setting(20, "trials, over all workers", ge=1)
    storage: str | None = setting(None, "database URL that workers share; none: a file in the folder of the result")
    name: str | None = setting(None, "name of the search in the storage; none: that of the folder")
    prune: bool = setting(True, "give up trials below the median")
    meter: str = setting("auto", "energy meter: auto, nvml, nvml-sampled, rapl, codecarbon or none")
    heartbeat_s: int = setting(10, "seconds between a worker's signs of life", ge=1)
    grace_s: int = setting(60, "seconds without a sign of life after which a worker's trial is tried again", ge=1)


FLAGS = {"margin_pp": "--margin", "idle_s": "--idle"}  # all others are called like their option
COMPARE, TUNE = CompareOptions(), TuneOptions()  # the defaults


def help_text(cls: type, name: str) -> str:
    """Help of one option for the command line, with its default.

    Args:
        cls: `CompareOptions` or `TuneOptions`.
        name: of the option.
    """
    (option,) = [option for option in declarations(cls) if option.name == name]
    shown = "" if option.default is None or option.type == "bool" else f"  [default: {default_text(option, {})}]"
    return option.help + shown


@contextmanager
def flags_as_typed(cls: type) -> Iterator[None]:
    """Name options in messages as the command line does: ``--margin = -1`` for ``margin_pp = -1``.

    Args:
        cls: `CompareOptions` or `TuneOptions`.

    Raises:
        InputError: that of the block, in these words.
    """
    flags = {option.name: FLAGS.get(option.name, option.flag) for option in declarations(cls)}
    try:
        yield
    except InputError as error:
        named = re.sub(rf"\b({'|'.join(flags)})(?= = )", lambda match: flags[match[0]], str(error))
        raise InputError(named) from error


def check_target(target: float | None, metrics: Iterable[str]) -> None:
    """Refuse percentages where the metric is a share.

    Args:
        target: value of the test metric; None: no target.
        metrics: names of the metrics of the arms' data.

    Raises:
        InputError: a target outside 0..1 for accuracy or ROC-AUC.
    """
    if target is not None and not 0 <= target <= 1 and any(metric in POINTS for metric in metrics):
        raise InputError(f"target = {target:g} is not valid: accuracy and ROC-AUC are shares, 0..1, such as 0.97")
