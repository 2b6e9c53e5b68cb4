"""Your own instrument: a Python function or a process that answers measurements. Layers with linear maps.

``instrument`` is ``FILE.py:function``, called with an array ``(B, inputs)`` of values in [-1, 1] and giving ``(B,
outputs)``; or a command, which gets lines ``{"x": [[…], …]}`` on its standard input and answers each with one line
``{"y": [[…], …]}``. A question without a good answer in time is asked again, of a process started anew. ``tape``
records every answer; ``replay`` answers from such a recording in the place of the instrument.
"""

import json
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.config.user_files import file_and_object, module_of
from bpfree.errors import InputError
from bpfree.nets.physical.layer import layers, needed_ports
from bpfree.nets.physical.process import Failed, Process
from bpfree.nets.physical.settings import PhysicalSettings
from bpfree.nets.physical.system import System

if TYPE_CHECKING:
    from bpfree.training.data import Spec

Ask = Callable[[np.ndarray], object]


@settings
class Settings(PhysicalSettings):
    instrument: str = setting("", "FILE.py:function, or a command that speaks lines of JSON")
    outputs: int | None = setting(None, "values that it gives (none: as many as inputs)", ge=1)
    timeout_s: float = setting(10.0, "longest wait for an answer of a process", unit="s", gt=0)
    retries: int = setting(2, "how often a question is asked again", ge=0)
    tape: str | None = setting(None, "file that every answer is recorded to")
    replay: str | None = setting(None, "recording to take the answers from, in place of the instrument")


class Instrument(System):
    """Whatever stands on the bench."""

    simulated = False
    differentiable = False
    settings: Settings  # type: ignore[assignment]

    def __init__(self, chosen: Settings, inputs: int):
        super().__init__(chosen, inputs, chosen.outputs or inputs)
        if bool(chosen.instrument) == bool(chosen.replay):
            raise InputError("give one of instrument (FILE.py:function or a command) and replay (a recording)")
        self.process: Process | None = None
        self.ask = self._answers()

    def _answers(self) -> Ask:
        chosen = self.settings
        if chosen.replay is not None:
            return replayed(Path(chosen.replay))
        file = file_and_object(chosen.instrument)
        if file and file[1]:  # else a command, which may end in .py as well
            return function_of(*file)
        process = self.process = Process(chosen.instrument)

        def ask(x: np.ndarray) -> object:
            line = process.ask(json.dumps({"x": x.tolist()}), chosen.timeout_s)
            try:
                return json.loads(line)["y"]
            except (ValueError, KeyError, TypeError):
                raise Failed(f"its answer is not a line of JSON with y: {line.strip()[:60]!r}") from None

        return ask

    def respond(self, e: Tensor) -> Tensor:
        x, why = e.double().cpu().numpy(), ""
        for attempt in range(self.settings.retries + 1):
            if attempt:
                self.costs.repeats += len(x)
            try:
                y = self._checked(x, self.ask(x))
                break
            except Failed as failure:
                why = str(failure)
        else:
            asked = self.settings.retries + 1
            raise InputError(f"no good answer of the instrument, asked {asked} times; the last time: {why}")
        if self.settings.tape is not None:
            with Path(self.settings.tape).open("a", encoding="utf-8") as tape:
                tape.write(json.dumps({"x": x.tolist(), "y": y.tolist()}) + "\n")
        return torch.from_numpy(y).to(e)

    def _checked(self, x: np.ndarray, answer: object) -> np.ndarray:
        """The answer as an array. Failed: another length, not finite, or the same for all of several inputs."""
        try:
            y = np.array(answer, dtype=np.float64)
        except (TypeError, ValueError):
            raise Failed("its answer is not an array of numbers") from None
        if y.shape != (len(x), self.outputs):
            raise Failed(f"its answer has shape {y.shape}, not {(len(x), self.outputs)}")
        if not np.isfinite(y).all():
            raise Failed("its answer holds NaN or infinity")
        if len(x) > 1 and (x != x[0]).any() and (y == y[0]).all():
            raise Failed("its answer is constant: the same for different inputs")
        return y


def function_of(file: Path, name: str) -> Ask:
    """The function ``name`` of a Python file."""
    found = getattr(module_of(file, "instrument", "FILE.py:function"), name, None)
    if not callable(found):
        raise InputError(f"{file} has no function {name!r}: give FILE.py:function")

    def ask(x: np.ndarray) -> object:
        try:
            return found(x)
        except (Exception, SystemExit) as error:  # an instrument that quits does not end the training
            raise Failed(f"{name} raised {type(error).__name__}: {error}") from error

    return ask


def replayed(path: Path) -> Ask:
    """Answers from a recording: to each question what was answered then, in the order of asking."""
    known: dict[bytes, deque] = defaultdict(deque)
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            pair = json.loads(line)
            known[np.array(pair["x"], dtype=np.float64).tobytes()].append(pair["y"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot replay {path}: expected lines of JSON with x and y ({error})") from None

    def ask(x: np.ndarray) -> object:
        answers = known.get(x.tobytes())
        if not answers:
            raise InputError(f"{path} holds no answer to this question: replay the run that was recorded, unchanged")
        return answers.popleft()

    return ask


def build(spec: "Spec", settings: Settings, *, hidden_only: bool) -> list[nn.Module]:
    """Layers for inputs of ``spec.shape``."""
    return layers(Instrument(settings, needed_ports(spec, settings)), spec, hidden_only)
