"""What a run watches: the early stop, and diagnostics by block that never make the device wait inside a step."""

import contextlib
import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence

import torch
from torch import Tensor, nn

from bpfree.functional.transforms import total_norm


class EarlyStop:
    """One rule for all: stop after ``patience`` epochs without an improvement above ``min_delta``; keep the best state.

    The metric is always the validation metric. ``patience`` None: never stop early, but still keep the best state.
    ``every``: epochs that one update stands for.
    """

    def __init__(self, patience: int | None, min_delta: float, maximize: bool, every: int = 1):
        self.patience, self.min_delta, self.sign = patience, min_delta, 1.0 if maximize else -1.0
        self.every = every
        self.value: float | None = None  # the best validation metric so far
        self.epoch = 0  # the epoch it was reached in
        self.waited = 0
        self.best_state: dict[str, Tensor] = {}

    @property
    def done(self) -> bool:
        return self.patience is not None and self.waited >= self.patience

    def update(self, value: float, epoch: int, trainer: nn.Module) -> None:
        if self.value is not None and not self.sign * (value - self.value) > self.min_delta:
            self.waited += self.every
            return
        self.value, self.epoch, self.waited = value, epoch, 0
        self.best_state = {name: tensor.detach().clone() for name, tensor in trainer.state_dict().items()}

    def restore(self, trainer: nn.Module) -> None:
        if self.best_state:
            trainer.load_state_dict(self.best_state)

    def state_dict(self) -> dict:
        return {"value": self.value, "epoch": self.epoch, "waited": self.waited, "best_state": self.best_state}

    def load_state_dict(self, state: dict) -> None:
        self.__dict__.update(state)


class Monitor:
    """Losses, gradient norms and dead units of an epoch, kept on the device until the epoch ends.

    All numbers share one tensor: a small tensor for each would outlive the large ones around it and leave holes in the
    heap that no layer's activations fit into.
    """

    def __init__(self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.values = torch.zeros(4096, dtype=dtype, device=device)
        self.keys: list[tuple[str, Hashable, int]] = []  # what each of them is, and in which batch of the epoch

    def record(self, name: str, owner: Hashable, value: Tensor, batch: int = 0) -> None:
        if len(self.keys) == len(self.values):
            self.values = torch.cat([self.values, torch.zeros_like(self.values)])
        self.values[len(self.keys)].copy_(value)
        self.keys.append((name, owner, batch))

    def record_loss(self, owner: Hashable, loss: Tensor, batch: int) -> None:
        self.record("loss", owner, loss.detach(), batch)

    def record_gradient(self, owner: Hashable, grads: Sequence[Tensor], batch: int) -> None:
        if grads:
            self.record("grad_norm", owner, total_norm(grads), batch)

    @contextlib.contextmanager
    def watching(self, blocks: Sequence[tuple[int, nn.Module]]) -> Iterator[None]:
        """Inside, see what ``blocks`` put out: a unit that is <= 0 for every sample of a batch counts as dead."""

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
        """Which loss or gradient stopped being finite first, and when, in words; None when all are finite."""
        if not self.keys or self.values[: len(self.keys)].isfinite().all():
            return None
        for (name, owner, batch), value in zip(self.keys, self.values.tolist(), strict=False):
            if name != "dead" and not math.isfinite(value):
                whose = (
                    f"block {owner}" if isinstance(owner, int) else "all blocks" if owner is None else f"owner {owner}"
                )
                what = "loss" if name == "loss" else "gradient norm"
                return f"the {what} of {whose} became {value} at step {batch + 1} of this epoch"
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
