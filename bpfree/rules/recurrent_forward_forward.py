"""Recurrent Forward-Forward: layers driven from below and from above settle over time, each learning by its goodness.

Hinton, "The Forward-Forward Algorithm: Some Preliminary Investigations", arXiv 2212.13345: the recurrent net. A static
image is a video of equal frames; the label is clamped above the top layer; xhat = x / rms(x):

    a_k(t) = relu(W_k xhat_{k-1}(t-1) + V_k xhat_{k+1}(t-1) + b_k),   x_k(t) = d x_k(t-1) + (1 - d) a_k(t)

    L_k(t) = mean softplus((theta - g_k)/T) with right labels, softplus((g_k - theta)/T) with wrong ones

    g_k = sum_j x_kj(t)^2

============  ======================  ==========
symbol        attribute               shape
============  ======================  ==========
W_k, b_k      ``blocks[k]``           (n_k, n_{k-1}), (n_k,)
V_k           ``heads[k]``            (n_k, n_{k+1}), no bias; the top one (n_L, C)
============  ======================  ==========

Task: classification.
Shapes: ``batch.x (B, …)``, ``batch.y (B,)`` -> scores ``(B, C)``: goodness of each candidate label.
Differences from the paper: which activity carries the goodness, the initial states (one pass from below) and the choice
of wrong labels (uniform) are not given there. An input that is a vector gets a constant 1 appended before it is
normalised, else its length were lost; blocks of your own see the input alone.
Costs: two streams of ``frames + 1`` passes a step; C times ``last + 1`` passes a prediction. Updates are local in time.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.errors import InputError
from bpfree.functional import forward_forward as ff
from bpfree.rules._goodness import GoodnessSettings
from bpfree.training.trainer import Batch, Local, Trainer

if TYPE_CHECKING:
    from bpfree.training.data import Spec


@settings
class Settings(GoodnessSettings):
    frames: int = setting(8, "time steps of training", ge=1)
    first: int = setting(3, "first time step whose goodness is counted in prediction", ge=1)
    last: int = setting(5, "last time step whose goodness is counted in prediction", ge=1)
    damping: float = setting(0.3, "share d of the old state in the new one", ge=0, lt=1)


class RecurrentForwardForward(Trainer):
    """Forward-Forward with top-down input, local in time."""

    Settings = Settings
    hidden_only = True
    min_steps = 250  # each is one update of every layer a frame: 2,000 in all
    on_few_rows = {"hidden": (128, 128)}
    prefer = {
        "optimizer": "sgd",
        "lr": 3e-4,
        "batch_size": 100,
        "epochs": 5,
        "hidden": (200, 200),
        "init": "lecun_normal",
    }
    because = {
        ("optimizer", "lr", "batch_size"): "those of Hinton's released recipe for the net without recurrence",
        ("epochs",): "every sample takes 18 passes through the net; the larger net's 10 epochs are a recipe",
    }

    @property
    def forward_passes(self) -> tuple[int, int]:
        return 2 * (self.settings.frames + 1), self.spec.classes * (self.settings.last + 1)

    def net_spec(self, spec: "Spec") -> "Spec":
        """The net sees a constant beside an input that is a vector."""
        return replace(spec, shape=(spec.shape[0] + 1,)) if self.constant(spec) else spec

    def constant(self, spec: "Spec") -> bool:
        """True where a constant is appended to the input: a vector has few entries, and its length says something."""
        return len(spec.shape) == 1 and self._build_net is not None

    def image(self, x: Tensor) -> Tensor:
        """The clamped input, normalised."""
        return ff.rms_normalise(F.pad(x, (0, 1), value=1.0) if self.constant(self.spec) else x)

    def setup(self) -> None:
        if self.settings.first > self.settings.last:
            raise InputError(f"first = {self.settings.first} is after last = {self.settings.last}: make it no larger")
        for k, block in enumerate(self.blocks):
            weighted = [m for m in block.modules() if any(p.ndim > 1 for p in m.parameters(recurse=False))]
            parts = [m for m in block.modules() if m in weighted or isinstance(m, ff.ACTIVATIONS)]
            if not (len(weighted) == 1 and isinstance(parts[0], nn.Linear)):
                raise InputError(
                    f"block {k} is not one linear layer with at most one activation, which comes after it, as "
                    f"recurrent-forward-forward needs: use --net mlp"
                )
        above = [*self.features[1:], self.spec.classes]
        self.heads.extend(nn.Linear(up, n, bias=False) for n, up in zip(self.features, above, strict=True))
        for weight in self.heads.parameters():
            nn.init.normal_(weight, std=weight.shape[1] ** -0.5)

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        options, classes = self.settings, self.spec.classes
        wrong = ff.uniform_negatives(batch.y, self.uniform(batch, "negatives"), classes)
        label = F.one_hot(torch.cat([batch.y, wrong]), classes).to(batch.x)  # (2B, C)
        image = self.image(torch.cat([batch.x, batch.x]))  # (2B, …)
        states = self.bottom_up(image)
        for _ in range(options.frames):
            seen = self.seen(image, states, label)
            for k, _block in self.active:
                x = self.update(k, states[k], seen)
                states[k] = x.detach()
                yield Local(
                    ff.goodness_loss(ff.logits(x, options.goodness, options.threshold, options.temperature)), owner=k
                )
                del x

    def bottom_up(self, image: Tensor) -> list[Tensor]:
        """First states, ``(B, n_k)`` each: one pass from below, without the layers above."""
        h, states = image, []
        with torch.no_grad():
            for _, block in self.trained:
                h = block(h)
                states.append(h)
                h = ff.rms_normalise(h)
        return states

    def seen(self, image: Tensor, states: list[Tensor], label: Tensor) -> list[Tensor]:
        """Normalised neighbours of every layer.

        Args:
            image: the clamped input ``(B, …)``.
            states: of the layers, ``(B, n_k)`` each.
            label: the clamped label ``(B, C)``.

        Returns:
            Image, states, label: entry k lies below layer k, entry k + 2 above it.
        """
        return [image, *map(ff.rms_normalise, states), ff.rms_normalise(label)]

    def update(self, k: int, state: Tensor, seen: list[Tensor]) -> Tensor:
        """Advance layer k by one time step.

        Args:
            k: the layer.
            state: its state ``(B, n_k)``.
            seen: as `seen` gives it.

        Returns:
            The next state ``(B, n_k)``.
        """
        _, a = ff.through(self.blocks[k], seen[k], self.heads[k](seen[k + 2]))
        return self.settings.damping * state + (1 - self.settings.damping) * a

    def energy(self, image: Tensor, label: Tensor) -> Tensor:
        """Goodness of all layers, summed over the counted time steps.

        Args:
            image: the clamped input ``(B, …)``.
            label: the clamped candidate label ``(B, C)``.

        Returns:
            Goodness ``(B,)``.
        """
        states, total = self.bottom_up(image), torch.zeros(len(image), device=image.device)
        for t in range(1, self.settings.last + 1):
            seen = self.seen(image, states, label)
            states = [self.update(k, state, seen) for k, state in enumerate(states)]
            if t >= self.settings.first:
                total = total + sum(ff.goodness(x, self.settings.goodness) for x in states)
        return total

    def predict(self, batch: Batch) -> Tensor:
        image = self.image(batch.x)
        labels = torch.eye(self.spec.classes, dtype=image.dtype, device=image.device)
        return torch.stack([self.energy(image, label.expand(len(image), -1)) for label in labels], 1)
