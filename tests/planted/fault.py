"""A planted fault, and the tests that many of them name."""

from collections.abc import Sequence
from dataclasses import dataclass

STEPS, PREDICT = "contract/test_steps.py::", "contract/test_predictions.py::"
HAND_CAFO = "oracles/test_hand_cafo.py::"
GRAPH = (
    "forward-gnn",
    "forward-gnn-ff-la",
    "forward-gnn-ff-vn",
    "forward-gnn-top-to-input",
    "forward-gnn-top-to-loss",
)
ALL = (
    "backprop",
    "cafo",
    "channel-ff",
    "counter-current",
    "delay-snn",
    "delay-snn-local",
    "dfa",
    "fa",
    "forward-forward",
    *GRAPH,
    "gradient-noise",
    "local-loss",
    "mono-forward",
    "physical-ff",
    "random-features",
    "recurrent-forward-forward",
)
RESUME_OF = "contract/test_resume.py::test_resume_is_exact[{}-within an epoch]"
RESUME = {rule: RESUME_OF.format(rule) for rule in ALL}


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Attributes:
        file: within the package ``bpfree``.
        old, new: the text that is there exactly once, and the fault.
        tests: node ids within ``tests/`` of which at least one must fail.
        rules: rules that share this code: of the contract rows of each, at least one must fail.
    """

    file: str
    old: str
    new: str
    tests: Sequence[str]
    rules: Sequence[str] = ()
