"""The trainer: a learning rule is a generator of local losses, and the loop consumes them one at a time.

At each ``yield`` the loop runs backward, steps the owner and drops the gradients, so a block's graph is gone before the
next block runs and memory is flat in depth. The generator resumes after the update.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, final

import torch
from torch import Tensor, nn

from bpfree.config import resolve as registry
from bpfree.config.settings import options, resolve, setting, settings
from bpfree.errors import InputError
from bpfree.functional.transforms import AnnealedNoise, Centralise, ClipNorm
from bpfree.training import contract
from bpfree.training.batch import Batch, Local, Phase
from bpfree.training.evaluation import evaluating
from bpfree.training.owners import OptimSettings, Transform
from bpfree.training.random_streams import Streams, derive, global_scope

if TYPE_CHECKING:
    from bpfree.training.data import Spec


@settings
class RuleSettings(OptimSettings):
    """Settings that every rule has; their defaults, those of `OptimSettings` included, suit image classification."""

    epochs: int = setting(8, "epochs of a phase, at most", ge=1)
    batch_size: int = setting(128, "samples in a batch, over all processes", ge=1, search=(32, 512, "log"))
    patience: int | None = setting(None, "stop a phase after this many epochs without improvement", ge=1)
    keep: Literal["best", "last"] = setting("best", "state that a phase ends with: the best by validation, or the last")
    min_delta: float = setting(0.0, "what counts as an improvement of the validation metric", ge=0)


class Departure(NamedTuple):
    """A default of one rule that differs from the common one, and the reason."""

    name: str
    value: Any
    common: Any
    reason: str


class Trainer(nn.Module, ABC):
    """Base class of all learning rules; a subclass writes `local_losses` and `predict`.

    Args:
        blocks: the net as a list of modules; None: built from ``net`` and the data's shapes when training starts.
        net: name of a net in ``bpfree/nets``.
        **values: settings of the rule, and of the net when it is built here.

    Raises:
        InputError: an unknown setting or a value out of range.
    """

    Settings: ClassVar[type] = RuleSettings
    prefer: ClassVar[Mapping[str, Any]] = {}  # the rule's own defaults for settings of the loop, the net or the data
    because: ClassVar[Mapping[tuple[str, ...], str]] = {}  # names of settings -> reason to leave the common default
    data: ClassVar[str] = "mnist"  # trained on when none is named
    net: ClassVar[str | None] = None  # built when none is named; None: the data's own
    image_net: ClassVar[str | None] = None  # built instead of that where the data's examples are images
    tasks: ClassVar[tuple[str, ...]] = ("classification",)  # tasks of data sets that the rule can serve
    hidden_only: ClassVar[bool] = False  # the rule has heads of its own: the default net ends before the classifier
    batch_separable: ClassVar[bool] = True  # the loss is a mean over samples: N processes learn what one does
    replicated: ClassVar[bool] = False  # the rule can train replicas: every loss is a sum over them
    controls: ClassVar[tuple[str, ...]] = ()  # "key=value,…": with these settings the rule is a control of its own arms
    samples: ClassVar[bool] = False  # on a graph, the rule draws ``fan_out`` neighbours
    overlap: ClassVar[bool] = False  # never re-reads an owner within a batch: reduction may overlap the next block

    spec: "Spec"
    streams: Streams
    phase: Phase

    def __init__(self, blocks: Sequence[nn.Module] | None = None, *, net: str | None = None, **values: Any):
        super().__init__()
        if net and blocks is not None:
            raise InputError("a net is given by its blocks or by its name: leave one of them out")
        build, net_settings = registry.net(net or self.net or "mlp") if blocks is None else (None, None)
        classes = [self.Settings] if net_settings is None else [self.Settings, net_settings]
        self.settings, *chosen = resolve(classes, values, self.prefer)
        self._build_net = build and partial(build, settings=chosen[0], hidden_only=self.hidden_only)
        self.blocks: nn.ModuleList = None if blocks is None else nn.ModuleList(blocks)  # type: ignore[assignment]
        self.heads = nn.ModuleList()

    # What a rule writes -----------------------------------------------------------------------------------------------

    @abstractmethod
    def local_losses(self, batch: Batch) -> Iterator[Local]:
        """The local losses of a batch; ``batch.x`` is what `prepare` gave: the input of the first active block."""

    @abstractmethod
    def predict(self, batch: Batch) -> Tensor:
        """Class scores ``(B, C)``, or what the task asks for, from the blocks trained so far; no side effects."""

    def setup(self) -> None:
        """Make heads and buffers; ``blocks``, ``spec`` and ``features`` are known. Runs once, seeded.

        What a rule remembers from batch to batch belongs into buffers, what it draws comes from ``self.streams`` or
        `uniform`: a checkpoint saves both, and nothing else.
        """

    def net_spec(self, spec: "Spec") -> "Spec":
        """What the net is built for: the data, but for a rule that joins something to the input."""
        return spec

    def owners(self) -> dict[Hashable, list[nn.Parameter]]:
        """Who is stepped together: by default block k with its head, if it has one."""
        heads = dict(enumerate(self.heads))
        return {
            k: [*block.parameters(), *(heads[k].parameters() if k in heads else ())]
            for k, block in enumerate(self.blocks)
        }

    def optim(self, owner: Hashable) -> OptimSettings:
        """How an owner's parameters move."""
        return self.settings

    def transforms(self, owner: Hashable) -> list[Transform]:
        """What happens to an owner's gradients before its optimizer: centralise, clip, add noise."""
        chosen, copies = self.optim(owner), range(self.replicas)
        found: list[Transform] = [Centralise()] if chosen.centralise else []
        if chosen.clip:
            found.append(ClipNorm(chosen.clip, len(copies)))
        if chosen.noise_eta:
            generators = [self.streams.own("gradient noise", self.phase.name, owner, r) for r in copies]
            found.append(AnnealedNoise(chosen.noise_eta, chosen.noise_gamma, generators))
        return found

    def solved(self) -> list[nn.Parameter]:
        """Parameters that the rule sets in closed form; like fixed ones they need no gradient and have no owner."""
        return []

    def phases(self, epochs: int) -> list[Phase]:
        """The schedule: by default one phase in which all blocks train."""
        return [Phase("all", range(len(self.blocks)), epochs)]

    def prepare(self, batch: Batch) -> Batch:
        """What precedes the active blocks: by default the frozen ones below. No gradients, evaluation mode."""
        return dataclasses.replace(batch, x=batch.after(self.blocks[: self.first]))

    def on_pass(self) -> None:
        """A pass over the training data begins."""

    def on_grads(self, owner: Hashable) -> None:
        """The owner's gradients are there; its transforms and step come next."""

    def on_step(self, owner: Hashable) -> None:
        """The owner has stepped."""

    def on_epoch(self) -> None:
        """All batches of an epoch are done; validation comes next."""

    def diagnostics(self) -> dict[str, Any]:
        """What the rule itself has to say about an epoch that is done, for the history; plain numbers."""
        return {}

    def operations(self, batch: Batch) -> dict[str, float]:
        """What a prediction does, in operations a sample, where the rule counts them: mean over ``batch``."""
        return {}

    @property
    def readouts(self) -> Sequence[str]:
        """Values of the setting ``readout`` that the trained net can be read with."""
        return ()

    @property
    def replicas(self) -> int:
        """How many nets train side by side, each in an equal part of the first axis of every parameter."""
        return max((getattr(module, "replicas", 1) for module in self.blocks.modules()), default=1)

    @property
    def forward_passes(self) -> tuple[int, int]:
        """How often a sample goes through the net in (a training step, a prediction)."""
        return 1, 1

    # What a rule reads ------------------------------------------------------------------------------------------------

    @property
    def active(self) -> list[tuple[int, nn.Module]]:
        """The blocks that train in this phase, as (k, block)."""
        return [(k, self.blocks[k]) for k in self.phase.blocks]

    @property
    def first(self) -> int:
        """Index of the first block that is not frozen in this phase."""
        return min(self.phase.blocks, default=0) if self.phase.frozen is None else self.phase.frozen

    @property
    def prepares(self) -> bool:
        """Whether `prepare` does anything in this phase."""
        return self.first > 0 or type(self).prepare is not Trainer.prepare

    @property
    def trained(self) -> list[tuple[int, nn.Module]]:
        """The blocks trained so far, this phase's included, as (k, block)."""
        return list(enumerate(self.blocks[: max(self.phase.blocks, default=-1) + 1]))

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shape of what block k puts out for one sample."""
        h, found = next(self.blocks.parameters(), torch.empty(0)).new_zeros(2, *self.spec.shape), []
        with evaluating(self.blocks, h.device, "fp32"):
            for k, block in enumerate(self.blocks):
                h = contract.block_output(k, block, h)
                found.append(tuple(h.shape[1:]))
        return found

    @property
    def features(self) -> list[int]:
        """Number of features ``n_k`` that block k puts out for one sample."""
        return [prod(shape) for shape in self.shapes]

    def uniform(self, batch: Batch, purpose: str, *shape: int) -> Tensor:
        """Uniform draws in [0, 1) for the rows of ``batch``, ``(B, *shape)``; the same on any number of processes."""
        start, total = batch.span or (0, len(batch.x))
        draws = torch.rand(total, *shape, generator=self.streams[purpose], device=self.streams[purpose].device)
        return draws[start : start + len(batch.x)].to(batch.x.device)

    @classmethod
    def departures(cls) -> "list[Departure]":
        """Settings of `RuleSettings` that have another default here, by ``prefer`` or by the rule's ``Settings``."""
        here = {**{option.name: option.default for option in options(cls.Settings)}, **cls.prefer}
        reasons = {name: reason for names, reason in cls.because.items() for name in names}
        return [
            Departure(common.name, here[common.name], common.default, reasons.get(common.name, ""))
            for common in options(RuleSettings)
            if here[common.name] != common.default
        ]

    # What a user calls ------------------------------------------------------------------------------------------------

    def build(self, spec: "Spec", seed: int = 0) -> None:
        """Make whatever depends on the data's shapes; `fit` and `bpfree.load` call it.

        Raises:
            InputError: the rule does not serve the data's task, the net is none or does not fit, or it was built for
                other data.
        """
        if hasattr(self, "spec"):
            if (mine := (self.spec.shape, self.spec.classes)) != (other := (spec.shape, spec.classes)):
                raise InputError(f"this net was built for shape and classes {mine}, not {other}: make a new trainer")
            return
        contract.task(self, spec)
        with global_scope(derive(seed, "init"), torch.device("cpu")):
            if self.blocks is None:
                self.blocks = nn.ModuleList(self._build_net(self.net_spec(spec)))
            contract.net(self.blocks)
            contract.replicas(self)
            self.spec = spec
            self.setup()
        self.phase = contract.phases(self, self.phases(self.settings.epochs))[-1]

    @final
    def fit(self, data: Any, **options: Any) -> list[dict]:
        """Train on ``data``; returns the history, one entry an epoch. Ends in the best state, in evaluation mode.

        Args:
            data: a bpfree data set, ``(x, y)`` arrays or tensors, a torch Dataset or DataLoader. A test part is not
                read: `bpfree.train` makes a record, with the test metric in it.
            **options: settings of the loop (`LoopSettings`): seed, device, precision, … and the objects
                ``folder``, ``meter``, ``callbacks``.
        """
        from bpfree.training.loop import Loop

        return Loop(self, data, **options).run()
