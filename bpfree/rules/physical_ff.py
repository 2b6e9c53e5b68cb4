"""Physical Forward-Forward: black boxes that can only be measured, and linear maps that learn beside them.

Momeni, Rahmani, Malléjac, del Hougne, Fleury, "Backpropagation-free training of deep physical neural networks", arXiv
2304.11042 (PhyLL, physical local learning). Layer t is an unknown physical map P and a linear map; no gradient is taken
through P. Two streams run forward: inputs with their label, and the same inputs with a wrong one.

    s_t = [P(h_{t-1}); h_{t-1}],   z_t = W_t s_t + c_t,   h_t = z_t,   g_t = cos(|z_t|, xi_t)

    L_t = mean_i log(1 + exp(-theta (g_t(pos_i) - g_t(neg_i)))),     K steps on the same measured s_t

    dg/d|z| = xi/(|z||xi|) - g |z|/|z|^2,   dL/dg+- = -+theta sigmoid(-theta (g+ - g-)) / B,   dW = dz+^T s+ + dz-^T s-

============  ======================  ==========
symbol        attribute               shape
============  ======================  ==========
P             ``blocks[k].external``  (B, inputs) -> (B, outputs); nets ``optics``, ``acoustic`` …
W_t, c_t      ``blocks[k].linear``    (n_k, m_k), (n_k,)
xi_t          ``direction_k``         (n_k,), unit length, the same for every seed
max |x|       ``amplitude``           (), the largest input of the training part so far: what a label's slot reads
============  ======================  ==========

Task: classification.
Shapes: ``batch.x (B, …)``, ``batch.y (B,)`` -> scores ``(B, C)``: the summed goodness of each candidate label. With
``negatives=mixture`` no label is used but in a linear readout of the normalised z_t of all layers: its logits.
Differences from the paper: what stands there for mixtures is not known here, so they are a choice; the label's
amplitude never looks at test data; a bypass carries the input as it is, not as the system rescales it.
Costs: 2 B physical calls a layer and batch, cached for the K steps, so that the measurements may be K steps old;
C physical passes a prediction. Memory is flat in depth, except for the readout of the mixtures.
"""

import dataclasses
from collections.abc import Hashable, Iterator
from math import prod
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bpfree.config.settings import setting, settings
from bpfree.functional import physical_ff as pff
from bpfree.functional.forward_forward import rms_normalise, uniform_negatives
from bpfree.nets.physical.costs import CountedLinear
from bpfree.nets.physical.layer import PhysicalLayer, physical_layers
from bpfree.training.random_streams import derive
from bpfree.training.trainer import Batch, Local, RuleSettings, Trainer

if TYPE_CHECKING:
    from bpfree.training.data import Spec


@settings
class Settings(RuleSettings):
    theta: float = setting(4.0, "steepness of the pairwise loss", gt=0, search=(1.0, 16.0, "log"))
    inner_steps: int = setting(10, "K: gradient steps on one measurement", ge=1, search=(1, 20))
    negatives: Literal["label", "mixture"] = setting("label", "a wrong label, or (unsupervised) parts of two inputs")
    slots: int = setting(1, "inputs that each label has", ge=1)


