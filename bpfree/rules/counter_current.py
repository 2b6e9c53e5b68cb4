"""Counter-current learning: a second net brings the target down to meet the activations that come up.

Kao, Hariharan, "Counter-Current Learning: A Biologically Plausible Dual Network Approach for Deep Learning", NeurIPS
2024, arXiv 2409.19841. A forward net takes the input up, a feedback net of mirrored sizes takes the C class prototypes
(rows of the identity) down, and each level l < L pulls the two together; SG stops the gradient at every layer's input:

    a_0 = x,   a_l = act(U_l SG(a_{l-1})),        b_L = I_C,   b_{l-1} = act(V_l SG(b_l)),        T_ic = 1[y_i = c]

    raw:         L_l = (256 s / d_l) mean (a_l b_l^T - T)^2
    normalised:  L_l = s mean (A_l B_l^T - T)^2 + S mean (A_l A_l^T - I_B)^2 + S mean (B_l B_l^T - I_C)^2
    output:      L_L = CE(a_L, y);     A, B: rows of a, b at unit length

    dL/da_l = (512 s / (d_l B C)) (a_l b_l^T - T) b_l,   dU_l = (dL/da_l * act'(z_l))^T a_{l-1},   likewise b_l, V_{l+1}

so the pair of level l trains U_l and V_{l+1}, that of the input V_1 alone, the output U_L alone. An autoencoder's
feedback net takes the target image, b_L = x, and its maps meet one by one: L_l = s h mean (a_l - b_l)^2, h the maps'
height, and between the ends the same again of maps less their mean at unit length; output L_L = h mean (a_L - x)^2.

============  ======================  ==========
symbol        attribute               shape
============  ======================  ==========
U_{k+1}       ``blocks[k]``           (d_{k+1}, d_k), or a kernel
V_{k+1}       ``feedback[k]``         (d_k, d_{k+1}), or a kernel
============  ======================  ==========

Tasks: classification, reconstruction.
Shapes: ``batch.x (B, …)``, ``batch.y (B,)`` -> scores ``(B, C)``; for reconstruction ``batch.y (B, …)`` -> ``(B, …)``.
Differences from the paper: the losses are those of its released code (eq. 2 is the normalised one with samples in
place of prototypes); warm-up multiplies the learning rate, not the losses, which differs where the gradient is clipped;
flooding reads the probabilities before the step in evaluation mode; the best state is that of the validation accuracy,
not of the cross-entropy. ``no-stop-gradient`` is the ablation that is no longer local, ``feedback=fixed`` the one with
random feedback. V_1, which no forward layer needs, counts in the feedback net's clip, as released: late in training its
gradient is the largest, and slows the others. ``centralise`` keeps every kernel's sum as it began, so that maps of one
sign cannot make brightness: an autoencoder's images need mean 0 (``normalize: standard``).
Costs: one forward pass a step, one more with ``flood``, and a feedback pass of C rows (of B rows for reconstruction);
one pass a prediction. The feedback net, as large as the forward net, is not used at inference. Activations of one level
live at a time, beside the feedback; the gradients of both nets live until the batch ends, since each net's clip needs
all of its own.
"""

import dataclasses
from collections.abc import Hashable, Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.functional import counter_current as pairs
from bpfree.nets._mirror import mirror
from bpfree.nets.autoencoder import initialise
from bpfree.training.contract import check_classifier
from bpfree.training.optimizers import OptimSettings
from bpfree.training.trainer import Batch, Local, Phase, RuleSettings, Trainer


@settings
class Settings(RuleSettings):
    lr: float = setting(1.0, "learning rate", gt=0, search=(0.2, 2.0, "log"))
    clip: float | None = setting(1.0, "clip the norm of the forward net's gradient to this", gt=0, search=(0.5, 1.0))
    pair_loss: Literal["raw", "normalised"] | None = setting(
        None, "loss of a hidden level; none: raw for vectors, normalised for maps, as released"
    )
    pair_scale: float = setting(0.5, "s, weight of the pairs; 0: random hidden layers", ge=0, search=(0.1, 2.0, "log"))
    spread: float = setting(0.5, "S, weight of keeping samples apart in the normalised loss", ge=0)
    flood: float | None = setting(None, "samples this close to probability 1 are left out of the pairs", gt=0, lt=1)
    feedback: Literal["learned", "fixed"] = setting("learned", "fixed: the feedback net keeps its random weights")
    feedback_lr: float | None = setting(None, "learning rate of the feedback net (none: as the forward net)", gt=0)
    feedback_clip: float | None = setting(None, "clip of the feedback net's gradient (none: as the forward net)", gt=0)
    stop_gradient: bool = setting(True, "cut the forward net's gradient at every layer; not to is no longer local")


@dataclasses.dataclass(kw_only=True)
class Flooded(Batch):
    """``counts (B,)``: 0 for samples that the pairs leave out, else 1."""

    counts: Tensor


