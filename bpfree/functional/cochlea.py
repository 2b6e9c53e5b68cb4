"""A model of the inner ear: from sound to the spikes of bushy cells.

The chain of the Heidelberg spiking data sets (arXiv 1910.07407): a basilar membrane in shallow water (Sieroka et al.
2006), inner hair cells (Meddis 1986, 1988), and one bushy cell a place, driven by 40 nerve fibres.

Membrane, at the places c = 0 … 3.5 cm from base (high tones) to apex, from stapes to velocity v(w, c):

    xi(w,c) = S(c) - m w^2 - i w R(c),   S = c0 e^(-al c) - a,   R = r e^(-al c/2),   r = de sqrt(c0 m)
    v(w,c) = 2w/xi(w,c) p(w,c) z(w)/p(w,0),   p = sqrt(G/g) H0(G),   g(w,c) = w sqrt(rho / (h xi(w,c)))

Hair cell, V the velocity: permeability k, transmitter in the pool q, the cleft c and the store w, spike rate h c:

    k = g (V+A)/(V+A+B)      dq/dt = y (M-q) - k q + x w      dc/dt = k q - (l+r) c      dw/dt = r c - x w

Bushy cell: a leaky membrane behind a synapse that decays, refractory for 1 ms as its fibres are. Fibres that can fire
are interchangeable: the number of n that do so in a step is binomial, drawn exactly as the number of n exponential
waiting times that end before -log(1 - P).

Difference from the paper: an outer and middle ear in front, a high-pass of one pole at `MIDDLE_EAR_HZ` (0 Hz: none,
the original chain). Without it the first formant and the pitch of a voice drive every place of the membrane, and its
sibilants reach no threshold.

The hair cell's Euler step is stable for sound above 18.2 kHz, and its rates converge only at 48 kHz: resample first.
"""

from collections.abc import Iterator

import numpy as np
from scipy import fft, signal, special

RATE = 48_000  # of the sound, in Hz; the spikes are computed at half of it
LENGTH_CM = 3.5
LEVEL, RAMP_S = 0.3, 0.03
MIDDLE_EAR_HZ = 3000.0
FIBRES, REFRACTORY_S, TAU_MEMBRANE_S, TAU_SYNAPSE_S, WEIGHT = 40, 0.001, 0.001, 0.0005, 13000 / 40
_BLOCK, _TILE = 256, 64  # steps and cells that are transposed at a time
_ROWS = 8  # channels that are transformed at a time

# Membrane: Sieroka et al. 2006, in cm, g, s.
_A, _AL, _RHO, _C0, _DE, _H, _M = 3500.0, 3.0, 1.0, 1e9, 0.15, 0.1, 0.05
_R = _DE * np.sqrt(_C0 * _M)

# Hair cell: Meddis 1988, rates in 1/s.
Y, G, L, R, X, A, B, H, M = 5.05, 2000.0, 2500.0, 6580.0, 66.3, 5.0, 300.0, 50000.0, 1.0
_K0 = G * A / (A + B)
REST = M * Y * _K0 / (L * _K0 + Y * (L + R))  # transmitter in the cleft in silence


def places_cm(channels: int) -> np.ndarray:
    """Places of the channels along the membrane in cm, ``(channels,)``; the first is the base, tuned to high tones."""
    return np.linspace(0.0, LENGTH_CM, channels)


def resonance_hz(place_cm: np.ndarray) -> np.ndarray:
    """Undamped resonance of the membrane at a place, in Hz: 22.5 kHz at the base, 110 Hz at the apex."""
    return np.sqrt((_C0 * np.exp(-_AL * place_cm) - _A) / _M) / (2 * np.pi)


