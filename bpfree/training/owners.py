"""Owners: the parameters that a local loss steps, with their optimizer and the transforms of their gradients."""

from collections.abc import Callable, Iterable, Sequence

from torch import Tensor, nn

from bpfree.training.distributed import reduce_gradients
from bpfree.training.optimizers import OptimSettings, lr_factor, make_optimizer, warmup_factor
from bpfree.training.transforms import Stateful, Transform


class Owner:
    """The parameters that step together.

    Args:
        params: trained by this owner; those that need no gradient are left out.
        optim: settings of the optimizer.
        transforms: change the gradients in place, in this order, after reduction and before the optimizer.
    """

    def __init__(self, params: Iterable[nn.Parameter], optim: OptimSettings, transforms: Sequence[Transform] = ()):
        self.params = [p for p in params if p.requires_grad]
        self.optim, self.transforms = optim, transforms
        self.optimizer = make_optimizer(self.params, optim)

    @property
    def grads(self) -> list[Tensor]:
        """Gradients of the parameters that have one."""
        return [p.grad for p in self.params if p.grad is not None]

    def reduce(self, share: float) -> Callable[[], None]:
        """Start the sum of its gradients over processes; see `reduce_gradients`."""
        return reduce_gradients(self.params, share)

    def step(self, progress: float, done: int = 0) -> None:
        """Transforms, then one optimizer step.

        Args:
            progress: in [0, 1] of the phase, for the schedule of the learning rate.
            done: batches of the phase before this one, for its warm-up.
        """
        grads = self.grads
        for transform in self.transforms:
            transform(grads)
        factor = lr_factor(self.optim.lr_schedule, progress) * warmup_factor(self.optim.warmup_steps, done)
        for group in self.optimizer.param_groups:
            group["lr"] = self.optim.lr * factor
        self.optimizer.step()

    def clear(self) -> None:
        """Forget the gradients."""
        for p in self.params:
            p.grad = None

    def state_dict(self) -> dict:
        return {
            "optimizer": self.optimizer.state_dict(),
            "transforms": [t.state_dict() for t in self.transforms if isinstance(t, Stateful)],
        }

    def load_state_dict(self, state: dict) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        stateful = [t for t in self.transforms if isinstance(t, Stateful)]
        for transform, saved in zip(stateful, state["transforms"], strict=True):
            transform.load_state_dict(saved)