class CounterCurrent(Trainer):
    """Every level pulls what comes up and what comes down together."""

    Settings = Settings
    tasks = ("classification", "reconstruction")
    batch_separable = False  # the normalised loss compares the samples of a batch with one another
    prefer = {
        "optimizer": "sgd",
        "momentum": 0.0,
        "batch_size": 256,
        "epochs": 50,
        "lr_schedule": "constant",
        "hidden": (256,) * 5,
        "channels": (128, 128, 256, 256, 512),
        "pool": "max",
        "activation": "elu",
        "bias": False,
        "normalize": "standard",
    }
    because = {
        ("optimizer", "lr", "momentum", "batch_size", "clip"): "the paper's",
        ("epochs", "lr_schedule"): "gains come slowly and to the end; the paper's 100 epochs are a recipe",
    }
    on_few_rows = {"hidden": (128, 128), "batch_size": 32}

    def setup(self) -> None:
        options, levels = self.settings, [self.spec.shape, *self.shapes]
        check_classifier(self)
        if self.reconstructs and (options.flood or options.pair_loss):
            raise InputError(f"flood and pair_loss are for classes: leave them out for {self.spec.task}")
        if self.reconstructs and any(len(shape) != 3 for shape in levels):
            raise InputError("counter-current reconstructs images with maps at every level: use --net autoencoder")
        maps = any(len(shape) == 3 for shape in levels[1:-1])
        self.pair_loss = options.pair_loss or ("normalised" if maps else "raw")
        self.feedback = nn.ModuleList(mirror(self.blocks, levels))
        if self.reconstructs:
            initialise(self.feedback)
        self.feedback.requires_grad_(options.feedback == "learned")

    @property
    def reconstructs(self) -> bool:
        return self.spec.task == "reconstruction"

    @property
    def forward_passes(self) -> tuple[int, int]:
        return 1 + bool(self.settings.flood) + self.reconstructs, 1

    def owners(self) -> dict[Hashable, list[nn.Parameter]]:
        nets = {"forward": self.blocks, "feedback": self.feedback}
        if self.settings.feedback == "fixed":
            del nets["feedback"]
        return {name: list(net.parameters()) for name, net in nets.items()}

    def optim(self, owner: Hashable) -> OptimSettings:
        options = self.settings
        if owner != "feedback":
            return options
        lr, clip = options.feedback_lr or options.lr, options.feedback_clip or options.clip
        return dataclasses.replace(options, lr=lr, clip=clip)

    def phases(self, epochs: int) -> list[Phase]:
        return [Phase("all", range(len(self.blocks)), epochs, fixed=False)]

    def prepare(self, batch: Batch) -> Batch:
        """With ``flood``, find out which samples are fitted already."""
        if not self.settings.flood:
            return batch
        right = self.predict(batch).softmax(1).gather(1, batch.y[:, None])[:, 0]  # (B,) probability of the class
        return Flooded(**vars(batch), counts=(1 - right >= self.settings.flood).to(right))

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        if not self.settings.stop_gradient:
            yield Local(torch.stack(list(self.losses(batch))).sum(), owner=None)
            return
        for loss in self.losses(batch):
            yield Local(loss, owner=None)

    def losses(self, batch: Batch) -> Iterator[Tensor]:
        """The loss of every level, from the input up."""
        top = batch.y if self.reconstructs else torch.eye(self.spec.classes, dtype=batch.x.dtype, device=batch.x.device)
        target = None if self.reconstructs else top.index_select(0, batch.y)  # (B, C) one-hot
        b = self.descend(top)
        if self.settings.feedback == "learned":
            yield self.pair(0, batch.x, b[-1], target, batch)
        a = batch.x
        for level, block in enumerate(self.blocks, 1):
            b.pop()  # the level below is done
            a = block(a.detach() if self.settings.stop_gradient else a)
            yield self.pair(level, a, b[-1], target, batch) if len(b) > 1 else self.output(a, batch)

    def descend(self, b: Tensor) -> list[Tensor]:
        """Feedback from ``b_L`` down to ``b_0``: C rows each, or B rows for reconstruction."""
        levels = [b]
        for block in reversed(self.feedback):
            levels.append(block(levels[-1].detach()))
        return levels

    def pair(self, level: int, a: Tensor, b: Tensor, target: Tensor | None, batch: Batch) -> Tensor:
        """Loss that the two activations of a level share.

        Args:
            level: l, 0 for the input.
            a: from below ``(B, …)``.
            b: from above: ``(C, …)``, a row a prototype, or ``(B, …)`` for reconstruction.
            target: one-hot classes ``(B, C)``; None: every sample has a row of b to itself.
            batch: the samples; a `Flooded` one says which count.

        Returns:
            The weighted loss, a scalar.
        """
        options = self.settings
        if target is None:  # every sample has a b to itself
            return options.pair_scale * a.shape[2] * (pairs.map_pair(a, b) if level else F.mse_loss(a, b))
        a, b = (h.movedim(1, -1).flatten(1) for h in (a, b))  # a view of maps whose channels lie last in memory
        if isinstance(batch, Flooded):
            a = a * batch.counts[:, None]
        if self.pair_loss == "raw":
            return pairs.raw_pair(a, b, target, options.pair_scale)
        return pairs.normalised_pair(a, b, target, options.pair_scale, options.spread)

    def output(self, a: Tensor, batch: Batch) -> Tensor:
        """Loss of the forward net's output.

        Args:
            a: class scores ``(B, C)``, or images ``(B, c, h, w)``.
            batch: the samples with their targets.

        Returns:
            Cross-entropy, or h times the mean squared error.
        """
        return a.shape[2] * F.mse_loss(a, batch.y) if self.reconstructs else F.cross_entropy(a, batch.y)

    def predict(self, batch: Batch) -> Tensor:
        return batch.after(self.blocks)
