"""Trials: one process's part of a search.

Each worker takes the next trial; a trial whose worker was killed is noticed by its missing heartbeat and tried again
with the same values; the search is over when the wanted number of trials is complete.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.trial import TrialState

from bpfree.config.settings import Option
from bpfree.errors import Diverged
from bpfree.runs.meters import meter_for
from bpfree.runs.plan import Plan, plan
from bpfree.studies.options import TuneOptions
from bpfree.studies.sampler import SpreadSampler
from bpfree.studies.space import suggest
from bpfree.studies.storage import no_experimental_warnings
from bpfree.training.data import Data
from bpfree.training.device import pick_device
from bpfree.training.loop import Loop
from bpfree.training.random_streams import derive
from bpfree.training.signals import stop_on_signals
from energy.readings import whole

DONE = (TrialState.COMPLETE, TrialState.PRUNED)
PRUNED, SUPERFLUOUS = "pruned: worse than the median of the trials before", "superfluous"
_TAKEN_OVER = ("Cannot tell a", "has already finished")  # Optuna's words for a trial that others gave up


class SearchWorker:
    """Trains trial after trial, each without test data.

    Args:
        search: Optuna's, in its storage.
        base: plan whose settings are searched.
        data: without a test part.
        space: name -> declaration of each setting that is searched.
        options: of the search, of which it reads the wanted trials, the meter and the heartbeat.
        say: called with a line of progress.
    """

    def __init__(
        self,
        search: optuna.Study,
        base: Plan,
        data: Data,
        space: Mapping[str, Option],
        options: TuneOptions,
        say: Callable[[str], None],
    ):
        self.search, self.base, self.data, self.space = search, base, data, space
        self.options, self.say = options, say
        self.stop_reason = ""
        self.loop: Loop | None = None  # of the latest trial

    def go(self) -> str:
        """Trial after trial until enough are complete; ``finished``, or ``stopped`` by a signal.

        Waits for the trials of other workers, and takes over those of dead ones.
        """
        with stop_on_signals(self.stop):
            return self._go()

    def stop(self, reason: str) -> None:
        """End the search after this batch; the trial that is cut will be tried again.

        Args:
            reason: in words.
        """
        self.stop_reason = reason
        if self.loop is not None:
            self.loop.stop(reason)

    def _go(self) -> str:
        waited = False
        while not self.stop_reason:
            states = [trial.state for trial in self.search.get_trials(deepcopy=False)]
            done, running = sum(state in DONE for state in states), states.count(TrialState.RUNNING)
            if done >= self.options.trials:
                return "finished"
            with no_experimental_warnings():
                if done + running >= self.options.trials:
                    if not waited:
                        self.say(f"waiting for {running} trials of other workers, or for them to count as dead")
                    waited = True
                    time.sleep(self.options.heartbeat_s / 2)
                    optuna.storages.fail_stale_trials(self.search)
                    continue
                self.search.sampler = self._sampler(len(states), alone=not running)
                try:
                    self.search.optimize(self._trial, n_trials=1, catch=(_GivenUp,))
                except (ValueError, optuna.exceptions.UpdateFinishedTrialError) as error:
                    if not any(words in str(error) for words in _TAKEN_OVER):
                        raise
                    self.say("a trial of this worker counted as dead, and was tried again")
        return "stopped"

    def _sampler(self, trial: int, alone: bool) -> SpreadSampler:
        """Seeded, so that a search is repeatable; workers at the same time draw different values."""
        seed = self.base.loop_settings.seed
        tpe_seed = derive(seed, self.search.study_name, trial, 0 if alone else os.getpid())
        return SpreadSampler(seed, tpe_seed % 2**32)

    def _trial(self, trial: optuna.Trial) -> float:
        """One training; its best validation metric."""
        earlier = self.search.get_trials(deepcopy=False, states=(*DONE, TrialState.RUNNING))
        if sum(other.number < trial.number for other in earlier) >= self.options.trials:
            trial.set_user_attr("ended", SUPERFLUOUS)  # two workers saw the same last place
            raise _GivenUp(SUPERFLUOUS)
        values = {name: suggest(trial, option) for name, option in self.space.items()}
        loop = self._train(trial, values)
        if loop.stop_reason == PRUNED:
            trial.set_user_attr("ended", PRUNED)
            raise optuna.TrialPruned(PRUNED)
        if loop.stop_reason:
            self.stop_reason = loop.stop_reason
            self.search.enqueue_trial(values)
            raise _GivenUp(loop.stop_reason)
        assert loop.value is not None
        best = max((*self._values(), loop.value), key=lambda value: value if self.data.spec.maximize else -value)
        reached = f"{self.data.spec.metric} {loop.value:.4g} (best {best:.4g})"
        self.say(f"trial {trial.number}: {reached} with {_text(values)}")
        return loop.value

    def _train(self, trial: optuna.Trial, values: Mapping[str, Any]) -> Loop:
        """Train with some settings, and keep the cost with the trial. TrialPruned: the training diverged."""
        config = {key: value for key, value in self.base.config.items() if key not in ("algo", "data", "net")}
        trial_plan = plan(self.base.cls, self.base.data, self.base.net, {**config, **values})
        same_data = trial_plan.data_settings == self.base.data_settings
        data = self.data if same_data else without_test(trial_plan.load_data())
        trainer, callbacks = trial_plan.build(), [*trial_plan.callbacks(), ReportToOptuna(trial)]
        began_s = time.perf_counter()
        meter = meter_for(self.options.meter, pick_device(trial_plan.loop_settings.device), None, None)
        loop = self.loop = Loop(trainer, data, settings=trial_plan.loop_settings, meter=meter, callbacks=callbacks)
        if self.stop_reason:  # a signal came before there was a loop
            loop.stop(self.stop_reason)
        try:
            loop.run()
        except Diverged as error:
            trial.set_user_attr("ended", str(error))
            raise optuna.TrialPruned(str(error)) from None
        finally:
            meter.close()
            cost = {"train_s": loop.cursor.train_s, "wall_s": time.perf_counter() - began_s}
            cost |= {"data_passes": loop.data_passes, **whole(meter.readings().values())}
            trial.set_user_attr("cost", cost)
        return loop

    def _values(self) -> list[float]:
        """The values of the complete trials."""
        complete = self.search.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [trial.value for trial in complete if trial.value is not None]


class ReportToOptuna:
    """Callback that tells Optuna the validation metric after every epoch, and stops a trial that is pruned."""

    def __init__(self, trial: optuna.Trial):
        self.trial = trial

    def on_epoch(self, loop: Loop) -> None:
        """Report the epoch's validation metric."""
        self.trial.report(loop.history[-1]["val"], loop.cursor.epochs)
        if self.trial.should_prune():
            loop.stop(PRUNED)


class _GivenUp(Exception):
    """This worker gives its trial up; it is not counted."""


def without_test(data: Data) -> Data:
    """The data without their test part: what is not there cannot be read."""
    return dataclasses.replace(data, test=None)


def _text(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
    )
