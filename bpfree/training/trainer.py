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

from bpfree.config.settings import options, resolve, setting, settings
from bpfree.errors import InputError
from bpfree.training import contract
from bpfree.training.batch import Batch, Local, Phase
from bpfree.training.blocks import as_blocks, probed, remarks
from bpfree.training.evaluation import evaluating
from bpfree.training.optimizers import OptimSettings
from bpfree.training.predicting import Seen, taking_examples
from bpfree.training.random_streams import Streams, derive, global_scope
from bpfree.training.small_tables import MIN_STEPS, fitted, undecided
from bpfree.training.transforms import AnnealedNoise, Centralise, ClipNorm, Transform

if TYPE_CHECKING:
    from bpfree.training.data import Spec


@settings
class RuleSettings(OptimSettings):
    """Settings that every rule has; their defaults, those of `OptimSettings` included, suit image classification."""

    epochs: int = setting(8, "epochs of a phase, at most", ge=1)
    batch_size: int = setting(128, "samples in a batch, over all processes", ge=1, search=(32, 512, "log"))
    last_batch: Literal["auto", "keep", "drop"] = setting(
        "auto", "a last batch that is not full is kept or dropped; auto: dropped if one row that cannot be normalised"
    )
    patience: int | None = setting(None, "stop a phase after this many epochs without improvement", ge=1)
    keep: Literal["best", "last"] = setting("best", "state that a phase ends with: the best by validation, or the last")
    min_delta: float = setting(0.0, "least improvement of the validation metric that counts as one", ge=0)


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
        net: name of a net in ``bpfree/nets``; None: the rule's default.
        settings: of the rule, ready; None: made of ``values``.
        net_settings: of the net that is built here, ready; None: made of ``values``.
        **values: settings of the rule, and of the net when it is built here, where they are not ready.

    Raises:
        InputError: an unknown setting or a value out of range.
    """

    Settings: ClassVar[type] = RuleSettings
    prefer: ClassVar[Mapping[str, Any]] = {}  # the rule's own defaults for settings of the loop, the net or the data
    because: ClassVar[Mapping[tuple[str, ...], str]] = {}  # names of settings -> reason to leave the common default
    data: ClassVar[str] = "mnist"  # trained on when none is named
    net: ClassVar[str | None] = None  # built when none is named; None: that of the data
    image_net: ClassVar[str | None] = None  # built instead of that where the data's examples are images
    tasks: ClassVar[tuple[str, ...]] = ("classification",)  # tasks of data sets that the rule can serve
    hidden_only: ClassVar[bool] = False  # the rule has heads of its own: the default net ends before the classifier
    batch_separable: ClassVar[bool] = True  # the loss is a mean over samples: same result on N processes
    replicated: ClassVar[bool] = False  # the rule can train replicas: every loss is a sum over them
    controls: ClassVar[tuple[str, ...]] = ()  # "key=value,…": with these settings the rule is a control of its own arms
    samples: ClassVar[bool] = False  # on a graph, the rule draws ``fan_out`` neighbours
    not_for: ClassVar[str] = ""  # kinds of input that the rule is known not to learn well, and why
    on_few_rows: ClassVar[Mapping[str, Any]] = {}  # the rule's own defaults on a table of few rows
    min_steps: ClassVar[int] = MIN_STEPS  # of a phase on a table, where nobody says how many epochs
    overlap: ClassVar[bool] = False  # never re-reads an owner within a batch: reduction may overlap the next block

    spec: "Spec"
    streams: Streams
    phase: Phase

    def __init__(
        self,
        blocks: Sequence[nn.Module] | None = None,
        *,
        net: str | None = None,
        settings: Any = None,
        net_settings: Any = None,
        **values: Any,
    ):
        super().__init__()
        if net and blocks is not None:
            raise InputError("a net is given by its blocks or by its name: leave one of them out")
        from bpfree import nets  # lazily: nets stand above training

        build, NetSettings = nets.net(net or self.net or "mlp") if blocks is None else (None, None)
        if settings is None:
            classes = [self.Settings] if NetSettings is None else [self.Settings, NetSettings]
            settings, net_settings = (*resolve(classes, values, self.prefer), None)[:2]
            self._open = undecided(type(self), net_settings, values)
        else:
            self._open = {}
        self.settings, self._defaults = settings, (settings, net_settings)
        self._build_net = build and partial(build, settings=net_settings, hidden_only=self.hidden_only)
        self.blocks: nn.ModuleList = None  # type: ignore[assignment]
        self.fitted_on: Seen | None = None  # since `fit`
        self._own_blocks = build is None or not build.__module__.startswith("bpfree.nets.")
        self._joined: list[str] = []  # notes about the user's blocks
        if blocks is not None:
            self.blocks, self._joined = as_blocks(blocks)
        self.heads = nn.ModuleList()
        self.notes: list[str] = []  # about what `build` converted, cut, left out or assumed (`bpfree.config.notes`)

    # Written by a rule -----------------------------------------------------------------------------------------------

    @abstractmethod
    def local_losses(self, batch: Batch) -> Iterator[Local]:
        """The local losses of a batch; ``batch.x`` comes from `prepare`: the input of the first active block."""

    @abstractmethod
    def predict(self, batch: Batch) -> Tensor:
        """Class scores ``(B, C)``, or what the task asks for, from the blocks trained so far; no side effects.

        A rule gets a `Batch`. A user may give raw examples ``(N, …)`` as an array, tensor or list after `fit`: they are
        normalised as in training, and what comes back is on the CPU, numbers in their units.
        """

    def setup(self) -> None:
        """Make heads and buffers; ``blocks``, ``spec`` and ``features`` are known. Runs once, seeded.

        State that outlives a batch belongs into buffers, random draws come from ``self.streams`` or `uniform`: a
        checkpoint saves both, and nothing else.
        """

    def net_spec(self, spec: "Spec") -> "Spec":
        """The data that the net is built for: ``spec``, but for a rule that joins something to the input."""
        return spec

    def owners(self) -> dict[Hashable, list[nn.Parameter]]:
        """Parameters that are stepped together, by key: by default block k with its head, if it has one."""
        heads = dict(enumerate(self.heads))
        return {
            k: [*block.parameters(), *(heads[k].parameters() if k in heads else ())]
            for k, block in enumerate(self.blocks)
        }

    def optim(self, owner: Hashable) -> OptimSettings:
        """Settings of an owner's optimizer."""
        return self.settings

    def transforms(self, owner: Hashable) -> list[Transform]:
        """Changes of an owner's gradients before its optimizer: centralise, clip, add noise."""
        optim, replicas = self.optim(owner), self.replicas
        transforms: list[Transform] = [Centralise()] if optim.centralise else []
        if optim.clip:
            transforms.append(ClipNorm(optim.clip, replicas))
        if optim.noise_eta:
            generators = [self.streams.generator("gradient noise", self.phase.name, owner, r) for r in range(replicas)]
            transforms.append(AnnealedNoise(optim.noise_eta, optim.noise_gamma, generators))
        return transforms

    def solved(self) -> list[nn.Parameter]:
        """Parameters that the rule sets in closed form; like fixed ones they need no gradient and have no owner."""
        return []

    def untouched(self) -> list[nn.Parameter]:
        """Parameters of the net that the rule leaves as they are, and that therefore have no owner."""
        return []

    def phases(self, epochs: int) -> list[Phase]:
        """The schedule: by default one phase in which all blocks train."""
        return [Phase("all", range(len(self.blocks)), epochs)]

    def prepare(self, batch: Batch) -> Batch:
        """The input of the active blocks: by default the frozen ones below run. No gradients, evaluation mode."""
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
        """The rule's own figures on an epoch that is done, for the history; plain numbers."""
        return {}

    def operations(self, batch: Batch) -> dict[str, float]:
        """Operations of a prediction, a sample, where the rule counts them: mean over ``batch``."""
        return {}

    @property
    def readouts(self) -> Sequence[str]:
        """Values of the setting ``readout`` that the trained net can be read with."""
        return ()

    @property
    def replicas(self) -> int:
        """Number of nets that train side by side, each in an equal part of the first axis of every parameter."""
        return max((getattr(module, "replicas", 1) for module in self.blocks.modules()), default=1)

    @property
    def forward_passes(self) -> tuple[int, int]:
        """Passes of a sample through the net in (a training step, a prediction)."""
        return 1, 1

    # Read by a rule --------------------------------------------------------------------------------------------------

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
        """True where `prepare` does anything in this phase."""
        return self.first > 0 or type(self).prepare is not Trainer.prepare

    @property
    def trained(self) -> list[tuple[int, nn.Module]]:
        """The blocks trained so far, this phase's included, as (k, block)."""
        return list(enumerate(self.blocks[: max(self.phase.blocks, default=-1) + 1]))

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shape of the output of block k for one sample."""
        h, shapes = next(self.blocks.parameters(), torch.empty(0)).new_zeros(2, *self.net_spec(self.spec).shape), []
        with evaluating(self.blocks, h.device, "fp32"):
            for k, block in enumerate(self.blocks):
                h = contract.block_output(k, block, h)
                shapes.append(tuple(h.shape[1:]))
        return shapes

    @property
    def features(self) -> list[int]:
        """Number of features ``n_k`` in the output of block k for one sample."""
        return [prod(shape) for shape in self.shapes]

    def uniform(self, batch: Batch, purpose: str, *shape: int) -> Tensor:
        """Uniform draws in [0, 1) for the rows of a batch; the same on any number of processes.

        Args:
            batch: of B rows.
            purpose: of the draws; each has its own stream.
            *shape: of the draws for one row.

        Returns:
            ``(B, *shape)``.
        """
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

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "predict" in vars(cls):
            cls.predict = taking_examples(cls.predict)  # type: ignore[assignment, method-assign]

    # Called by a user ------------------------------------------------------------------------------------------------

    def build(self, spec: "Spec", seed: int = 0) -> None:
        """Make all that depends on the data's shapes; `fit` and `bpfree.load` call it.

        Args:
            spec: of the data.
            seed: of the run; initial weights derive from it.

        Raises:
            InputError: the rule does not serve the data's task, the net is none or does not fit, or it was built for
                other data.
        """
        if hasattr(self, "spec"):
            built, wanted = (self.spec.shape, self.spec.classes), (spec.shape, spec.classes)
            if built != wanted or self.spec.outputs != spec.outputs:
                raise InputError(f"this net was built for shape and classes {built}, not {wanted}: make a new trainer")
            return
        contract.check_task(type(self).__name__, self.tasks, self.data, spec)
        try:
            self._build(spec, seed)
        except BaseException:  # unbuilt again, so that the next call meets the same refusal and not half a net
            del self.spec
            self.heads, self.notes = nn.ModuleList(), []
            if self._build_net is not None:
                self.blocks = None  # type: ignore[assignment]
            raise

    def _build(self, spec: "Spec", seed: int) -> None:
        rule = type(self).__name__
        self.spec = spec
        with global_scope(derive(seed, "init"), torch.device("cpu")):
            if self.blocks is None:
                self.blocks, self._joined = as_blocks(self._build_net(self.net_spec(spec)))
            contract.check_net(self.blocks)
            if self._own_blocks and not spec.nodes:
                with evaluating(self.blocks, torch.device("cpu"), "fp32"):
                    changed = probed(self.blocks, self.net_spec(spec).shape)
                scores = not self.hidden_only
                self.notes += [*self._joined, *changed, *remarks(self.blocks, scores=scores)]
            contract.check_replicas(rule, self.replicas, self.replicated)
            self.setup()
        self.phase = contract.checked_phases(rule, self.phases(self.settings.epochs), len(self.blocks))[-1]

    @final
    def fit(
        self,
        data: Any,
        y: Any = None,
        *,
        folder: Any = None,
        meter: Any = None,
        callbacks: Sequence[Any] = (),
        **options: Any,
    ) -> list[dict]:
        """Train on ``data``. Ends in the best state, in evaluation mode.

        Args:
            data: a bpfree data set, ``(x, y)`` arrays or tensors, a torch Dataset or DataLoader
                (`bpfree.data.convert`). A test part is not read: `bpfree.train` makes a record, with the test metric in
                it.
            y: the labels, where ``data`` are examples alone: ``fit(x, y)`` is ``fit((x, y))``.
            folder: keeps the checkpoints; None: none are kept.
            meter: an ``energy.Meter``.
            callbacks: see `bpfree.training.callbacks.Callback`.
            **options: settings of the loop (`LoopSettings`): seed, device, precision, …; and of the data
                (`bpfree.data.settings.OwnSettings`) where they are no bpfree data set.

        Returns:
            The history, one entry an epoch.

        Raises:
            InputError: data, net and settings do not fit together.
            Diverged: a loss, gradient or weight became NaN or infinite.
        """
        from bpfree.data import as_data
        from bpfree.data.inputs import input_of
        from bpfree.data.settings import OwnSettings
        from bpfree.training.data import Data
        from bpfree.training.loop import Loop
        from bpfree.training.loop_settings import LoopSettings

        classes = [LoopSettings] if isinstance(data, Data) else [LoopSettings, OwnSettings]
        settings, *source = resolve(classes, options, self.prefer)
        data = as_data(data if y is None else (data, y), source[0] if source else None, settings.seed)
        if self._open:
            self.settings, net_settings, data = fitted(*self._defaults, data, self.min_steps, self._open)
            if self._build_net is not None:
                self._build_net = partial(self._build_net, settings=net_settings)
        loop = Loop(self, data, settings=settings, folder=folder, meter=meter, callbacks=callbacks)
        history = loop.run()
        self.fitted_on = Seen(input_of(data, ranged=False), loop.device, settings.precision, settings.eval_batch_size)
        return history
