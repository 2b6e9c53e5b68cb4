"""Recordings: WAV files as numbers at one rate."""

import io
import math
import warnings
from collections.abc import Iterable

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

from bpfree.errors import InputError
from bpfree.functional.cochlea import RATE

_LONGEST_S = 60  # what the model of the ear can take into memory


def read_wav(content: bytes, name: str) -> tuple[np.ndarray, int]:
    """The samples ``(n,)`` of a mono WAV file, and its rate in Hz.

    Raises:
        InputError: not a WAV file, cut short, more than one channel, empty, silent, too long or with values that are no
            numbers.
    """
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            rate, sound = wavfile.read(io.BytesIO(content))
    except Exception as error:  # a damaged header raises whatever its numbers lead to
        raise InputError(f"{name} is not a WAV file, or cut short ({error})") from None
    if any("prematurely" in str(warning.message) for warning in said):
        raise InputError(f"{name} is cut short: its header promises more samples than there are")
    if sound.ndim > 1:
        raise InputError(f"{name} has {sound.shape[1]} channels: expected one (mono)")
    if rate < 1 or len(sound) < 2:
        raise InputError(f"{name} is empty: expected a recording of at least two samples")
    if len(sound) > _LONGEST_S * rate:
        raise InputError(f"{name} lasts {len(sound) / rate:.0f} s: expected at most {_LONGEST_S} s")
    sound = sound.astype(np.float32) - (128 if sound.dtype == np.uint8 else 0)
    if not np.isfinite(sound).all():
        raise InputError(f"{name} holds NaN or infinity: all samples must be finite")
    if not sound.any():
        raise InputError(f"{name} is silent: all its samples are 0")
    return sound, rate


def at_rate(sound: np.ndarray, rate: int) -> np.ndarray:
    """``sound`` at 48 kHz, where the model of the ear works."""
    common = math.gcd(RATE, rate)
    return sound if rate == RATE else resample_poly(sound, RATE // common, rate // common)


def rates(found: Iterable[int]) -> str:
    """The rates of recordings in words, for example "8 kHz, resampled to 48 kHz"."""
    said = " and ".join(f"{rate / 1000:g} kHz" for rate in sorted(set(found)))
    return said if set(found) == {RATE} else f"{said}, resampled to {RATE / 1000:g} kHz"
