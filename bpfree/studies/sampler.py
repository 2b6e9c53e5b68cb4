"""The sampler of a search: points that fill the ranges evenly and are the same for every rule, then TPE."""

from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial

from bpfree.training.random_streams import derive

SPREAD = 10  # trials that fill the ranges before TPE learns from them
_REPEATED = "fixed_params"  # Optuna's mark of a trial that repeats another's values


class SpreadSampler(optuna.samplers.TPESampler):
    """TPE after `SPREAD` trials of a Latin hypercube.

    Each setting takes a value in every tenth of its range, in an order that follows from ``seed`` and its name alone,
    whatever else is searched and by however many workers: no rule has better luck with its points than another.

    Args:
        seed: of the hypercube.
        tpe_seed: of TPE, below 2**32.
    """

    def __init__(self, seed: int, tpe_seed: int):
        super().__init__(seed=tpe_seed, constant_liar=True)
        self.seed = seed

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value for one setting of a trial; Optuna calls it, with its own names of the arguments."""
        fresh = [t for t in study.get_trials(deepcopy=False) if _REPEATED not in t.system_attrs]
        number = sum(other.number < trial.number for other in fresh)
        if number >= SPREAD:
            return super().sample_independent(study, trial, param_name, param_distribution)
        draws = np.random.default_rng(derive(self.seed, "search", param_name))
        tenth, within = draws.permutation(SPREAD)[number], draws.random(SPREAD)[number]
        return value_at((tenth + within) / SPREAD, param_distribution)


def value_at(share: float, distribution: Any) -> Any:
    """The value below which a share of a range lies.

    Args:
        share: 0 up to, not including, 1.
        distribution: Optuna's: an integer or float range, linear or logarithmic, or choices.
    """
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(share * len(distribution.choices))]
    low, high = distribution.low, distribution.high
    half = 0.5 if isinstance(distribution, IntDistribution) else 0.0  # an integer stands for what rounds to it
    ends = np.array([low - half, high + half])
    weights = [1 - share, share]
    value = float(np.exp(np.log(ends) @ weights) if distribution.log else ends @ weights)
    return int(np.clip(round(value), low, high)) if half else float(np.clip(value, low, high))
