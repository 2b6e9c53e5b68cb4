"""Settings of all nets with physical layers."""

from typing import Literal

from pydantic import PositiveInt

from bpfree.config.settings import setting, settings


@settings
class PhysicalSettings:
    hidden: tuple[PositiveInt, ...] = setting((20, 20), "outputs of the linear map of each layer, all positive")
    bypass: Literal["beside", "none", "only"] = setting(
        "beside", "input of the linear map: measurement and its input, measurement alone, or (no physics) input alone"
    )
    route: Literal["blind", "in-silico", "physics-aware", "oracle"] = setting(
        "blind",
        "gradients through the system: none; training on a fitted surrogate in its place; measured forwards with the "
        "surrogate's gradient; the gradient of the simulator (a control)",
    )
    ports: int | None = setting(None, "inputs of the system (none: as many as the layers need)", ge=1)
    system_seed: int = setting(0, "seed of everything random in the system: one specimen each", ge=0)
    drift: float = setting(0.0, "eps: each training batch, T <- sqrt(1 - eps^2) T + eps G, G a fresh draw", ge=0, le=1)
    hit: float = setting(0.0, "p of a sudden change: T <- sqrt(1 - p) T + sqrt(p) G", ge=0, le=1)
    hit_at: int = setting(0, "training batch after which the sudden change occurs", unit="batches", ge=0)
    gain_drift: float = setting(0.0, "standard deviation of the logarithm of each output's gain", ge=0)
    gain_batches: float = setting(100.0, "correlation time of the gains", unit="batches", gt=0)
    dead: float = setting(0.0, "share of the outputs that always read 0", ge=0, lt=1)
    surrogate_pairs: int = setting(2000, "number of measured pairs that a surrogate is fitted to", ge=10)
    surrogate_steps: int = setting(2000, "batches of 100 pairs in the fit of a surrogate", ge=1)
