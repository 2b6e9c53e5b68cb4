"""A measured system: a model fitted to recorded pairs, such as PhyLL's acoustic cavity. Layers with linear maps.

``pairs`` is an .npz file with ``x (N, n)``, amplitudes >= 0, and ``y (N, m)``, what was measured. In front of it stands
``|x| / max|x|``, so that it is asked within the range that was recorded. The fit's error on pairs held out goes into
the record; the fit itself is kept in the cache folder. Drift and a sudden change act on the weights of its last layer.
"""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.data import locations
from bpfree.data.damaged import DAMAGED
from bpfree.errors import InputError
from bpfree.nets.physical.layer import layers, needed_ports
from bpfree.nets.physical.settings import PhysicalSettings
from bpfree.nets.physical.surrogate import Regressor
from bpfree.nets.physical.system import System, largest
from bpfree.training.files import write_atomically

if TYPE_CHECKING:
    from bpfree.training.data import Spec

SIZES, SEED = (100, 200, 100), 0  # of the fitted model, as in PhyLL


@settings
class Settings(PhysicalSettings):
    pairs: str = setting("acoustic_pairs.npz", "file of measured pairs; also looked for in $BPFREE_DATA_DIR")
    fit_steps: int = setting(4000, "batches of 100 pairs in the fit", ge=1)
    relative_noise: float = setting(0.05, "noise as a share of each output; 0.05 is what the recording shows", ge=0)


class Measured(System):
    """The fitted model of a real system."""

    settings: Settings  # type: ignore[assignment]

    def __init__(self, chosen: Settings):
        x, y = read_pairs(chosen.pairs)
        super().__init__(chosen, x.shape[1], y.shape[1])
        self.model, self.rows = fitted(x, y, chosen.fit_steps), len(x)
        self.add("last", self.model.last.double())

    def encode(self, x: Tensor) -> Tensor:
        return x.abs() / largest(x)

    def respond(self, e: Tensor) -> Tensor:
        return self.model(e, self.at("last", e))

    def detect(self, y: Tensor, rng: torch.Generator) -> Tensor:
        noise = torch.randn(y.shape, dtype=y.dtype, generator=rng).to(y.device)
        return y * (1 + self.settings.relative_noise * noise)

    def facts(self) -> dict[str, Any]:
        return {"fitted": {"pairs": self.rows, "r2": self.model.r2, "rmse": self.model.rmse}}


def read_pairs(name: str) -> tuple[Tensor, Tensor]:
    """Inputs and outputs in single precision. InputError: no such file, or not pairs of numbers."""
    candidates = [locations.path(name), Path(os.environ.get(locations.DATA_DIR, ".")) / name]
    path = next((file for file in candidates if file.is_file()), None)
    if path is None:
        raise InputError(f"no such file: {name}, here or in $BPFREE_DATA_DIR: give --pairs FILE.npz with x and y")
    try:
        with np.load(path, allow_pickle=False) as file:
            x, y = (torch.from_numpy(file[key]).float() for key in ("x", "y"))
    except (KeyError, *DAMAGED) as error:
        raise InputError(f"{path} does not hold arrays x and y of numbers: {error}") from None
    if x.dim() != 2 or y.dim() != 2 or len(x) != len(y) or len(x) < 100:
        raise InputError(f"{path}: x {tuple(x.shape)} and y {tuple(y.shape)}: expected at least 100 pairs of rows")
    if not (x.isfinite().all() and y.isfinite().all()):
        raise InputError(f"{path} holds NaN or infinity: all values must be finite")
    return x, y


def fitted(x: Tensor, y: Tensor, steps: int) -> Regressor:
    """The model of the pairs, from the cache folder if it was fitted before."""
    digest = hashlib.sha256(x.numpy().tobytes() + y.numpy().tobytes() + repr((SIZES, SEED, steps)).encode())
    path, model = locations.cache() / f"measured-{digest.hexdigest()[:16]}.pt", Regressor()
    if path.is_file():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model
    model.learn(x, y, SIZES, steps, SEED)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: torch.save(model.state_dict(), file))
    return model


def build(spec: "Spec", settings: Settings, *, hidden_only: bool) -> list[nn.Module]:
    """Layers for inputs of ``spec.shape``."""
    needed_ports(spec, settings)  # a wrong --ports is an error here too
    return layers(Measured(settings), spec, hidden_only)
