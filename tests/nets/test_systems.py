"""Physical systems: what they compute, what they keep to themselves, how they change, what they count."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from small import fit, loop_of, make, tiny

from bpfree import nets
from bpfree.errors import InputError
from bpfree.nets.physical.layer import PhysicalLayer
from bpfree.nets.physical.system import System
from bpfree.training.data import Spec

SIMULATED = ("optics", "acoustic", "microwave", "random-features")
QUIET = {
    "optics": {"photons": None, "read_noise": 0.0, "adc_bits": None},
    "acoustic": {"relative_noise": 0.0, "floor_noise": 0.0},
    "microwave": {"relative_noise": 0.0},
    "random-features": {},
}


def layer_of(net: str, inputs: int = 6, **values) -> PhysicalLayer:
    """The first layer of a net for ``inputs`` numbers."""
    build, settings = nets.net(net)
    spec = Spec("numbers", (inputs,), 3, None, "classification", "accuracy", True, "", "")
    return build(spec, settings(**{"hidden": (inputs, inputs), "bypass": "none", **values}), hidden_only=True)[0]


def system_of(net: str, inputs: int = 6, **values) -> System:
    return layer_of(net, inputs, **values).external


def quiet(net: str, inputs: int = 6, **values) -> System:
    return system_of(net, inputs, **{**QUIET[net], **values})


def inputs_of(system: System, rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, system.inputs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# A black box ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", SIMULATED)
def test_autograd_cannot_reach_the_input(net: str):
    """Neither through the system itself nor through a layer of it, whose linear map does learn."""
    layer = layer_of(net)
    x = inputs_of(layer.external, 4).float().requires_grad_()
    assert not layer.external.measure(x).requires_grad
    layer(x).sum().backward()
    assert x.grad is None
    assert layer.linear.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("net", SIMULATED)
def test_a_system_exposes_no_parameters(net: str):
    assert [name for name, _ in layer_of(net).named_parameters()] == ["linear.weight", "linear.bias"]
    assert not [key for key, value in vars(system_of(net)).items() if isinstance(value, torch.nn.Parameter)]


@pytest.mark.parametrize("net", ["optics", "acoustic", "microwave"])
def test_noise_is_fresh_at_every_call_and_goes_on_from_a_saved_state(net: str):
    system, other = system_of(net), system_of(net)
    x = inputs_of(system, 5)
    first = system.measure(x)
    assert not system.measure(x).equal(first)
    other.load_state_dict(system.state_dict())
    assert other.measure(x).equal(system.measure(x))


def test_calls_are_counted_by_purpose_and_saved():
    system, other = system_of("optics"), system_of("optics")
    system.measure(inputs_of(system, 5), "train")
    system.measure(inputs_of(system, 3))
    other.load_state_dict(system.state_dict())
    assert other.report()["physical_calls"] == {"train": 5, "inference": 3}


def test_random_features_count_as_digital_work():
    system = system_of("random-features", 6, outputs=10)
    system.measure(inputs_of(system, 5), "train")
    assert system.report()["physical_calls"] == {"train": 0, "inference": 0}
    assert system.report()["digital_macs"] == {"train": 5 * 6 * 10, "inference": 0}


# What they compute ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["amplitude", "phase"])
@pytest.mark.parametrize("detector", ["modulus", "intensity"])
def test_optics_is_scattering_and_detection(encoding: str, detector: str):
    system = quiet("optics", 6, outputs=4, pool=2, encoding=encoding, detector=detector)
    x, t = inputs_of(system, 5), system.scatter["T"].numpy()
    a = x.numpy() / np.abs(x.numpy()).max(1, keepdims=True)
    field = (np.exp(1j * np.pi * a) if encoding == "phase" else a) @ t.T
    y = (np.abs(field) ** (1 if detector == "modulus" else 2)).reshape(5, 4, 2).mean(2)
    np.testing.assert_allclose(system.measure(x).numpy(), y, rtol=1e-12)


def test_speckle_of_a_random_medium_has_the_contrast_of_theory():
    """std/mean of |T E|^2 is 1 (exponential), of |T E| sqrt(4/pi - 1) (Rayleigh); 200,000 samples: to 1 %."""
    for detector, expected in (("intensity", 1.0), ("modulus", (4 / np.pi - 1) ** 0.5)):
        y = quiet("optics", 64, outputs=2000, detector=detector).measure(torch.randn(100, 64))
        contrast = (y.std(1) / y.mean(1)).mean().item()
        assert contrast == pytest.approx(expected, rel=0.01)


def test_kerr_stages_make_the_answer_depend_on_the_power_pattern():
    """Computed by hand: one scattering, a phase in proportion to the intensity, the last scattering."""
    system = quiet("optics", 5, kerr_stages=1, kerr_phase=2.0)
    x = inputs_of(system, 3)
    a = x.numpy() / np.abs(x.numpy()).max(1, keepdims=True)
    field = a @ system.scatter["T0"].numpy().T
    power = np.abs(field) ** 2
    field = field * np.exp(2j * power / power.mean(1, keepdims=True))
    np.testing.assert_allclose(system.measure(x).numpy(), np.abs(field @ system.scatter["T"].numpy().T), rtol=1e-12)


def test_shot_noise_has_the_variance_of_counting():
    """Variance for y of mean 1: Var = y / photons; 20,000 draws: the ratio to 10 %."""
    system = quiet("optics", 6, photons=50.0)
    x = inputs_of(system, 1)
    clean = quiet("optics", 6).measure(x)
    unit = clean.mean()
    draws = system.measure(x.expand(20_000, -1)) / unit
    ratio = draws.var(0) / (clean[0] / unit / 50)
    np.testing.assert_allclose(ratio.numpy(), 1, atol=0.1)


def test_the_camera_has_so_many_levels():
    system = quiet("optics", 200, adc_bits=3, full_scale=4.0)
    x = inputs_of(system, 1)
    levels = system.measure(x) / quiet("optics", 200).measure(x).mean() / (4 / 7)
    np.testing.assert_allclose(levels, levels.round(), atol=1e-9)
    assert 3 <= len(levels.round().unique()) <= 8


def test_a_cavity_without_membranes_is_linear_but_for_detection():
    """y = |sum_s T_f,ms x_sf| of the row |x| / ||x||; input tones*source+tone, output tones*microphone+tone."""
    system = quiet("acoustic", 20, kappa=0.0)
    x = inputs_of(system, 4)
    drive = (x.abs() / x.norm(dim=1, keepdim=True)).numpy().reshape(4, 4, 5)
    amplitude = np.einsum("fms,bsf->bmf", system.scatter["T"].numpy(), drive)
    np.testing.assert_allclose(system.measure(x).numpy(), np.abs(amplitude).reshape(4, 20), rtol=1e-12)


def test_a_membrane_makes_the_third_order_products_of_trigonometry():
    """(a cos w1 t + b cos w2 t)^3 has 3/4 a^2 b at 2 w1 - w2 and 3/4 a^3 + 3/2 a b^2 at w1."""
    system = quiet("acoustic", 12, sources=4, kappa=0.5)  # three tones, equally spaced
    a, b = 0.7, 0.4
    driven = torch.zeros(1, 1, 3, dtype=torch.complex128)
    driven[0, 0, 1], driven[0, 0, 2] = a, b
    response = system.membrane(driven)[0, 0].numpy()
    expected = [0.75 * a**2 * b, 0.75 * a**3 + 1.5 * a * b**2, 0.75 * b**3 + 1.5 * b * a**2]
    np.testing.assert_allclose(response, 0.5 * np.array(expected), atol=1e-12)


def test_membranes_add_about_one_per_cent():
    """Measured level of intermodulation in the real cavity: 0.5 to 2 % of the output."""
    with_them, without = quiet("acoustic", 20), quiet("acoustic", 20, kappa=0.0)
    x = inputs_of(with_them, 400).abs()
    change = (with_them.measure(x) - without.measure(x)).square().mean().sqrt() / without.measure(x).mean()
    assert 0.005 < change.item() < 0.02


def test_the_reduced_cavity_is_the_whole_one():
    """V[rx, tx] of the full W, with the elements as the bits switch them, for 6 inputs and 3 frequencies."""
    from bpfree.nets.microwave import OFF, ON

    system = quiet("microwave", 6, outputs=3)
    x = inputs_of(system, 4)
    bits = system.encode(x)
    measured = system.measure(x).numpy()
    for row in range(4):
        kinds = [*system.scene.fixed, *(ON if bit else OFF for bit in bits[row].tolist())]
        for i, f in enumerate((0.9, 1.0, 1.1)):
            w = system.scene.interaction(f, kinds)
            s21 = w[1, 1] * np.linalg.inv(w)[1, 0]
            assert measured[row, i] == pytest.approx(abs(s21), rel=1e-9)


def test_bits_follow_the_thresholds():
    """Row scaled to 0..1: <= 0 -> 00, (0, .25] -> 01, (.25, .75] -> 10, > .75 -> 11."""
    bits = quiet("microwave", 6).encode(torch.tensor([[0.0, 0.2, 0.25, 0.5, 0.76, 1.0]]) * 8 - 3)
    assert bits.view(6, 2).tolist() == [[0, 0], [0, 1], [0, 1], [1, 0], [1, 1], [1, 1]]


def test_bits_interact():
    """Many bounces: what two elements change together is not what they change one by one."""
    system = quiet("microwave", 6)
    rows = torch.zeros(4, 12, dtype=torch.float64)
    rows[1, 3] = rows[2, 4] = rows[3, 3] = rows[3, 4] = 1
    off, one, other, both = system.respond(rows)
    assert ((both - one - other + off).abs() / (both - off).abs()).max() > 1e-3


# How they change ------------------------------------------------------------------------------------------------------


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a.conj() * b).sum().abs() / a.norm() / b.norm()).item()


def test_drift_forgets_as_its_law_says():
    """Correlation (1 - eps^2)^(n/2) after n batches; 40,000 entries: to 0.01."""
    system = quiet("optics", 200, drift=0.1)
    before = system.scatter["T"].clone()
    for _ in range(50):
        system.tick()
    assert correlation(before, system.scatter["T"]) == pytest.approx((1 - 0.01) ** 25, abs=0.01)
    assert system.scatter["T"].abs().square().mean().item() * 200 == pytest.approx(1, rel=0.02)


def test_a_sudden_change_comes_once_at_its_time():
    system = quiet("optics", 200, hit=0.2, hit_at=3)
    before = system.scatter["T"].clone()
    seen = []
    for _ in range(5):
        system.tick()
        seen.append(correlation(before, system.scatter["T"]))
    assert seen[:2] == pytest.approx([1, 1])
    assert seen[2:] == pytest.approx([0.8**0.5] * 3, abs=0.01)


def test_a_change_reaches_the_measurements_and_is_saved():
    system, fresh = (quiet("optics", 30, hit=0.5, hit_at=1) for _ in range(2))
    x = inputs_of(system, 2)
    before = system.measure(x)
    system.tick()
    assert not system.measure(x).equal(before)
    fresh.load_state_dict(system.state_dict())
    assert fresh.measure(x).equal(system.measure(x))


def test_gains_wander_with_their_deviation():
    """ln of the ratio to the steady answer: standard deviation 0.05 over 2,000 outputs, 3 % of it is its own error."""
    system, steady = (
        quiet("optics", 6, outputs=2000, gain_drift=0.05, gain_batches=5.0),
        quiet("optics", 6, outputs=2000),
    )
    x = inputs_of(system, 1)
    for _ in range(20):
        system.tick()
    assert (system.measure(x) / steady.measure(x)).log().std().item() == pytest.approx(0.05, rel=0.1)


def test_dead_outputs_read_zero():
    y = quiet("optics", 6, outputs=50, dead=0.2).measure(inputs_of(quiet("optics", 6), 4))
    assert (y == 0).all(0).sum() == 10


# Stand-ins for the baselines ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", ["optics", "acoustic", "random-features"])
def test_the_oracle_gradient_is_that_of_finite_differences(net: str):
    system = quiet(net, 6, route="oracle")
    x = inputs_of(system, 1)
    weights = torch.linspace(0.3, 1, system.outputs, dtype=torch.float64)
    moving = x.clone().requires_grad_()
    (system.gradient_path(moving) @ weights).sum().backward()
    for i in range(system.inputs):
        step = torch.zeros_like(x)
        step[0, i] = 1e-6
        change = (system.measure(x + step) - system.measure(x - step)) @ weights / 2e-6
        assert moving.grad[0, i].item() == pytest.approx(change.item(), abs=1e-6)


@pytest.mark.parametrize("net", SIMULATED)
def test_a_run_in_bfloat16_asks_the_system_in_full_precision(net: str):
    layer, x = layer_of(net, **QUIET[net]), torch.rand(4, 6).bfloat16()
    expected = layer.sense(x.float())
    with torch.autocast("cpu", torch.bfloat16):
        sensed = layer.sense(x)
    assert sensed.dtype == torch.float32
    assert torch.equal(sensed, expected)


@pytest.mark.parametrize("route", ["oracle", "physics-aware"])
def test_forwards_is_measured_whatever_the_gradient(route: str):
    values = {**QUIET["acoustic"], "surrogate_steps": 3, "surrogate_pairs": 20}
    layer, blind = (layer_of("acoustic", 8, route=r, **values) for r in (route, "blind"))
    h = torch.randn(5, 8, requires_grad=True)
    assert torch.allclose(layer.sense(h), blind.sense(h), atol=1e-6)
    layer.sense(h).sum().backward()
    assert h.grad.abs().sum() > 0


def test_in_silico_trains_without_the_system_and_is_tested_on_it():
    layer = layer_of("acoustic", 8, route="in-silico", surrogate_steps=3, surrogate_pairs=20)
    layer(torch.randn(5, 8))
    assert layer.external.report()["physical_calls"] == {"train": 0, "inference": 0}
    layer.eval()(torch.randn(5, 8))
    assert layer.external.report()["physical_calls"] == {"train": 0, "inference": 5}


def test_a_surrogate_costs_what_it_takes():
    """Pairs measured; 3 multiply-adds a weight and row of each batch of 100, one a held-out row and one a use."""
    layer = layer_of("acoustic", 8, route="in-silico", surrogate_steps=7, surrogate_pairs=50)
    layer(torch.randn(5, 8))
    weights = 8 * 100 + 100 * 100 + 100 * 8
    surrogate = layer.external.report()["surrogate"]
    assert (surrogate["physical_calls"], surrogate["digital_macs"]) == (50, weights * (7 * 100 * 3 + 5 + 5))


def test_a_surrogate_learns_the_system():
    system = quiet("acoustic", 8, route="physics-aware", surrogate_steps=600)
    system.gradient_path(torch.randn(1, 8))
    assert system.surrogate.r2 > 0.8


# Nets of them ---------------------------------------------------------------------------------------------------------

WRONG = {
    "a bypass needs as many outputs as inputs, the system has 6 in and 5 out: use --bypass none": (
        "optics",
        {"outputs": 5, "bypass": "beside"},
    ),
    "ports = 3 is not valid: the layers put 6 values into the system": ("optics", {"ports": 3}),
    "no gradient that an oracle could use": ("microwave", {"route": "oracle"}),
    "drift and hit apply to simulated systems": ("random-features", {"hit": 0.1}),
    "hidden is empty": ("optics", {"hidden": ()}),
    "no such file: nowhere.npz": ("measured", {"pairs": "nowhere.npz"}),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_does_not_fit_is_refused(message: str):
    net, values = WRONG[message]
    with pytest.raises(InputError, match=message):
        layer_of(net, **values)


def test_no_inner_step_is_refused():
    with pytest.raises(InputError, match=r"inner_steps = 0 is not valid: expected >= 1"):
        make("physical-ff", net="optics", inner_steps=0)


@pytest.mark.parametrize("algo", ["physical-ff", "reservoir"])
def test_rules_of_physical_nets_refuse_others(algo: str):
    with pytest.raises(InputError, match="choose --net optics, acoustic, instrument"):
        loop_of(make(algo, hidden=(8,), net="mlp"), tiny())


def test_other_rules_train_the_linear_maps_too():
    """Mono-Forward on a physical net: local heads, measured inputs."""
    loop = fit("mono-forward", tiny(), net="optics", hidden=(12, 12), epochs=2, batch_size=8)
    assert loop.external[0].report()["physical_calls"]["train"] == 2 * 2 * 22


def test_noise_drift_and_counts_resume_exactly(tmp_path: Path):
    """Stopped within an epoch and resumed: the same weights, the same box, the same counts as never stopped."""
    from bpfree.training.run_folder import CONFIG, RunFolder

    class Stop:
        def on_batch(self, loop) -> None:
            if loop.cursor.steps == 5:
                loop.stop("asked to")

    def run(path=None, resume=False, callbacks=()):
        values = {"net": "optics", "bypass": "none", "hidden": (12, 12), "epochs": 3, "batch_size": 8, "keep": "best"}
        values |= {"drift": 0.1, "gain_drift": 0.05, "hit": 0.3, "hit_at": 4}
        folder = None
        if path is not None:
            folder = RunFolder(path, resume)
            (path / CONFIG).touch()
        loop = loop_of(make("physical-ff", **values), tiny(), seed=3, folder=folder, callbacks=callbacks)
        loop.run()
        if folder is not None:
            folder.close()
        return loop

    unbroken = run()
    run(tmp_path / "run", callbacks=[Stop()])
    resumed = run(tmp_path / "run", resume=True)
    for name, tensor in unbroken.trainer.state_dict().items():
        assert tensor.equal(resumed.trainer.state_dict()[name]), name
    assert resumed.external[0].scatter["T"].equal(unbroken.external[0].scatter["T"])
    assert resumed.external[0].report() == unbroken.external[0].report()
    assert resumed.scores(resumed.data.test)[0].equal(unbroken.scores(unbroken.data.test)[0])


def test_the_best_state_does_not_bring_the_past_of_the_box_back():
    values = {"net": "optics", "bypass": "none", "hidden": (12,), "epochs": 3, "batch_size": 22, "keep": "best"}
    loop = fit("physical-ff", tiny(), **values, drift=0.3, lr=1e-9)
    assert loop.early.epoch < 3
    assert loop.external[0].drift.clock == 3


PAIRS = Path(os.environ.get("BPFREE_DATA_DIR", Path(__file__).parents[3] / "shared" / "data")) / "acoustic_pairs.npz"


@pytest.mark.skipif(not PAIRS.is_file(), reason="acoustic_pairs.npz is not here: the measured pairs are not embedded")
def test_the_measured_cavity_is_fitted_once_and_says_how_well(tmp_path: Path, monkeypatch):
    """600 batches are enough for an R2 of 0.9 on the pairs held out; the second time it comes from the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = system_of("measured", 12, pairs=str(PAIRS), fit_steps=600, relative_noise=0.0)
    fit = first.report()["fitted"]
    assert (first.inputs, first.outputs, fit["pairs"]) == (20, 20, 10_000)
    assert fit["r2"] > 0.9
    assert [path.name[:9] for path in (tmp_path / "bpfree").iterdir()] == ["measured-"]
    monkeypatch.setattr("bpfree.nets.physical.surrogate.Regressor.learn", None)
    again = system_of("measured", 12, pairs=str(PAIRS), fit_steps=600, relative_noise=0.0)
    x = inputs_of(first, 3)
    assert again.measure(x).equal(first.measure(x))


def test_measured_pairs_can_be_ones_own(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    x = np.random.default_rng(0).random((200, 5))
    np.savez(tmp_path / "own.npz", x=x, y=x @ np.ones((5, 3)))
    system = system_of("measured", 5, pairs=str(tmp_path / "own.npz"), fit_steps=5)
    assert (system.inputs, system.outputs) == (5, 3)


def test_pairs_that_are_none_are_refused(tmp_path: Path):
    np.savez(tmp_path / "bad.npz", x=np.zeros((200, 5)), y=np.zeros((100, 5)))
    with pytest.raises(InputError, match="expected at least 100 pairs of rows"):
        system_of("measured", 5, pairs=str(tmp_path / "bad.npz"))
