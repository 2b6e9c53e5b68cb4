"""Forward-Forward: every layer learns to tell real data from wrong data by how active it is.

Hinton, "The Forward-Forward Algorithm: Some Preliminary Investigations", arXiv 2212.13345. Two streams run forward, a
positive (image with its label) and a negative one (image with a wrong label); each layer descends a loss of its own:

    xhat = h_{k-1} / rms(h_{k-1}),   a_k = relu(W_k xhat + b_k),   g_k = sum_j a_kj^2

    L_k = mean softplus((theta - g_k)/T) over positives, softplus((g_k - theta)/T) over negatives

    dL_k/da_k = -(1 - p) a_k / B (positives),   p a_k / B (negatives),   p = sigmoid((g_k - theta)/T),   T = 1

============  ======================  ==========
symbol        attribute               shape
============  ======================  ==========
W_k, b_k      ``blocks[k]``           (n_k, n_{k-1}), (n_k,)
readout       ``heads[k]``            (C, n_k), no bias, zero at first; trained on neutral labels
m_k           ``activity_k``          (n_k,) running mean activity of the positives, for peer normalisation
============  ======================  ==========

Shapes: ``batch.x (B, …)``, ``batch.y (B,)`` -> scores ``(B, C)``: goodness of each candidate label, or class logits.
Goodness and readout leave out the first block when there are more. The label of an image stands in place of its first C
values, as in the paper, and the share of the input that is lost by it is told. Inputs that are no images, or have fewer
columns than there are classes, get the label appended (``label_embedding``): in front of a vector, in rows above a map
or sequence. An appended label is 0.3 times as long as an input in root mean square; a neutral one has 1/C in every
place.
Task: classification.
Differences from the paper: the appended label and the sequential schedule, one layer after another, are additions;
threshold n_k and peer normalisation on the pre-activation of positives follow Hinton's released code, and so do the
recipes' settings.
Costs: two streams a step, and one neutral stream where a readout is trained; C forward passes a prediction with the
energy readout, one with softmax. A readout keeps the neutral activities of all blocks, so memory is flat in depth only
without one. ``--compile`` has no effect on training, which reads pre-activations inside the blocks.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpfree.config.notes import tell
from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.functional import forward_forward as ff
from bpfree.rules._goodness import GoodnessSettings
from bpfree.rules._labels import Appended, Overlay, embedding
from bpfree.rules._peers import push_peers
from bpfree.training.distributed import world
from bpfree.training.optimizers import OptimSettings
from bpfree.training.trainer import Batch, Local, Phase, Trainer

if TYPE_CHECKING:
    from bpfree.training.data import Spec


@settings
class Settings(GoodnessSettings):
    schedule: Literal["simultaneous", "sequential"] = setting("simultaneous", "all layers in one sweep or one by one")
    negatives: Literal["hard", "uniform", "hybrid"] = setting(
        "hard", "wrong labels by the softmax readout's belief or uniform; hybrid: unlabelled mixtures of two images"
    )
    readout: Literal["softmax", "energy"] = setting(
        "softmax", "linear softmax on neutral activities, or the candidate label of highest goodness"
    )
    label_embedding: Literal["auto", "overlay", "append"] = setting(
        "auto", "label over the first C values, or in inputs of its own; auto: over those of images with C columns"
    )
    peer: float = setting(
        0.03, "strength of peer normalisation: units less active than their peers are pushed up", ge=0
    )
    readout_lr: float = setting(0.01, "learning rate of the softmax readout", gt=0, search=(1e-3, 1e-1, "log"))
    readout_decay: float = setting(0.003, "weight decay of the softmax readout", ge=0, search=(1e-4, 1e-2, "log"))


@dataclass
class Streams(Batch):
    """``x (2B, …)``: positives, then negatives; ``neutral``: the readout's inputs by block, ``(B, n_k)`` each."""

    neutral: dict[int, Tensor] = field(default_factory=dict)


