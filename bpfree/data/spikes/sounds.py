"""Sounds: WAV files as numbers at one rate."""

import io
import math
import warnings
from collections.abc import Iterable

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

from bpfree.errors import InputError
from bpfree.functional.cochlea import RATE

_LONGEST_S = 60  # longer ones do not fit into memory with the membrane of the model


def read_wav(content: bytes, name: str) -> tuple[np.ndarray, int]:
    """Read a mono WAV file.

    Args:
        content: bytes of the file.
        name: for messages.

    Returns:
        Samples ``(n,)`` float32, and the rate in Hz.

    Raises:
        InputError: not a WAV file, cut short, more than one channel, empty, silent, too long, or NaN or infinity in it.
    """
    try:
        with warnings.catch_warnings(record=True) as issued:
            warnings.simplefilter("always")
            rate, sound = wavfile.read(io.BytesIO(content))
    except Exception as error:  # a damaged header can raise any error
        raise InputError(f"{name} is not a WAV file, or cut short ({error})") from None
    if any("prematurely" in str(warning.message) for warning in issued):
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


def resample(sound: np.ndarray, rate: int) -> np.ndarray:
    """Resample to 48 kHz, the rate of the cochlea model.

    Args:
        sound: samples ``(n,)``.
        rate: their rate in Hz.

    Returns:
        Samples at 48 kHz.
    """
    common = math.gcd(RATE, rate)
    return sound if rate == RATE else resample_poly(sound, RATE // common, rate // common)


def rates_in_words(rates: Iterable[int]) -> str:
    """Rates of recordings in words, for example "8 kHz, resampled to 48 kHz"."""
    distinct = sorted(set(rates))
    words = " and ".join(f"{rate / 1000:g} kHz" for rate in distinct)
    return words if distinct == [RATE] else f"{words}, resampled to {RATE / 1000:g} kHz"
