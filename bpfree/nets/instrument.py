"""Instrument layers: the user's own function or process measures, each layer with a linear map.

``instrument`` is ``FILE.py:function``, called with an array ``(B, inputs)`` of values in [-1, 1] and returning ``(B,
outputs)``; or a command, which reads lines ``{"x": [[…], …]}`` from its standard input and answers each with one line
``{"y": [[…], …]}``. A measurement that fails or takes too long is repeated, with the process started anew. ``tape``
records every answer; ``replay`` takes the answers from such a recording instead of the instrument.
"""

import json
import os
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bpfree.config.settings import setting, settings
from bpfree.config.user_files import absolute, file_and_object, module_of
from bpfree.errors import InputError, RunFailed
from bpfree.nets.physical.layer import layers, needed_ports
from bpfree.nets.physical.process import Failed, Process
from bpfree.nets.physical.settings import PhysicalSettings
from bpfree.nets.physical.system import System

if TYPE_CHECKING:
    from bpfree.training.data import Spec

Measure = Callable[[np.ndarray], object]


def _absolute(instrument: str) -> str:
    """``FILE.py:function`` with the absolute path of the file; a command as it is."""
    file = _function_file(instrument)
    return absolute(instrument) if file else instrument


def _function_file(instrument: str) -> tuple[Path, str] | None:
    """File and function of ``FILE.py:function``; None: a command, which may end in .py as well."""
    file = file_and_object(instrument)
    return file if file and file[1] else None


@settings
class Settings(PhysicalSettings):
    instrument: str = setting(
        "", "FILE.py:function, or a command that reads and writes lines of JSON", absolute=_absolute
    )
    outputs: int | None = setting(None, "number of values that it returns (none: as many as inputs)", ge=1)
    timeout_s: float = setting(10.0, "longest wait for an answer of a process", unit="s", gt=0)
    retries: int = setting(2, "number of times that a failed measurement is repeated", ge=0)
    tape: str | None = setting(None, "file to record every answer in", absolute=os.path.abspath)
    replay: str | None = setting(
        None, "recording to take the answers from, instead of the instrument", absolute=os.path.abspath
    )


class Instrument(System):
    """System behind a Python function, a process or a recording.

    Args:
        settings: of the net.
        inputs: number of values that it takes.
    """

    simulated = False
    differentiable = False
    settings: Settings  # type: ignore[assignment]

    def __init__(self, settings: Settings, inputs: int):
        super().__init__(settings, inputs, settings.outputs or inputs)
        if bool(settings.instrument) == bool(settings.replay):
            raise InputError("give one of instrument (FILE.py:function or a command) and replay (a recording)")
        self.process: Process | None = None
        self.request = self._connect()

    def _connect(self) -> Measure:
        """Choose the source of the answers."""
        settings = self.settings
        if settings.replay is not None:
            return from_recording(Path(settings.replay))
        if file := _function_file(settings.instrument):
            return from_function(*file)
        process = self.process = Process(settings.instrument)

        def measure(x: np.ndarray) -> object:
            line = process.ask(json.dumps({"x": x.tolist()}), settings.timeout_s)
            try:
                return json.loads(line)["y"]
            except (ValueError, KeyError, TypeError):
                raise Failed(f"its answer is not a line of JSON with y: {line.strip()[:60]!r}") from None

        return measure

    def respond(self, e: Tensor) -> Tensor:
        x, why = e.double().cpu().numpy(), ""
        for attempt in range(self.settings.retries + 1):
            if attempt:
                self.costs.repeats += len(x)
            try:
                y = self._checked(x, self.request(x))
                break
            except Failed as failure:
                why = str(failure)
        else:
            attempts = self.settings.retries + 1
            raise InputError(f"the instrument gave no valid answer in {attempts} attempts; the last error: {why}")
        if self.settings.tape is not None:
            record_answer(Path(self.settings.tape), x, y)
        return torch.from_numpy(y).to(e)

    def _checked(self, x: np.ndarray, answer: object) -> np.ndarray:
        """Convert an answer to an array ``(B, outputs)``.

        Raises:
            Failed: another shape, values that are not finite, or the same values for different inputs.
        """
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


def record_answer(tape: Path, x: np.ndarray, y: np.ndarray) -> None:
    """Append an answer to a recording.

    Args:
        tape: the recording.
        x: inputs ``(B, inputs)``.
        y: answer ``(B, outputs)``.

    Raises:
        RunFailed: the file cannot be written.
    """
    try:
        with tape.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"x": x.tolist(), "y": y.tolist()}) + "\n")
    except OSError as error:
        raise RunFailed(f"could not write the tape {tape}: {error.strerror or error}") from error


def from_function(file: Path, name: str) -> Measure:
    """Load the function of an instrument.

    Args:
        file: a Python file.
        name: of the function.

    Returns:
        The function; an exception in it becomes `Failed`, so that the measurement is repeated.

    Raises:
        InputError: the file has no such function.
    """
    function = getattr(module_of(file, "instrument", "FILE.py:function"), name, None)
    if not callable(function):
        raise InputError(f"{file} has no function {name!r}: give FILE.py:function")

    def measure(x: np.ndarray) -> object:
        try:
            return function(x)
        except (Exception, SystemExit) as error:  # an instrument that exits does not end the training
            raise Failed(f"{name} raised {type(error).__name__}: {error}") from error

    return measure


def from_recording(path: Path) -> Measure:
    """Answers from a recording: for equal inputs in the order in which they were recorded.

    Raises:
        InputError: no recording; or, when measuring, inputs that are not in it.
    """
    known: dict[bytes, deque] = defaultdict(deque)
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            pair = json.loads(line)
            known[np.array(pair["x"], dtype=np.float64).tobytes()].append(pair["y"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot replay {path}: expected lines of JSON with x and y ({error})") from None

    def measure(x: np.ndarray) -> object:
        outputs = known.get(x.tobytes())
        if not outputs:
            raise InputError(f"{path} holds no answer for these inputs: replay the recorded run with the same settings")
        return outputs.popleft()

    return measure


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
    return layers(Instrument(settings, needed_ports(spec, settings)), spec, hidden_only)