class ForwardForward(Trainer):
    """Every layer tells real from wrong data by its goodness."""

    Settings = Settings
    hidden_only = True
    batch_separable = False  # peer normalisation follows the batch's mean activity
    prefer = {
        "optimizer": "sgd",
        "weight_decay": 0.002,
        "batch_size": 100,
        "hidden": (500, 500, 500),
        "init": "lecun_normal",
    }
    because = {
        ("optimizer", "weight_decay", "batch_size"): "those of Hinton's released recipe, as is the rate",
    }

    on_few_rows = {"hidden": (128, 128)}

    @property
    def labelled(self) -> bool:
        """True where the label is part of the input; mixtures of images need none."""
        return self.settings.negatives != "hybrid"

    @property
    def readouts(self) -> tuple[str, ...]:
        return (*(["softmax"] if len(self.heads) else []), *(["energy"] if self.labelled else []))

    @property
    def forward_passes(self) -> tuple[int, int]:
        return 2 + bool(len(self.heads)), 1 if self.settings.readout == "softmax" else self.spec.classes

    def net_spec(self, spec: "Spec") -> "Spec":
        """The net sees the label in the input, or beside it."""
        return replace(spec, shape=self.embedding(spec).shape) if self.labelled else spec

    def embedding(self, spec: "Spec") -> Overlay | Appended:
        """The place of the label in data of ``spec``."""
        own = self.blocks[0] if self._build_net is None else None
        return embedding(self.settings.label_embedding, spec, own)

    def setup(self) -> None:
        options = self.settings
        if not self.labelled and len(self.spec.shape) != 3:
            raise InputError(
                f"negatives = hybrid mixes images, not inputs of shape {self.spec.shape}: use uniform or hard"
            )
        if options.readout == "energy" and not self.labelled:
            raise InputError("readout = energy needs labels in the input: use softmax with negatives = hybrid")
        self.label: Any = self.embedding(self.spec) if self.labelled else None
        self.noted = False
        if options.readout == "softmax" or options.negatives == "hard":
            alone = options.schedule == "sequential" or len(self.features) == 1  # the first block is read while alone
            for k, n in enumerate(self.features):
                self.heads.append(nn.Linear(n, self.spec.classes, bias=False) if k or alone else nn.Identity())
            for weight in self.heads.parameters():
                nn.init.zeros_(weight)
        for k, n in enumerate(self.features):
            self.register_buffer(f"activity_{k}", torch.full((n,), 0.5))

    def owners(self) -> dict[Hashable, list[nn.Parameter]]:
        owners: dict[Hashable, list[nn.Parameter]] = {k: [*block.parameters()] for k, block in enumerate(self.blocks)}
        if len(self.heads):
            owners["readout"] = list(self.heads.parameters())
        return owners

    def optim(self, owner: Hashable) -> OptimSettings:
        options = self.settings
        if owner != "readout":
            return options
        return replace(options, lr=options.readout_lr, weight_decay=options.readout_decay)

    def phases(self, epochs: int) -> list[Phase]:
        if self.settings.schedule == "simultaneous":
            return [Phase("all", range(len(self.blocks)), epochs, fixed=False)]
        return Phase.one_by_one(self.blocks, epochs, fixed=False)

    def prepare(self, batch: Batch) -> Streams:
        """Both streams at the first active block; negatives are drawn anew for every batch."""
        if self.label is not None:
            self.label.measure(batch.x)
        neutral = self.neutral(batch.x) if len(self.heads) else {}
        if self.labelled:
            labels = (batch.y, self.wrong_labels(batch, neutral))
            pair = [self.label.join(batch.x, F.one_hot(y, self.spec.classes).to(batch.x)) for y in labels]
        else:
            pair = [batch.x, ff.hybrid(batch.x, self.uniform(batch, "negatives", 1, *self.spec.shape[1:]))]
        h = torch.cat(pair)
        for block in self.blocks[: self.first]:
            h = block(ff.rms_normalise(h))
        same = {f.name: getattr(batch, f.name) for f in fields(batch)}
        return Streams(**{**same, "x": h}, neutral=neutral)

    def wrong_labels(self, batch: Batch, neutral: dict[int, Tensor]) -> Tensor:
        """Wrong labels, by the readout's probabilities or uniform.

        Args:
            batch: the samples, with their labels.
            neutral: the readout's inputs by block, ``(B, n_k)`` each.

        Returns:
            One wrong class a sample ``(B,)``.
        """
        draws = self.uniform(batch, "negatives")
        if self.settings.negatives == "hard":
            return ff.hard_negatives(batch.y, draws, self.read(neutral))
        return ff.uniform_negatives(batch.y, draws, self.spec.classes)

    def local_losses(self, batch: Streams) -> Iterator[Local]:  # type: ignore[override]
        if batch.neutral:
            yield Local(F.cross_entropy(self.read(batch.neutral), batch.y), owner="readout")
            batch.neutral.clear()
        options, a = self.settings, batch.x
        del batch.x  # only the first block needs it, and the loop holds the batch
        for k, block in self.active:
            a = ff.rms_normalise(a.detach())
            z, a = ff.through(block, a)  # (2B, …) both
            if options.peer:
                push_peers(getattr(self, f"activity_{k}"), z if z.shape == a.shape else a, a, options.peer)
            del z
            loss = ff.goodness_loss(ff.logits(a, options.goodness, options.threshold, options.temperature))
            yield Local(loss, owner=k)

    def on_epoch(self) -> None:
        if self.label is None or self.noted:
            return
        self.noted = True
        if note := self.label.note():
            self.notes.append(note)
            if world()[0] == 0:
                tell(note)

    def neutral(self, x: Tensor) -> dict[int, Tensor]:
        """Normalised activities ``(B, n_k)`` of the blocks that count, for images whose label says nothing."""
        classes = self.spec.classes
        h = x if self.label is None else self.label.join(x, x.new_full((classes,), 1 / classes))
        activities, h = {}, ff.rms_normalise(h)
        for k, block in self.trained:
            h = ff.rms_normalise(block(h))
            if k in self.counted:
                activities[k] = h.flatten(1)
        return activities

    @property
    def counted(self) -> range:
        """The blocks whose goodness and activities count: all trained so far but the first, unless it is alone."""
        return range(min(1, len(self.trained) - 1), len(self.trained))

    def read(self, neutral: dict[int, Tensor]) -> Tensor:
        """Class logits ``(B, C)`` of the softmax readout."""
        return torch.stack([self.heads[k](h) for k, h in neutral.items()]).sum(0)

    def energy(self, x: Tensor) -> Tensor:
        """Summed goodness ``(B,)`` of the blocks that count."""
        total: Any = 0.0
        for k, block in self.trained:
            x = block(ff.rms_normalise(x))
            if k in self.counted:
                total = total + ff.goodness(x, self.settings.goodness)
        return total

    def predict(self, batch: Batch) -> Tensor:
        if self.settings.readout == "softmax":
            return self.read(self.neutral(batch.x))
        labels = torch.eye(self.spec.classes, dtype=batch.x.dtype, device=batch.x.device)
        return torch.stack([self.energy(self.label.join(batch.x, label)) for label in labels], 1)
