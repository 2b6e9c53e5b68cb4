"""Short sounds in the layout of the Free Spoken Digit Dataset, for tests."""

import io
import tarfile
import wave
from pathlib import Path

import numpy as np


def wav(sound: np.ndarray, rate: int = 8000, channels: int = 1) -> bytes:
    """A 16-bit WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((channels, 2, rate, 0, "NONE", ""))
        out.writeframes(np.asarray(sound).astype("<i2").tobytes())
    return file.getvalue()


def tone(hz: float, seconds: float = 0.04, rate: int = 8000) -> np.ndarray:
    return 8000 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def digits(speakers: int = 3, of_each: int = 7, numbers: int = 2) -> dict[str, bytes]:
    """Recordings of tones, a pitch a digit; a speaker's are all a little higher, and each is a little longer."""
    return {
        f"{digit}_{'abcdef'[s]}_{i}.wav": wav(tone(400 * (1 + digit) + 20 * s, 0.03 + 0.001 * i))
        for digit in range(numbers)
        for s in range(speakers)
        for i in range(of_each)
    }


def folder(root: Path, files: dict[str, bytes]) -> Path:
    place = root / "recordings"
    place.mkdir(parents=True)
    for name, content in files.items():
        (place / name).write_bytes(content)
    return place


def archive(root: Path, files: dict[str, bytes]) -> Path:
    place = root / "fsdd_recordings.tar.xz"
    with tarfile.open(place, "w:xz", preset=0) as out:
        for name, content in files.items():
            member = tarfile.TarInfo(f"recordings/{name}")
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return place
