"""Measured layers: a model fitted to recorded pairs, such as PhyLL's acoustic cavity, each with a linear map.

``pairs`` is an .npz file with ``x (N, n)``, amplitudes >= 0, and ``y (N, m)``, the measurements. Inputs are scaled to
``|x| / max|x|``, so that they stay within the range of the recording. The error of the fit on held-out pairs goes into
the record; the fit is kept in the cache folder. Drift and a sudden change act on the weights of its last layer. The
recording of PhyLL: Momeni, Rahmani, Malléjac, del Hougne, Fleury, arXiv 2304.11042.
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
from bpfree.data.verification import DAMAGED
from bpfree.errors import InputError
from bpfree.nets.physical.layer import layers, needed_ports
from bpfree.nets.physical.settings import PhysicalSettings
from bpfree.nets.physical.surrogate import Regressor
from bpfree.nets.physical.system import System, largest
from bpfree.training.files import write_atomically

if TYPE_CHECKING:
    from bpfree.training.data import Spec

SIZES, SEED = (100, 200, 100), 0  # widths of the fitted model, as in PhyLL, and its seed


def _absolute(pairs: str) -> str:
    """The absolute path of a file that is here; a name that is looked up in $BPFREE_DATA_DIR as it is."""
    path = locations.path(pairs)
    return os.path.abspath(path) if path.is_file() else pairs


@settings
class Settings(PhysicalSettings):
    pairs: str = setting(
        "acoustic_pairs.npz", "file of measured pairs, here or in $BPFREE_DATA_DIR", absolute=_absolute
    )
    fit_steps: int = setting(4000, "batches of 100 pairs in the fit", ge=1)
    relative_noise: float = setting(0.05, "noise as a share of each output; 0.05 is what the recording shows", ge=0)


class Measured(System):
    """Model fitted to a real system."""

    settings: Settings  # type: ignore[assignment]

    def __init__(self, settings: Settings):
        x, y = read_pairs(settings.pairs)
        super().__init__(settings, x.shape[1], y.shape[1])
        self.model, self.rows = fit_or_load(x, y, settings.fit_steps), len(x)
        self.add("last", self.model.last.double())

    def encode(self, x: Tensor) -> Tensor:
        return x.abs() / largest(x)

    def respond(self, e: Tensor) -> Tensor:
        return self.model(e, self.at("last", e))

    def detect(self, y: Tensor, rng: torch.Generator) -> Tensor:
        noise = torch.randn(y.shape, dtype=y.dtype, generator=rng).to(y.device)
        return y * (1 + self.settings.relative_noise * noise)

    def details(self) -> dict[str, Any]:
        return {"fitted": {"pairs": self.rows, "r2": self.model.r2, "rmse": self.model.rmse}}


def read_pairs(name: str) -> tuple[Tensor, Tensor]:
    """Inputs and outputs in single precision.

    Raises:
        InputError: no such file, or it does not hold at least 100 pairs of finite numbers.
    """
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


def fit_or_load(x: Tensor, y: Tensor, steps: int) -> Regressor:
    """Fit the model of the pairs, or load it from the cache folder if it was fitted before.

    Args:
        x: inputs ``(N, n)``.
        y: outputs ``(N, m)``.
        steps: batches of 100 pairs.

    Returns:
        The fitted model.
    """
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
    """Build the layers around one system.

    Args:
        spec: description of the data; ``spec.shape`` is flattened.
        settings: of the net.
        hidden_only: leave out the classifier, for rules with heads of their own.

    Returns:
        Physical layers ``(B, …)`` -> ``(B, hidden_k)`` and, unless ``hidden_only``, a linear classifier.

    Raises:
        InputError: the ports or layers do not fit the system
    """
    needed_ports(spec, settings)  # a wrong --ports is an error here too
    return layers(Measured(settings), spec, hidden_only)
