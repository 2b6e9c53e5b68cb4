"""The model of the inner ear against closed forms, single fibres and its own equations in float64."""

import numpy as np
import pytest
from scipy import stats

from bpfree.functional import cochlea

DT = 1 / 24_000


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


@pytest.mark.parametrize("rate", [10_000, 24_000, 48_000])
def test_a_hair_cell_at_rest_fires_each_fibre_at_65_hz(rate: int):
    """M y k0 h / (l k0 + y (l + r)), k0 = g A / (A + B), at any rate, and it stays there."""
    k0 = 2000 * 5 / 305
    rest_hz = 5.05 * k0 * 50_000 / (2500 * k0 + 5.05 * (2500 + 6580))
    assert rest_hz == pytest.approx(64.77, abs=0.005)
    blocks = np.concatenate(list(cochlea.hair_cells(np.zeros((3, 1000), np.float32), 1 / rate)))
    assert blocks.shape == (1000, 3)
    np.testing.assert_allclose(blocks * rate, rest_hz, rtol=1e-4)  # float32, 1000 steps


def test_hair_cells_follow_their_equations():
    """Euler steps in float64, with the floors of the original, written out."""
    velocity = 30 * np.random.default_rng(0).standard_normal((5, 600)).astype(np.float32)
    probability = np.concatenate(list(cochlea.hair_cells(velocity, DT)))
    y, g, lost, r, x, a, b, h = 5.05, 2000.0, 2500.0, 6580.0, 66.3, 5.0, 300.0, 50_000.0
    k0 = g * a / (a + b)
    c = np.full(5, y * k0 / (lost * k0 + y * (lost + r)))
    q, w = c * (lost + r) / k0, c * r / x
    for j, v in enumerate(velocity.T.astype(np.float64)):
        k = np.where(v + a > 0, g * (v + a) / (v + a + b), 0)
        out = (
            np.maximum(0, q + y * DT * np.maximum(1 - q, 0) - k * DT * q + x * DT * w),
            np.maximum(0, c + k * DT * q - (lost + r) * DT * c),
            np.maximum(0, w + r * DT * c - x * DT * w),
        )
        q, c, w = out
        np.testing.assert_allclose(probability[j], c * h * DT, rtol=2e-4)


def test_a_step_that_would_be_unstable_is_refused():
    with pytest.raises(ValueError, match="sound needs a rate above 18160 Hz"):
        next(cochlea.hair_cells(np.zeros((1, 10), np.float32), 1 / 8000))


@pytest.mark.parametrize("p", [0.0027, 0.05, 0.4])
def test_binomial_draws_are_binomial(p: float):
    where, counts = cochlea.binomial(40, np.full((100, 1000), p, np.float32), generator())
    observed = np.bincount(np.bincount(where, counts, 100_000).astype(int), minlength=41)
    expected = stats.binom(40, np.float64(np.float32(p))).pmf(np.arange(41)) * 100_000
    often = expected > 10
    pooled = [np.append(n[often], n[~often].sum()) for n in (observed, expected)]
    assert stats.chisquare(pooled[0], pooled[1] * pooled[0].sum() / pooled[1].sum()).pvalue > 1e-3
    assert (np.diff(where) > 0).all()


def test_no_chance_draws_nothing():
    where, counts = cochlea.binomial(40, np.zeros((3, 4), np.float32), generator())
    assert len(where) == len(counts) == 0