class PhysicalForwardForward(Trainer):
    """Every layer turns its output towards a fixed direction for right labels and away from it for wrong ones."""

    Settings = Settings
    data = "vowels"
    net = "acoustic"
    image_net = "optics"
    hidden_only = True
    batch_separable = False  # one instrument, and a label amplitude that follows the process's part of the batch
    amplitude: Tensor
    min_steps = 0  # a step is a measurement
    prefer = {"lr": 2e-3, "epochs": 200, "batch_size": 1000, "normalize": "positive", "keep": "last"}
    because = {
        ("lr", "batch_size", "epochs"): "the vowels are one batch an epoch, so 200 epochs are 200 measurements",
        ("keep",): "34 vowels to validate on are too few to choose an epoch by",
    }

    @property
    def labelled(self) -> bool:
        return self.settings.negatives == "label"

    @property
    def forward_passes(self) -> tuple[int, int]:
        return 2, self.spec.classes if self.labelled else 1

    def net_spec(self, spec: "Spec") -> "Spec":
        """The net sees the label beside the input."""
        slots = spec.classes * self.settings.slots if self.labelled else 0
        return dataclasses.replace(spec, shape=(slots + prod(spec.shape),))

    def setup(self) -> None:
        self.layers: list[PhysicalLayer] = physical_layers(self.blocks)
        widths = [block.linear.out_features for block in self.layers]
        for k, n in enumerate(widths):
            rng = torch.Generator().manual_seed(derive(0, "direction", k))
            self.register_buffer(f"direction_{k}", pff.direction(n, rng))
        self.register_buffer("amplitude", torch.zeros(()))
        if not self.labelled:
            self.heads.append(CountedLinear(sum(widths), self.spec.classes, self.layers[0].external.costs))

    def owners(self) -> dict[Hashable, list[torch.nn.Parameter]]:
        owners: dict[Hashable, list[torch.nn.Parameter]] = {k: [*b.parameters()] for k, b in enumerate(self.blocks)}
        return owners if self.labelled else {**owners, "readout": list(self.heads.parameters())}

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        h, kept = self.streams_of(batch), []  # (2B, n): positives, then negatives
        for k, layer in enumerate(self.layers):
            seen = layer.sense(h)  # measured once
            for _ in range(self.settings.inner_steps):
                positive, negative = self.goodness(layer.linear(seen), k).chunk(2)
                yield Local(pff.pairwise_loss(positive, negative, self.settings.theta), owner=k)
            h = self.apply_updated(layer, seen)
            if not self.labelled:
                kept.append(rms_normalise(h[: len(batch.x)]))
        for _ in range(self.settings.inner_steps if kept else 0):
            yield Local(F.cross_entropy(self.heads[0](torch.cat(kept, 1)), batch.y), owner="readout")

    def streams_of(self, batch: Batch) -> Tensor:
        """Positives and negatives ``(2B, n)`` at the first layer."""
        x = batch.x.flatten(1)
        if not self.labelled:
            return torch.cat([x, pff.mixtures(x, self.uniform(batch, "negatives", x.shape[1]))])
        self.amplitude.copy_(torch.maximum(self.amplitude, x.abs().max().to(self.amplitude)))
        wrong = uniform_negatives(batch.y, self.uniform(batch, "negatives"), self.spec.classes)
        return torch.cat([self.joined(x, batch.y), self.joined(x, wrong)])

    @torch.no_grad()
    def apply_updated(self, layer: PhysicalLayer, seen: Tensor) -> Tensor:
        """Output of a layer after its update.

        Args:
            layer: the layer.
            seen: its measurement ``(2B, m)``, which is not repeated.

        Returns:
            The measurement through the updated linear map ``(2B, n)``.
        """
        return layer.linear(seen)

    def joined(self, x: Tensor, label: Tensor) -> Tensor:
        """Inputs beside their labels.

        Args:
            x: inputs ``(B, n)``.
            label: classes ``(B,)``.

        Returns:
            ``(B, C slots + n)``: the label at the largest amplitude of the data, then the input.
        """
        return pff.with_label(x, label, self.amplitude.to(x), self.spec.classes, self.settings.slots)

    def goodness(self, z: Tensor, k: int) -> Tensor:
        """Goodness of layer k.

        Args:
            z: output of its linear map ``(B, n_k)``.
            k: the layer.

        Returns:
            Cosine ``(B,)`` with the layer's fixed direction.
        """
        return pff.cosine_goodness(z, getattr(self, f"direction_{k}"))

    def outputs(self, h: Tensor) -> Iterator[tuple[int, Tensor]]:
        """(k, z_k) of every layer."""
        for k, layer in enumerate(self.layers):
            h = layer(h)
            yield k, h

    def predict(self, batch: Batch) -> Tensor:
        if not self.labelled:
            kept = [rms_normalise(z) for _, z in self.outputs(batch.x.flatten(1))]
            return self.heads[0](torch.cat(kept, 1))
        labels = torch.arange(self.spec.classes, device=batch.x.device).repeat(len(batch.x))
        every = self.joined(batch.x.flatten(1).repeat_interleave(self.spec.classes, 0), labels)  # (B C, n)
        goodness = [self.goodness(z, k) for k, z in self.outputs(every)]
        return torch.stack(goodness).sum(0).unflatten(0, (-1, self.spec.classes))
