"""Memory: does a local rule need less than the best way to run backprop, and what does that way cost in time?

Backprop can be run in less memory than it takes by itself: in micro-batches whose gradients add up, or with activations
that are computed again (checkpointing). A rule that needs less than plain backprop alone has not shown much.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bpfree.reports.measures import MEMORY, TIME
from bpfree.reports.questions import against_the_leanest, reference
from bpfree.reports.study import BASELINE, Study
from bpfree.reports.verdicts import CANNOT

NO_CONTROL = (
    "neither backprop with gradient accumulation nor with checkpointing is among the arms, so that the best way to run "
    "backprop is not known"
)


def memory_answers(study: Study, budget: str, compared: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """An answer for each arm of another rule, on its net; none where that way was to run in other budgets only.

    Args:
        study: with the records of its runs.
        budget: of the runs.
        compared: comparisons with their verdicts.

    Returns:
        For each arm: ``best``, the leanest arm of backprop; ``memory`` and ``time``, the sentences on both;
        ``verdict`` on the memory; ``cost``, the sentence on the time of that way against plain backprop ("" where it is
        plain backprop).
    """
    sentences = {(c["a"], c["b"], c["measure"]): c for c in compared if c["budget"] == budget}
    rows = []
    for arm, best in against_the_leanest(study, budget):
        memory = sentences.get((arm, best, MEMORY.key))
        lean = _lean(study, arm)
        elsewhere = bool(lean) and not any(study.of(name, budget) for name in lean)
        if memory is None or elsewhere:
            continue
        plain = reference(study, study.arms[arm]["net_key"])
        cost, time = sentences.get((best, plain, TIME.key)), sentences.get((arm, best, TIME.key))
        rows.append(
            {
                "arm": arm,
                "best": best,
                "memory": memory["sentence"] if _controlled(study, arm, budget) else _unknown(arm),
                "verdict": memory["verdict"] if _controlled(study, arm, budget) else CANNOT,
                "time": time["sentence"] if time else "",
                "cost": cost["sentence"] if cost else "",
            }
        )
    return rows


def _unknown(arm: str) -> str:
    claim = f"{arm} needs less working memory than the best way to run backprop"
    return f"Cannot conclude whether {claim}, because {NO_CONTROL}."


def _controlled(study: Study, arm: str, budget: str) -> bool:
    """True when backprop was run in less memory than it takes by itself, on the arm's net."""
    return any(run.finished for name in _lean(study, arm) for run in study.of(name, budget))


def _lean(study: Study, arm: str) -> list[str]:
    """The arms that run backprop in less memory than it takes by itself, on the arm's net."""
    key = study.arms[arm]["net_key"]
    relatives = [name for name, a in study.arms.items() if a["net_key"] == key and a["algo"] == BASELINE]
    return [name for name in relatives if _saves(study.arms[name]["settings"])]


def _saves(settings: Mapping[str, Any]) -> bool:
    return (settings.get("accumulate") or 1) > 1 or bool(settings.get("checkpointing"))
