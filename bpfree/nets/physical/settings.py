"""Settings that every net of physical layers has."""

from typing import Literal

from pydantic import PositiveInt

from bpfree.config.settings import setting, settings


@settings
class PhysicalSettings:
    hidden: tuple[PositiveInt, ...] = setting((20, 20), "outputs of the linear map of each layer, all positive")
    bypass: Literal["beside", "none", "only"] = setting(
        "beside", "the linear map sees the measurement and its input, the measurement alone, or (no physics) the input"
    )
    route: Literal["blind", "in-silico", "physics-aware", "oracle"] = setting(
        "blind",
        "how gradients pass the system: not at all; training on a fitted surrogate in its place; measured forwards and "
        "the surrogate's gradient; the simulator's own gradient (a control)",
    )
    ports: int | None = setting(None, "inputs of the system (none: as many as the layers need)", ge=1)
    system_seed: int = setting(0, "which specimen of the system: seed of everything random in it", ge=0)
    drift: float = setting(0.0, "eps: each training batch, T <- sqrt(1 - eps^2) T + eps G, G a fresh draw", ge=0, le=1)
    hit: float = setting(0.0, "p of a sudden change: T <- sqrt(1 - p) T + sqrt(p) G", ge=0, le=1)
    hit_at: int = setting(0, "training batch after which the sudden change comes", unit="batches", ge=0)
    gain_drift: float = setting(0.0, "standard deviation of the logarithm of each output's gain", ge=0)
    gain_batches: float = setting(100.0, "time over which gains are forgotten", unit="batches", gt=0)
    dead: float = setting(0.0, "share of the outputs that always read 0", ge=0, lt=1)
    surrogate_pairs: int = setting(2000, "measured pairs that a surrogate is fitted to", ge=10)
    surrogate_steps: int = setting(2000, "batches of 100 pairs in the fit of a surrogate", ge=1)
