"""One step of a rule through the public loop: plain SGD at rate 1, so that a weight moves by its gradient."""

from typing import Any

import numpy as np
import torch
from plain import Array
from small import loop_of, make

from bpfree.data.sources import TensorSource
from bpfree.training.data import Data, Spec
from bpfree.training.trainer import Trainer


def arrays(rows: int, features: int, classes: int, seed: int = 0) -> tuple[Array, np.ndarray]:
    """Random inputs and labels in which every class occurs."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, features)), rng.permutation(np.arange(rows) % classes)


def data_of(x: Array, y: np.ndarray) -> Data:
    source = TensorSource(torch.from_numpy(x), torch.from_numpy(y))
    classes = int(y.max()) + 1
    spec = Spec("arrays", x.shape[1:], classes, None, "classification", "accuracy", True, "", "")
    return Data(spec, source, source)


def values_of(trainer: Trainer) -> dict[str, Array]:
    return {name: tensor.detach().numpy().copy() for name, tensor in trainer.state_dict().items()}


def one_step(algo: str, x: Array, y: np.ndarray, **values: Any) -> tuple[dict[str, Array], dict[str, Array], dict]:
    """All weights before, how far each has moved down (its gradient), and the losses by owner."""
    chosen = {"optimizer": "sgd", "momentum": 0.0, "lr": 1.0, "weight_decay": 0.0, "lr_schedule": "constant", **values}
    trainer = make(algo, **{"epochs": 1, "batch_size": len(x), **chosen})
    loop = loop_of(trainer, data_of(x, y), precision="fp64")
    before = values_of(trainer)
    history = loop.run()
    after = values_of(trainer)
    return before, {name: before[name] - after[name] for name in before}, history[0]["loss"]