def single_fibres(chance: np.ndarray, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Spikes of all cells in every step, with each of 40 fibres and its refractory time by itself."""
    n_ref, spikes = 24, np.zeros(len(chance), int)
    since = np.full((cells, 40), n_ref)  # steps since a fibre fired
    v, current, ref = np.zeros(cells), np.zeros(cells), np.zeros(cells)
    for j, p in enumerate(chance):
        if j > 0:
            idle = ref <= 0
            fires = idle & (v >= 1)
            v = np.where(idle & (v < 1), v * np.exp(-DT / 0.001), v)
            v[fires], ref[fires], spikes[j - 1] = 0, n_ref, fires.sum()
            current *= np.exp(-DT / 0.0005)
        fired = (since >= n_ref) & (rng.random((cells, 40), np.float32) < p)
        since = np.where(fired, 1, since + 1)
        current += fired.sum(1)
        v = np.minimum(np.where(ref <= 0, v + 325 * current * DT, v), 1)
        ref -= 1
    return spikes


def test_counting_fibres_is_the_same_as_single_fibres():
    """Spikes in 8 stretches of a varying drive, 600 and 6,000 cells: equal within counting noise."""
    chance = (0.004 + 0.02 * np.sin(np.linspace(0, 30, 480)) ** 2).astype(np.float32)
    single = single_fibres(chance, 600, np.random.default_rng(1)).reshape(8, -1).sum(1)
    blocks = iter(np.repeat(chance[:, None], 6000, 1).reshape(2, 240, 6000))
    at, _ = cochlea.bushy_cells(blocks, 6000, DT, generator(2))
    pooled = np.bincount(at, minlength=480).reshape(8, -1).sum(1) / 10
    assert single.min() > 50
    np.testing.assert_array_less(np.abs(pooled - single), 4 * np.sqrt(1.1 * single))


def test_a_silent_cell_is_nearly_quiet():
    """0.770 ± 0.016 Hz: what single fibres gave in 3,000 s (`single_fibres`, 3,000 cells)."""
    velocity = np.broadcast_to(np.float32(0), (2000, 4800))
    at, who = cochlea.bushy_cells(cochlea.hair_cells(velocity, DT), 2000, DT, generator(3))
    assert len(at) / 400 == pytest.approx(0.77, abs=4 * np.sqrt(0.77 / 400))
    assert len(np.unique(who)) > 0.8 * len(who)  # no cell does most of it


def test_resonances_run_from_22_khz_to_110_hz():
    """sqrt((c0 e^(-3c) - a) / m) / 2 pi at 0 and 3.5 cm."""
    low, high = cochlea.resonance_hz(cochlea.places_cm(2))[::-1]
    assert (high, low) == (pytest.approx(22_508, rel=1e-3), pytest.approx(110, rel=0.01))


def test_a_tone_is_felt_where_the_membrane_resonates():
    """Each of four tones moves most the place whose response to it, in the frequency domain, is the largest; and that
    place resonates at most a third of an octave above (the response peaks lower than the undamped resonance)."""
    steps, channels = 1200, 60
    response = cochlea.transfer(steps, channels)
    assert np.isfinite(response).all()
    time_s = np.arange(2 * (steps - 1)) / cochlea.RATE
    for hz in (300, 800, 2000, 4000):
        velocity = cochlea.membrane(np.sin(2 * np.pi * hz * time_s)[None], response)[0]
        place = int(np.abs(velocity[:, 400:800]).max(1).argmax())
        frequency = cochlea.resonance_hz(cochlea.places_cm(channels))[place]
        assert abs(np.log2(frequency / hz)) < 1 / 3 + 0.1, (hz, frequency)


@pytest.mark.parametrize("steps", [600, 601])
def test_the_membrane_is_one_side_of_a_transform(steps: int):
    """real(ifft(v Xf)) with the first half of the spectrum, in float64."""
    response = cochlea.transfer(steps, 10)
    sound = np.random.default_rng(0).standard_normal((2, 2 * (steps - 1)))
    expected = np.fft.ifft(response.astype(complex) * np.fft.fft(sound)[:, None, :steps], axis=2).real
    np.testing.assert_allclose(cochlea.membrane(sound, response), expected, rtol=0, atol=3e-6 * abs(expected).max())


def test_the_middle_ear_lets_tones_through_as_one_pole_does():
    """Amplitudes f/sqrt(f^2 + fc^2) of two tones: at fc one over root 2, a tenth of it a tenth; the level stays."""
    t, fc = np.arange(48_000) / cochlea.RATE, 1000.0
    prepared = cochlea.prepare(np.sin(2 * np.pi * fc * t) + np.sin(2 * np.pi * 0.1 * fc * t), fc)
    inner = prepared[4800:43_200]  # whole periods, after the ramps
    low, high = (abs(np.fft.rfft(inner)[round(f * len(inner) / cochlea.RATE)]) for f in (0.1 * fc, fc))
    assert low / high == pytest.approx((0.1 / np.sqrt(1.01)) * np.sqrt(2), rel=0.01)
    assert np.sqrt(np.mean(inner**2)) == pytest.approx(0.3, rel=0.01)


def test_level_and_ramps():
    sound = cochlea.prepare(np.full(48_000, 7.0))
    assert sound[24_000] == pytest.approx(0.3)
    assert np.flatnonzero(sound < 0.3 - 1e-9)[[0, -1]].tolist() == [0, 47_999]
    assert (sound < 0.3 - 1e-9).sum() == 2 * 1440  # 30 ms at either end
    assert sound[719] == pytest.approx(0.15, abs=0.001)  # half a Hann window is at a half in the middle
    assert np.isfinite(cochlea.prepare(np.ones(3))).all()