def prepare(sound: np.ndarray, middle_ear_hz: float = 0.0, rate: int = RATE) -> np.ndarray:
    """Filter a sound by the middle ear and scale it to root mean square 0.3, with Hann ramps at its ends.

    Args:
        sound: ``(samples,)``, not silent.
        middle_ear_hz: corner of the high-pass in Hz; 0: none.
        rate: of the sound in Hz.

    Returns:
        ``(samples,)``; the first and last 30 ms (at most a half each) are ramps.
    """
    if middle_ear_hz:
        sound = signal.lfilter(*signal.butter(1, middle_ear_hz, "highpass", fs=rate), sound)
    level = np.sqrt(np.mean(np.square(sound, dtype=np.float64)))
    scaled = sound * (LEVEL / level)
    n = min(round(RAMP_S * rate), len(sound) // 2)
    ramp = np.sin(0.5 * np.pi * (np.arange(n) + 0.5) / max(n, 1)) ** 2
    scaled[:n] *= ramp
    scaled[len(scaled) - n :] *= ramp[::-1]
    return scaled


def transfer(steps: int, channels: int, rate: int = RATE) -> np.ndarray:
    """Transfer function v(w, c) of the membrane for sounds of ``2 (steps - 1)`` samples.

    Args:
        steps: number of frequencies.
        channels: number of places along the membrane.
        rate: of the sound in Hz.

    Returns:
        ``(channels, steps)`` complex64.
    """
    w = 2 * np.pi * np.linspace(1, rate // 2, steps)
    inner = _A + _M * w**2
    q = 2 * w / _AL * np.sqrt(2 / (_H * _C0))
    z = np.sqrt(2 * _C0 / _H) * (1j * special.j0(q) + special.y0(q)) / (special.j1(q) - 1j * special.y1(q))
    g0 = w * np.sqrt(_RHO / (_H * _xi(w, 0.0)))
    top = -_AL * np.sqrt(_C0 - _A - w * (_M * w + 1j * _R))
    top = top + 1j * _AL * (2 * _A + w * (2 * _M * w + 1j * _R)) / (2 * np.sqrt(inner))

    def pressure(place: float) -> np.ndarray:
        half = np.exp(-_AL * place / 2)
        damped = 1j * _R * half
        bottom = -2 * np.sqrt(_C0 * half**2 - _A - _M * w**2 - w * damped)
        bottom = bottom + 1j * (2 * _A + w * (2 * _M * w + damped)) / np.sqrt(inner)
        log = np.log(top / (_AL / (2 * half) * bottom))
        phase = 2 * g0 / _AL - 2j * np.sqrt(2) * w / (_AL * np.sqrt(2 * _H * inner)) * log
        return np.sqrt(phase / (w * np.sqrt(_RHO / (_H * _xi(w, place))))) * special.hankel1(0, phase)

    source = z / pressure(0.0)
    out = np.empty((channels, steps), np.complex64)
    for row, place in zip(out, places_cm(channels), strict=True):
        row[:] = 2 * w / _xi(w, place) * pressure(place) * source
    return out


def _xi(w: np.ndarray, place: float) -> np.ndarray:
    """Impedance xi(w, c) of the membrane at a place in cm."""
    return _C0 * np.exp(-_AL * place) - _A - _M * w**2 - 1j * w * _R * np.exp(-_AL * place / 2)


def membrane(sounds: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Velocity of the membrane at every place, at half the rate of the sounds.

    Only the real part of the inverse transform of the one-sided spectrum is needed: that of its even half. The
    convolution is circular: pad shorter sounds with silence, at least as long as the membrane rings.

    Args:
        sounds: ``(clips, samples)``.
        response: `transfer` function ``(channels, steps)``.

    Returns:
        ``(clips, channels, steps)`` float32.
    """
    channels, steps = response.shape
    out = np.empty((len(sounds), channels, steps), np.float32)
    half = steps // 2 + 1
    for sound, velocity in zip(sounds, out, strict=True):
        spectrum = fft.rfft(sound.astype(np.float32), 2 * (steps - 1))  # (steps,) complex64
        for c in range(0, channels, _ROWS):
            one_sided = response[c : c + _ROWS] * spectrum
            even = one_sided[:, :half]
            mirrored = np.conj(one_sided[:, : steps - half : -1])
            even[:, 0] += one_sided[:, 0].conj()
            even[:, 1:] += mirrored
            velocity[c : c + _ROWS] = fft.irfft(even, steps, axis=1)
    out *= np.float32(0.5)
    return out


def hair_cells(velocity: np.ndarray, dt: float, dtype: type = np.float32) -> Iterator[np.ndarray]:
    """Probability that a fibre fires in a step; the cells begin at rest.

    Where the rates times ``dt`` stay below 1 no amount can become negative, so none needs the floor of the original.

    Args:
        velocity: ``(cells, steps)``.
        dt: length of a step in s.
        dtype: precision of the amounts.

    Yields:
        Probabilities ``(≤ 256, cells)``, block after block in time.

    Raises:
        ValueError: ``dt`` is too long for that.
    """
    if (L + R) * dt >= 1 or G * dt >= 1:
        raise ValueError(f"a step of {dt} s is unstable: sound needs a rate above {2 * (L + R):.0f} Hz")
    cells, steps = velocity.shape
    amounts: list[np.ndarray] = [np.full(cells, rest, dtype) for rest in (REST * (L + R) / _K0, REST, REST * R / X)]
    pool, cleft, store = amounts
    spare: np.ndarray = np.empty((3, cells), dtype)
    released, made, back = spare
    y, stay, again, keep, x = (dtype(rate) for rate in (Y * dt, 1 - (L + R) * dt, R * dt, 1 - X * dt, X * dt))
    for first in range(0, steps, _BLOCK):
        # the velocity is transposed tile by tile: a tile fits into the cache, a column of the whole does not
        above = np.empty((min(_BLOCK, steps - first), cells), dtype)
        for c in range(0, cells, _TILE):
            above[:, c : c + _TILE] = velocity[c : c + _TILE, first : first + _BLOCK].T
        above += dtype(A)
        np.maximum(above, dtype(0), out=above)
        k = above / (above + dtype(B))
        k *= dtype(G * dt)
        # in place, since memory bounds the speed: each row of permeabilities becomes the row of the cleft's contents
        for row in k:
            np.multiply(row, pool, out=released)
            np.subtract(dtype(M), pool, out=made)
            np.maximum(made, dtype(0), out=made)
            made *= y
            np.multiply(store, x, out=back)
            pool -= released
            pool += made
            pool += back
            np.multiply(cleft, again, out=made)
            store *= keep
            store += made
            np.multiply(cleft, stay, out=row)
            row += released
            cleft = row
        cleft = cleft.copy()  # the caller may change the block
        k *= dtype(H * dt)
        yield k


def binomial(n: int, p: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw Binomial(n, p) for every p below 1, fast where most draws are 0.

    Of n exponential waiting times those below -log(1 - p) are counted. In order, the gap between one and the next is
    exponential with mean 1/(n - i) after i of them. The first is drawn from 16 bits, which exclude it for most p; the
    remaining digits are drawn only for the others.

    Args:
        n: number of trials.
        p: probabilities of any shape.
        rng: source of the random numbers.

    Returns:
        Flat positions of the draws above 0, ascending int64, and these draws.
    """
    most = min(float(p.max(initial=0.0)), 0.999)
    steepest = -np.log1p(-most) / most if most > 0 else 1.0  # -log(1 - p) is at most this times p
    digits = np.frombuffer(rng.bytes(2 * p.size), np.uint16)
    where = np.flatnonzero(digits < p.ravel() * np.float32(n * steepest * 65536 * 1.0001))
    end = -np.log1p(-p.ravel()[where].astype(np.float64))
    over = -np.log1p(-(digits[where] + rng.random(len(where))) / 65536) / n
    hit = np.flatnonzero(over < end)
    where, end, over = where[hit], end[hit], over[hit]
    counts, running = np.ones(len(where), np.int64), np.arange(len(where))
    for left in range(n - 1, 0, -1):
        over = over + rng.standard_exponential(len(over)) / left
        more = np.flatnonzero(over < end)
        running, end, over = running[more], end[more], over[more]
        if not len(running):
            break
        counts[running] += 1
    return where, counts


def bushy_cells(
    probabilities: Iterator[np.ndarray], cells: int, dt: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of one bushy cell behind each hair cell.

    Of a cell's 40 fibres K try to fire in a step, K binomial; those that are refractory cannot. The i-th of them is one
    of the 40 - i that are left, of which some are free.

    Args:
        probabilities: blocks ``(≤ 256, cells)`` of `hair_cells`.
        cells: number of cells.
        dt: length of a step in s.
        rng: source of the random numbers.

    Returns:
        Step numbers (ascending) and cell numbers of the spikes, ``(S,)`` int64 each.
    """
    refractory = round(REFRACTORY_S / dt)
    tired: list[list[np.ndarray]] = [[]] * (refractory - 1)  # cells of the fibres that fired in the last steps
    free = np.full(cells, FIBRES, np.float32)
    v, current, driven = (np.zeros(cells, np.float32) for _ in range(3))
    open_from = np.zeros(cells, np.int32)  # step from which the cell takes input again
    leak, fade = np.float32(np.exp(-dt / TAU_MEMBRANE_S)), np.float32(np.exp(-dt / TAU_SYNAPSE_S))
    kick = np.float32(WEIGHT * dt)
    step, spike_steps, spike_cells = 0, [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for block in probabilities:
        where, counts = binomial(FIBRES, block, rng)
        tries = []  # of the i-th fibre that tries to fire: its cell, its draw, and the index at which each step begins
        for i in range(counts.max(initial=0)):
            row, cell = np.divmod(where[counts > i], cells)
            draws = rng.random(len(cell), np.float32) * np.float32(FIBRES - i)
            tries.append((cell, draws, np.searchsorted(row, np.arange(len(block) + 1)).tolist()))
        for j in range(len(block)):
            over = np.flatnonzero(v >= 1)
            v *= leak
            if len(over):
                v[over] = 0
                open_from[over] = step + refractory
                spike_steps.append(np.full(len(over), step - 1))
                spike_cells.append(over)
            current *= fade
            fired = []
            for cell, draws, first in tries:
                if first[j] < first[j + 1]:
                    part = slice(first[j], first[j + 1])
                    able = cell[part][draws[part] < free[cell[part]]]
                    free[able] -= 1
                    current[able] += kick
                    fired.append(able)
            np.multiply(current, open_from <= step, out=driven)
            v += driven
            slot = step % (refractory - 1)
            for cell in tired[slot]:
                free[cell] += 1
            tired[slot] = fired
            step += 1
    return np.concatenate(spike_steps), np.concatenate(spike_cells)
