"""An open NVML: calls that answer in words, the boards, their power, and the state that colours their energy.

It stays open for the life of the process, as a driver that unloads resets its counters.
"""

import os
from collections.abc import Callable
from typing import Any

from energy.labels import EnergyError
from energy.sources.visible import WHOLE_BOARDS, Board

_FIELD_INSTANT_POWER = 186
_WORDS = {
    3: "not supported by this board or driver",
    4: "no permission",
    9: "the NVIDIA driver is not loaded",
    12: "the library libnvidia-ml.so.1 was not found",
    13: "this driver's library has no such call",
    15: "the GPU is lost (it fell off the bus or was reset)",
    18: "library and driver have different versions",
}
_THROTTLE = {
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
_NO_LIBRARY, _NO_FUNCTION = 12, 13
_DRIVER = "/proc/driver/nvidia"


class NoGpu(EnergyError):
    """There is no NVIDIA GPU here, neither library nor driver, so that no component is lacking."""


class Session:
    """An open NVML.

    Args:
        nvml: the module pynvml or a double.

    Raises:
        NoGpu: there is no NVIDIA GPU here.
        EnergyError: there is one, but NVML does not start.
    """

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml
        try:
            nvml.nvmlInit()
        except Exception as error:
            bare = getattr(error, "value", None) == _NO_LIBRARY and not os.path.exists(_DRIVER)
            raise (NoGpu if bare else EnergyError)(_words(error)) from error
        self.driver = _text(self.ask("nvmlSystemGetDriverVersion"))

    def must(self, name: str, *args: Any) -> Any:
        """Call NVML.

        Args:
            name: of its function.
            args: its arguments.

        Raises:
            EnergyError: NVML refuses; says why in words.
        """
        try:
            return getattr(self.nvml, name)(*args)
        except Exception as error:  # an old library or module raises others than NVMLError
            raise EnergyError(_words(error)) from error

    def ask(self, name: str, *args: Any) -> Any:
        """Call NVML; returns None when it refuses.

        Args:
            name: of its function.
            args: its arguments.
        """
        try:
            return self.must(name, *args)
        except EnergyError:
            return None

    def boards(self) -> list[Board]:
        """Every board, in NVML's (PCI bus) order; one that is lost or forbidden says so."""
        return [self._board(index) for index in range(self.must("nvmlDeviceGetCount"))]

    def _board(self, index: int) -> Board:
        try:
            handle = self.must("nvmlDeviceGetHandleByIndex", index)
        except EnergyError as error:
            return Board(index, None, "", "", str(error))
        name, uuid = (_text(self.ask(call, handle)) or "" for call in ("nvmlDeviceGetName", "nvmlDeviceGetUUID"))
        mig = self.ask("nvmlDeviceGetMigMode", handle)
        return Board(index, handle, name, uuid, f"a board cut into MIG slices {WHOLE_BOARDS}" if mig and mig[0] else "")

    def is_module(self, handle: Any) -> bool:
        """True for a GPU that shares a module with a CPU (Grace-Hopper), whose counter is that of the whole module."""
        return bool(getattr(self.ask("nvmlDeviceGetC2cModeInfoV", handle), "isC2cEnabled", False))

    def power(self, handle: Any) -> Callable[[], float]:
        """Function that reads the board's power in W.

        It reads the instant field where there is one, else the plain value, which on Ampere (but GA100) and newer is
        the mean of a second.
        """

        def instant() -> float:
            field = self.must("nvmlDeviceGetFieldValues", handle, [_FIELD_INSTANT_POWER])[0]
            if field.nvmlReturn != 0:
                raise EnergyError(f"NVML: {_WORDS.get(field.nvmlReturn, 'the power field is refused')}")
            return field.value.uiVal / 1e3

        def plain() -> float:
            return self.must("nvmlDeviceGetPowerUsage", handle) / 1e3

        fields = self.ask("nvmlDeviceGetFieldValues", handle, [_FIELD_INSTANT_POWER])
        return instant if fields and fields[0].nvmlReturn == 0 else plain

    def snapshot(self, handle: Any) -> dict[str, Any]:
        """State of a board that colours its energy: temperature, clocks, limits, throttling, processes on it."""
        reasons = self.ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
        limit_mw = self.ask("nvmlDeviceGetEnforcedPowerLimit", handle)
        persistence = self.ask("nvmlDeviceGetPersistenceMode", handle)
        processes = self.ask("nvmlDeviceGetComputeRunningProcesses", handle)
        if processes is None:  # before driver 510
            processes = self.ask("nvmlDeviceGetComputeRunningProcesses_v2", handle)
        return {
            "temperature_c": self.ask("nvmlDeviceGetTemperature", handle, 0),
            "sm_clock_mhz": self.ask("nvmlDeviceGetClockInfo", handle, 1),
            "power_limit_w": None if limit_mw is None else limit_mw / 1e3,
            "persistence_mode": None if persistence is None else bool(persistence),
            "throttling": None if reasons is None else [word for bit, word in _THROTTLE.items() if reasons & bit],
            "pids": None if processes is None else sorted(process.pid for process in processes),
        }


def module() -> Any:
    """Import pynvml, the module of the package nvidia-ml-py.

    Raises:
        NoGpu: it is not installed, and there is no NVIDIA driver.
        EnergyError: it is not installed beside a driver, or is the old package of the same name.
    """
    try:
        import pynvml  # type: ignore[import-untyped]
    except ImportError as error:
        kind = EnergyError if os.path.exists(_DRIVER) else NoGpu
        raise kind("NVML needs the package nvidia-ml-py: pip install nvidia-ml-py") from error
    if not hasattr(pynvml, "_nvmlGetFunctionPointer"):
        raise EnergyError("an old package pynvml hides nvidia-ml-py: pip uninstall pynvml, then install nvidia-ml-py")
    return pynvml


def _words(error: Exception) -> str:
    """An error of NVML in plain words."""
    if type(error).__name__ == "NVMLLibraryMismatchError":
        return f"NVML: {_WORDS[_NO_FUNCTION]}"
    value = getattr(error, "value", None)
    named = _WORDS.get(value) if isinstance(value, int) else None
    return f"NVML: {named or str(error) or type(error).__name__}"


def _text(value: str | bytes | None) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
