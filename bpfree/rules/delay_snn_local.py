"""Local learning of delays: every spiking layer descends the cross-entropy of a readout of its own.

Mono-Forward (arXiv 2501.09238) on the net of DCLS-Delays (arXiv 2306.17670). No paper is known that trains delays this
way. Layer k sees spikes that carry no gradient and has a readout R_k (delays, membranes v_k that never fire, softmax
summed over time) as its head; the surrogate gradient runs back through the time of this one layer and no further:

    v_k = R_k(layer_k(SG(s_{k-1}))),   m_k = sum_t softmax(v_k[t]),   L_k = CE(softmax(m_k), y),   prediction m_last

============  =====================================  ==========
symbol        attribute                              shape
============  =====================================  ==========
w, P of k     ``blocks[k].synapses.weight``, …       (n_k, S, C)
w, P of R_k   ``heads[k].synapses.weight``, …        (C, S, C)
============  =====================================  ==========

Owner k has the weights of block k and head k, owner "positions k" their positions; both step on the one loss of layer k
before layer k+1 runs. Rates, schedules, clamping and narrowing are those of ``delay-snn``.

Tasks: classification; regression, as in ``delay-snn``.
Shapes: ``batch.x (B, T, N)`` spike counts, ``batch.y (B,)`` -> scores ``(B, C)`` of the last head; for regression a
number a target.
Differences from Mono-Forward: the head is a spiking readout, not a linear map; from delay-snn: no gradient passes from
layer to layer, and the hidden layers have heads of their own. The net that predicts is the same.
Costs: one forward pass a step and a prediction; activity of one layer over T steps at a time, so memory is flat in
depth (with ``--padding right`` it follows T, which grows). All heads but the last are not used at inference.
"""

from collections.abc import Hashable, Iterator
from typing import cast

from torch import nn

from bpfree.nets.delay_snn import Spiking
from bpfree.rules.backprop import LOSSES
from bpfree.rules.delay_snn import POSITIONS, DelaySnn, shared_out
from bpfree.training.trainer import Batch, Local


class DelaySnnLocal(DelaySnn):
    """Every layer's weights and positions learn from that layer's readout alone."""

    hidden_only = True

    def setup(self) -> None:
        super().setup()
        self.heads.extend(cast(Spiking, block).readout(self.spec) for block in self.blocks)

    @property
    def chain(self) -> list[nn.Module]:
        return [*self.blocks, self.heads[-1]]

    def owners(self) -> dict[Hashable, list[nn.Parameter]]:
        owners: dict[Hashable, list[nn.Parameter]] = {}
        for k, pair in enumerate(zip(self.blocks, self.heads, strict=True)):
            owners |= shared_out(nn.ModuleList(pair), k, f"{POSITIONS} {k}")
        return owners

    def local_losses(self, batch: Batch) -> Iterator[Local]:
        h, learned = batch.x, len(self.owners()) > len(self.blocks)
        for k, block in self.active:
            h = block(h.detach())  # (B, T_k, n_k)
            yield Local(LOSSES[self.spec.task](self.heads[k](h), batch.y), owner=k)
            if learned:
                yield Local(None, owner=f"{POSITIONS} {k}")  # the same backward has filled them
