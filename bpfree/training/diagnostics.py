"""Diagnostics by owner and block: losses, gradient norms, dead units; they never make the device wait in a step."""

import contextlib
import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence

import torch
from torch import Tensor, nn

from bpfree.functional.gradients import total_norm


class Monitor:
    """Losses, gradient norms and dead units since the last validation, kept on the device until the next.

    All numbers share one tensor: a small tensor for each would outlive the large ones around it and leave holes in the
    heap that no layer's activations fit into.
    """

    def __init__(self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.values = torch.zeros(4096, dtype=dtype, device=device)
        self.keys: list[tuple[str, Hashable, int]] = []  # of each value: its kind, its owner, the batch of the run

    def record(self, name: str, owner: Hashable, value: Tensor, step: int = 0) -> None:
        """Keep a value.

        Args:
            name: ``loss``, ``grad_norm`` or ``dead``.
            owner: key of an owner, or number of a block.
            value: a scalar, without a graph.
            step: batches of the run before this one.
        """
        if len(self.keys) == len(self.values):
            self.values = torch.cat([self.values, torch.zeros_like(self.values)])
        self.values[len(self.keys)].copy_(value)
        self.keys.append((name, owner, step))

    def record_loss(self, owner: Hashable, loss: Tensor, step: int) -> None:
        """Keep the loss of ``owner`` in the batch that ``step`` others of the run precede."""
        self.record("loss", owner, loss.detach(), step)

    def record_gradient(self, owner: Hashable, grads: Sequence[Tensor], step: int) -> None:
        """Keep the norm of the gradients of ``owner`` in the batch that ``step`` others of the run precede."""
        if grads:
            self.record("grad_norm", owner, total_norm(grads), step)

    @contextlib.contextmanager
    def watching(self, blocks: Sequence[tuple[int, nn.Module]]) -> Iterator[None]:
        """Count dead units of ``blocks`` inside: those whose output is <= 0 for every sample of a batch."""

        def watch(k: int):
            def hook(block: nn.Module, inputs: tuple, out: Tensor) -> None:
                if torch.is_grad_enabled():
                    self.record("dead", k, (out.detach() <= 0).all(0).float().mean())

            return hook

        last = [(k, block[-1] if isinstance(block, nn.Sequential) else block) for k, block in blocks]
        handles = [module.register_forward_hook(watch(k)) for k, module in last]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def not_finite(self) -> str | None:
        """The first loss or gradient that is not finite, and its step, in words; None when all are finite."""
        if not self.keys or self.values[: len(self.keys)].isfinite().all():
            return None
        for (name, owner, step), value in zip(self.keys, self.values.tolist(), strict=False):
            if name != "dead" and not math.isfinite(value):
                whose = (
                    f"block {owner}" if isinstance(owner, int) else "all blocks" if owner is None else f"owner {owner}"
                )
                kind = "loss" if name == "loss" else "gradient norm"
                return f"the {kind} of {whose} became {value} at step {step + 1} of the run"
        return None

    def summary(self) -> dict[str, dict[str, float]]:
        """Means by owner (``loss``, ``grad_norm``) and by block (``dead``) since the last call."""
        kept: dict[tuple[str, Hashable], list[float]] = defaultdict(list)
        for (name, owner, _), value in zip(self.keys, self.values.tolist(), strict=False):
            kept[name, owner].append(value)
        self.keys.clear()
        means: dict[str, dict[str, float]] = {"loss": {}, "grad_norm": {}, "dead": {}}
        for (name, owner), values in kept.items():
            means[name][str(owner)] = sum(values) / len(values)
        return means

    def state_dict(self) -> dict:
        return {"keys": list(self.keys), "values": self.values.clone()}

    def load_state_dict(self, state: dict) -> None:
        self.keys = [tuple(key) for key in state["keys"]]
        self.values = state["values"].to(self.values.device)
