"""Settings that the Forward-Forward rules of fully connected layers share: goodness and its logit."""

from typing import Literal

from bpfree.config.settings import setting, settings
from bpfree.training.trainer import RuleSettings


@settings
class GoodnessSettings(RuleSettings):
    goodness: Literal["sum", "mean"] = setting("sum", "sum or mean of squared activities")
    threshold: float | None = setting(None, "theta; none: the layer's width for sum, 2 for mean", ge=0)
    temperature: float = setting(1.0, "T of the logit (g - theta) / T", gt=0)
