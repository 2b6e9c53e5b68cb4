"""The result of a run: its metric on the test part, and the state that is kept after a stop."""

import dataclasses
import hashlib
from typing import Any

from torch import Tensor

from bpfree.data.targets import unscaled
from bpfree.functional.metrics import METRICS
from bpfree.training.loop import Loop


def tested(loop: Loop) -> tuple[dict[str, Any], tuple[Tensor, Tensor] | None]:
    """The test part, read once with the configured readout and once with each other one that the rule offers.

    Returns:
        The fields of the record's result, and the predictions with their targets, in the units of the data; nothing and
        None without a test part.
    """
    trainer, source = loop.trainer, loop.data.test
    if source is None:
        return {}, None
    metric = METRICS[loop.data.spec.metric]
    scores, y = loop.scores(source)
    test = metric(scores, y).item()
    readouts, settings = {}, trainer.settings
    for readout in trainer.readouts:
        if readout == settings.readout:
            readouts[readout] = test
            continue
        trainer.settings = dataclasses.replace(settings, readout=readout)
        try:
            readouts[readout] = loop.evaluate(source)
        finally:
            trainer.settings = settings
    sha256 = _hash(scores, loop.data.spec.classes > 0)
    target = loop.data.target
    outputs = (scores, y) if target is None else (unscaled(scores, target), unscaled(y, target))
    return {"test": test, "predictions_sha256": sha256, "readouts": readouts}, outputs


def _hash(scores: Tensor, classes: bool) -> str:
    """SHA-256 of the predicted classes as little-endian int64, or of other outputs as little-endian float32."""
    values = scores.argmax(-1).cpu().numpy().astype("<i8") if classes else scores.cpu().numpy().astype("<f4")
    return hashlib.sha256(values.tobytes()).hexdigest()


def keep_best_so_far(loop: Loop) -> None:
    """Bring a stopped run to the state that its model keeps: the best of its phase, or that of the phase before."""
    if loop.early.best_state:
        if loop.rule.keep == "best":
            loop.early.restore(loop.trainer)
    elif loop.cursor.phase > 0:
        loop.trainer.phase = loop.phases[loop.cursor.phase - 1]
