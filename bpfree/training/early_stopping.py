"""Early stopping by the validation metric, and the best state so far."""

from torch import Tensor, nn


class EarlyStop:
    """The end of a phase after ``patience`` epochs without an improvement above ``min_delta``; keeps the best state.

    Args:
        patience: epochs; None: never stop early, but still keep the best state.
        min_delta: least difference of the validation metric that counts as an improvement.
        maximize: more of the metric is better.
        every: epochs that one update stands for.
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
        """True when the phase should end."""
        return self.patience is not None and self.waited >= self.patience

    def update(self, value: float, epoch: int, trainer: nn.Module) -> None:
        """Take note of a validation.

        Args:
            value: of the metric.
            epoch: of the run, that ``value`` was reached in.
            trainer: copied when this is the best value so far.
        """
        if self.value is not None and not self.sign * (value - self.value) > self.min_delta:
            self.waited += self.every
            return
        self.value, self.epoch, self.waited = value, epoch, 0
        self.best_state = {name: tensor.detach().clone() for name, tensor in trainer.state_dict().items()}

    def restore(self, trainer: nn.Module) -> None:
        """Put the best state back into ``trainer``, where there is one."""
        if self.best_state:
            trainer.load_state_dict(self.best_state)

    def state_dict(self) -> dict:
        return {"value": self.value, "epoch": self.epoch, "waited": self.waited, "best_state": self.best_state}

    def load_state_dict(self, state: dict) -> None:
        self.__dict__.update(state)
