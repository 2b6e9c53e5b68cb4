"""Counter-current learning against the closed-form gradients of arXiv 2409.19841, in numpy and float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from plain import Array, cross_entropy, one_hot, softmax
from small import digits, fit, loop_of, make, ready, tiny
from step import arrays, data_of, one_step, values_of

from bpfree.data.reconstruction import reconstruction
from bpfree.errors import InputError
from bpfree.functional import counter_current as pairs
from bpfree.rules.counter_current import CounterCurrent
from bpfree.training.data import Data
from bpfree.training.memory import LiveMemory
from bpfree.training.trainer import Batch

CLOSE = {"rtol": 0, "atol": 1e-12}
B, N, C = 12, 7, 3
X, Y = arrays(B, N, C)
T = one_hot(Y, C)
HIDDEN = (6, 5, 4)
LEVELS = len(HIDDEN) + 1
SCALE, SPREAD = 0.5, 0.5
FREE: dict[str, Any] = {"hidden": HIDDEN, "clip": None}  # nothing between the gradient and the step


def elu(z: Array) -> Array:
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def slope(z: Array) -> Array:
    return np.where(z > 0, 1.0, np.exp(np.minimum(z, 0)))


def raw_loss(a: Array, b: Array, t: Array = T) -> float:
    return float(256 * SCALE / a.shape[1] * ((a @ b.T - t) ** 2).mean())


def raw_gradients(a: Array, b: Array, t: Array = T) -> tuple[Array, Array]:
    """dL/da, dL/db = (2 s / n) E b, (2 s / n) E^T a with n = B C and s = 256 C_scale / d."""
    e = (a @ b.T - t) * (2 * 256 * SCALE / a.shape[1] / t.size)
    return e @ b, e.T @ a


def rows(m: Array) -> Array:
    return m / np.sqrt((m**2).sum(1, keepdims=True))


def normalised_loss(a: Array, b: Array) -> float:
    a, b = rows(a), rows(b)
    apart = ((a @ a.T - np.eye(len(a))) ** 2).mean() + ((b @ b.T - np.eye(len(b))) ** 2).mean()
    return float(SCALE * ((a @ b.T - T) ** 2).mean() + SPREAD * apart)


def normalised_gradients(a: Array, b: Array) -> tuple[Array, Array]:
    """gA = (2 s / n) E B + (4 S / B^2) (A A^T - I) A, then dL/da = (gA - rowsum(gA * A) A) / |a|; b likewise."""
    at, bt = rows(a), rows(b)
    e = (at @ bt.T - T) * (2 * SCALE / T.size)
    found = []
    for m, unit, cross in ((a, at, e @ bt), (b, bt, e.T @ at)):
        g = cross + 4 * SPREAD / len(m) ** 2 * (unit @ unit.T - np.eye(len(m))) @ unit
        along = (g * unit).sum(1, keepdims=True)
        found.append((g - along * unit) / np.sqrt((m**2).sum(1, keepdims=True)))
    return found[0], found[1]


Gradients = Callable[[Array, Array], tuple[Array, Array]]


def by_hand(before: dict[str, Array], gradients: Gradients, depth: int = LEVELS) -> dict[str, Array]:
    """The gradient of every weight from its own level alone."""
    u = [before[f"blocks.{k}.1.weight"] for k in range(depth)]
    v = [before[f"feedback.{k}.1.weight"] for k in range(depth)]
    a, z = [X], [X]
    for k in range(depth):
        z.append(a[-1] @ u[k].T)
        a.append(elu(z[-1]) if k < depth - 1 else z[-1])
    b, y = [np.eye(C)], [np.eye(C)]
    for k in reversed(range(depth)):
        y.insert(0, b[0] @ v[k].T)
        b.insert(0, elu(y[0]) if k else y[0])
    grads = {f"blocks.{depth - 1}.1.weight": ((softmax(a[-1]) - T) / B).T @ a[-2]}
    for level in range(depth):
        da, db = gradients(a[level], b[level])
        if level:
            grads[f"blocks.{level - 1}.1.weight"] = (da * slope(z[level])).T @ a[level - 1]
        grads[f"feedback.{level}.1.weight"] = (db * (slope(y[level]) if level else 1)).T @ b[level + 1]
    return grads


LOSSES: dict[str, tuple[Callable[[Array, Array], float], Gradients]] = {
    "raw": (raw_loss, raw_gradients),
    "normalised": (normalised_loss, normalised_gradients),
}
WITHIN = {"raw": CLOSE, "normalised": {"rtol": 0, "atol": 1e-6}}  # the code adds 1e-8 to lengths of 0.02 and more


@pytest.mark.parametrize("kind", LOSSES)
def test_update_is_the_hand_gradient(kind: str):
    """Every U_l and V_l moves by the gradient of its own level, taken at activations from before the step."""
    before, moved, _ = one_step("counter-current", X, Y, **FREE, pair_loss=kind)
    grads = by_hand(before, LOSSES[kind][1])
    assert grads.keys() == moved.keys()
    for name, grad in grads.items():
        np.testing.assert_allclose(moved[name], grad, **WITHIN[kind], err_msg=name)


@pytest.mark.parametrize("kind", LOSSES)
def test_closed_form_equals_finite_differences(kind: str):
    """Central differences of a smooth loss: error h^2 from the third derivative, rounding eps / h; h = 1e-5."""
    loss, gradients = LOSSES[kind]
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(B, 5)), rng.normal(size=(C, 5))
    for which, grad in enumerate(gradients(a, b)):
        for i, j in ((0, 0), (1, 3), (2, 4)):
            step = np.zeros_like((a, b)[which])
            step[i, j] = 1e-5
            up, down = (loss(*((a + s, b) if which == 0 else (a, b + s))) for s in (step, -step))
            assert (up - down) / 2e-5 == pytest.approx(grad[i, j], abs=1e-7)


def test_mean_loss_is_that_of_all_levels():
    before, _, losses = one_step("counter-current", X, Y, hidden=(6,), clip=None)
    u, v = ([before[f"{net}.{k}.1.weight"] for k in range(2)] for net in ("blocks", "feedback"))
    a1, b1 = elu(X @ u[0].T), elu(np.eye(C) @ v[1].T)
    expected = [raw_loss(X, b1 @ v[0].T), raw_loss(a1, b1), cross_entropy(a1 @ u[1].T, Y)]
    assert losses["None"] == pytest.approx(np.mean(expected), abs=1e-12)


def batch_and_trainer(data: Data | None = None, **values: Any) -> tuple[CounterCurrent, Batch]:
    trainer = make("counter-current", **values)
    assert isinstance(trainer, CounterCurrent)
    loop = loop_of(trainer, data or data_of(X, Y), precision="fp64")
    return trainer, loop.evaluator.prepare(loop.evaluator.cast(ready(loop)))


def trained_by_level(trainer: CounterCurrent, batch: Batch) -> list[set[str]]:
    """The parameters that each level's loss, alone, gives a gradient to."""
    found = []
    for loss in trainer.losses(batch):
        loss.backward()
        found.append({name for name, p in trainer.named_parameters() if p.grad is not None})
        trainer.zero_grad()
    return found


PAIRED = [
    {"feedback.0.1.weight"},
    {"blocks.0.1.weight", "feedback.1.1.weight"},
    {"blocks.1.1.weight", "feedback.2.1.weight"},
    {"blocks.2.1.weight", "feedback.3.1.weight"},
    {"blocks.3.1.weight"},
]


@pytest.mark.parametrize("kind", LOSSES)
def test_a_pair_trains_one_layer_of_each_net_and_the_output_only_the_last(kind: str):
    assert trained_by_level(*batch_and_trainer(**FREE, pair_loss=kind)) == PAIRED


def test_feedback_is_over_the_prototypes():
    """b_l has C rows whatever the batch, from the identity at the top to the shape of an input at the bottom."""
    trainer, _ = batch_and_trainer(**FREE)
    shapes = [tuple(b.shape) for b in trainer.descend(torch.eye(C, dtype=torch.float64))]
    assert shapes == [(C, C), (C, 4), (C, 5), (C, 6), (C, N)]


def test_the_pair_of_the_input_moves_no_other_weight():
    """All but V_1 takes the same step for any V_1."""
    steps = []
    for factor in (1.0, 3.0):
        trainer = make("counter-current", **FREE, optimizer="sgd", epochs=1, batch_size=B)
        loop = loop_of(trainer, data_of(X, Y), precision="fp64")
        trainer.feedback[0][1].weight.data *= factor
        before = values_of(trainer)
        loop.run()
        after = values_of(trainer)
        steps.append({name: before[name] - after[name] for name in before})
    assert steps[0].keys() == {name for level in PAIRED for name in level}
    for name in steps[0].keys() - {"feedback.0.1.weight"}:
        np.testing.assert_array_equal(steps[0][name], steps[1][name], err_msg=name)


def test_each_net_is_clipped_by_its_own_norm():
    before, moved, _ = one_step("counter-current", X, Y, hidden=HIDDEN, clip=0.5, feedback_clip=0.01)
    grads = by_hand(before, raw_gradients)
    for net, limit in (("blocks", 0.5), ("feedback", 0.01)):
        mine = [name for name in grads if name.startswith(net)]
        norm = np.sqrt(sum((grads[name] ** 2).sum() for name in mine))
        assert norm > limit
        for name in mine:
            np.testing.assert_allclose(moved[name], grads[name] * (limit / norm), **CLOSE, err_msg=name)


def test_gradients_are_centralised_before_the_clip():
    before, moved, _ = one_step("counter-current", X, Y, hidden=HIDDEN, clip=0.1, centralise=True)
    grads = {name: g - g.mean(1, keepdims=True) for name, g in by_hand(before, raw_gradients).items()}
    norm = np.sqrt(sum((g**2).sum() for name, g in grads.items() if name.startswith("blocks")))
    name = "blocks.1.1.weight"
    np.testing.assert_allclose(moved[name], grads[name] * min(1, 0.1 / norm), **CLOSE)


def test_the_feedback_net_has_a_rate_of_its_own():
    before, moved, _ = one_step("counter-current", X, Y, **FREE, feedback_lr=0.25)
    grads = by_hand(before, raw_gradients)
    for name, grad in grads.items():
        np.testing.assert_allclose(moved[name], grad * (0.25 if "feedback" in name else 1), **CLOSE, err_msg=name)


@pytest.mark.parametrize("kind", LOSSES)
def test_flooding_takes_fitted_samples_out_of_the_pairs_but_not_out_of_the_mean(kind: str):
    """Fitted: 1 - p(its class) is below the threshold. Such a row is zero; its cross-entropy stays."""
    start, _, _ = one_step("counter-current", X, Y, **FREE)
    a = X
    for k in range(LEVELS):
        a = a @ start[f"blocks.{k}.1.weight"].T
        a = elu(a) if k < LEVELS - 1 else a
    miss = 1 - softmax(a)[np.arange(B), Y]
    flood = float(np.median(miss))
    open_ = miss >= flood
    assert 0 < open_.sum() < B

    def flooded(a: Array, b: Array) -> tuple[Array, Array]:
        if kind == "raw":
            da, db = raw_gradients(a * open_[:, None], b)
            return da * open_[:, None], db
        da, db = np.zeros_like(a), np.zeros_like(b)
        at, bt = rows(a) * open_[:, None], rows(b)
        e = (at @ bt.T - T) * (2 * SCALE / T.size)
        for m, unit, cross, out in ((a, at, e @ bt, da), (b, bt, e.T @ at, db)):
            g = cross + 4 * SPREAD / len(m) ** 2 * (unit @ unit.T - np.eye(len(m))) @ unit
            out += (g - (g * unit).sum(1, keepdims=True) * unit) / np.sqrt((m**2).sum(1, keepdims=True))
        return da * open_[:, None], db

    before, moved, _ = one_step("counter-current", X, Y, **FREE, pair_loss=kind, flood=flood)
    for name, grad in by_hand(before, flooded).items():
        np.testing.assert_allclose(moved[name], grad, **WITHIN[kind], err_msg=name)


def test_fixed_feedback_leaves_the_forward_gradients_as_they_are():
    before, moved, _ = one_step("counter-current", X, Y, **FREE, feedback="fixed")
    for name, grad in by_hand(before, raw_gradients).items():
        np.testing.assert_allclose(moved[name], 0 * grad if "feedback" in name else grad, **CLOSE, err_msg=name)
    assert set(make_owners(feedback="fixed")) == {"forward"}


def make_owners(**values: Any) -> dict:
    return batch_and_trainer(**FREE, **values)[0].owners()


def test_without_stop_gradient_every_loss_reaches_the_layers_below():
    """Two layers: dU_1 = dL_1 plus what the cross-entropy hands down; V as before, its own stop stays."""
    before, moved, _ = one_step("counter-current", X, Y, hidden=(6,), clip=None, stop_gradient=False)
    grads = by_hand(before, raw_gradients, depth=2)
    u0, u1 = (before[f"blocks.{k}.1.weight"] for k in range(2))
    z = X @ u0.T
    grads["blocks.0.1.weight"] += (((softmax(elu(z) @ u1.T) - T) / B) @ u1 * slope(z)).T @ X
    for name, grad in grads.items():
        np.testing.assert_allclose(moved[name], grad, **CLOSE, err_msg=name)


class Naive(CounterCurrent):
    """Squared error between a sample's activation and the feedback of its own class, from the first hidden level up."""

    def pair(self, level, a, b, target, batch):
        return (a - target @ b.flatten(1)).square().mean() if level else super().pair(level, a, b, target, batch)


def spread_of_features(trainer: CounterCurrent, batch: Batch) -> float:
    """Standard deviation over samples of a unit of the last hidden level, on average."""
    h = batch.x
    for block in trainer.blocks[:-1]:
        h = block(h)
    return h.std(0).mean().item()


def test_naive_pairs_collapse_and_contrasted_ones_do_not():
    data, values = (
        digits(1000, 200, 500),
        {"hidden": (40,) * 4, "epochs": 3, "batch_size": 25, "lr_schedule": "constant"},
    )
    kept = fit("counter-current", data, **values)
    trainer = Naive(**values)
    collapsed = loop_of(trainer, data)
    collapsed.run()
    batch = next(data.test.batches(500))
    with torch.no_grad():
        assert spread_of_features(trainer, batch) < 0.25 * spread_of_features(kept.trainer, batch)
    assert kept.evaluate(data.test) > 0.7
    assert collapsed.evaluate(data.test) < 0.3


def test_prediction_is_the_forward_nets_logits_alone():
    trainer, batch = batch_and_trainer(**FREE)
    a = X
    for k in range(LEVELS):
        a = a @ values_of(trainer)[f"blocks.{k}.1.weight"].T
        a = elu(a) if k < LEVELS - 1 else a
    with torch.no_grad():
        first = trainer.predict(batch)
        for p in trainer.feedback.parameters():
            p.fill_(9.0)
        np.testing.assert_allclose(first.numpy(), a, **CLOSE)
        assert trainer.predict(batch).equal(first)


def growth(depth: int, rows: int) -> int:
    """Bytes live at most in a step, less the gradients of all weights, which the clip needs together."""
    trainer = make("counter-current", hidden=(64,) * depth, batch_size=rows)
    loop = loop_of(trainer, tiny(256), device="meta")
    loop.rule = trainer.settings
    batch = ready(loop)
    loop.cursor.steps = 1  # the first step of a run looks at the losses, and may wait for that
    loop.learn(batch)
    with LiveMemory() as memory:
        loop.learn(batch)
    return memory.peak - sum(p.nbytes for p in trainer.parameters())


def test_activations_of_one_level_live_at_a_time():
    """Each further layer of 64 units adds its prototypes, 3 (C, 64) tensors and the like, and no (256, 64) one."""
    a_layer = (growth(16, 256) - growth(4, 256)) / 12
    assert a_layer < 6 * 10 * 64 * 4 < 256 * 64 * 4


# Maps ---------------------------------------------------------------------------------------------------------------


def images(channels: int, size: int, seed: int = 1) -> Data:
    x, y = arrays(6, channels * size * size, C, seed)
    return data_of(x.reshape(6, channels, size, size), y)


CNN = {"net": "cnn", "channels": (4, 5), "clip": None, "batch_size": 6}
ENCODER = {"net": "autoencoder", "encoder": (3, 4), "clip": None, "batch_size": 6, "pair_scale": 1.0}


def test_a_convolutional_step_is_that_of_plain_torch():
    """Pairs after the pool, feedback by upsampling and convolution, normalised losses: written out once more."""
    data = images(2, 8)
    trainer, batch = batch_and_trainer(data, **CNN)
    assert trainer.pair_loss == "normalised"
    u1, u2, u3 = (p.detach().requires_grad_() for p in trainer.blocks.parameters())
    v1, v2, v3 = (p.detach().requires_grad_() for p in trainer.feedback.parameters())
    up = torch.nn.Upsample(scale_factor=2)
    b2 = F.elu(v3).T.reshape(3, 5, 2, 2)  # the identity through V_3
    b1 = F.elu(F.conv2d(up(b2.detach()), v2, padding=1))
    b0 = F.conv2d(up(b1.detach()), v1, padding=1)
    a1 = F.max_pool2d(F.elu(F.conv2d(batch.x, u1, padding=1)), 2)
    a2 = F.max_pool2d(F.elu(F.conv2d(a1.detach(), u2, padding=1)), 2)
    t = F.one_hot(batch.y, C).double()
    total = F.cross_entropy(a2.detach().flatten(1) @ u3.T, batch.y)
    for a, b in ((batch.x, b0), (a1, b1), (a2, b2)):
        ra, rb = F.normalize(a.flatten(1)), F.normalize(b.flatten(1))
        total = total + 0.5 * F.mse_loss(ra @ rb.T, t)
        total = total + 0.5 * (
            F.mse_loss(ra @ ra.T, torch.eye(6).double()) + F.mse_loss(rb @ rb.T, torch.eye(3).double())
        )
    total.backward()
    for loss in trainer.losses(batch):
        loss.backward()
    for p, mine in zip(trainer.parameters(), (u1, u2, u3, v1, v2, v3), strict=True):
        torch.testing.assert_close(p.grad, mine.grad, rtol=0, atol=1e-7)  # 1e-8 is added to lengths


def test_map_pair_is_two_squared_errors():
    """Of the maps, and of the maps less their mean over their length."""
    rng = np.random.default_rng(5)
    a, b = (rng.normal(size=(2, 3, 4, 5)) for _ in range(2))

    def unit(m: Array) -> Array:
        m = m - m.mean((2, 3), keepdims=True)
        return m / np.sqrt((m**2).sum((2, 3), keepdims=True))

    expected = ((a - b) ** 2).mean() + ((unit(a) - unit(b)) ** 2).mean()
    assert pairs.map_pair(torch.from_numpy(a), torch.from_numpy(b)).item() == pytest.approx(expected, abs=1e-7)


def test_flat_maps_and_zero_rows_have_finite_gradients():
    a, b = torch.zeros(4, 3, 2, 2, requires_grad=True), torch.ones(4, 3, 2, 2, requires_grad=True)
    flat = [m.flatten(1) for m in (a, b)]
    (pairs.map_pair(a, b) + pairs.normalised_pair(*flat, torch.eye(4), 1.0, 1.0)).backward()
    assert a.grad.isfinite().all()
    assert b.grad.isfinite().all()


def test_an_autoencoders_levels_meet_one_by_one():
    """h * error at the ends and h * map_pair between, b from the target image through the mirrored net."""
    trainer, batch = batch_and_trainer(reconstruction(images(2, 8)), **ENCODER)
    with torch.no_grad():
        for block in trainer.feedback[:1] + trainer.blocks[-1:]:
            block[-1].weight.normal_()  # it begins at zero
    levels = trainer.descend(batch.x)[::-1]
    assert [tuple(b.shape[1:]) for b in levels] == [(2, 8, 8), (3, 4, 4), (4, 2, 2), (3, 4, 4), (2, 8, 8)]
    a, expected = batch.x, [8 * F.mse_loss(batch.x, levels[0])]
    for block, b, height in zip(trainer.blocks, levels[1:-1], (4, 2, 4), strict=False):
        a = block(a)
        expected.append(height * pairs.map_pair(a, b))
    expected.append(8 * F.mse_loss(trainer.blocks[-1](a), batch.x))
    losses = [loss.item() for loss in trainer.losses(batch)]
    assert losses == pytest.approx([loss.item() for loss in expected], abs=1e-12)


def test_an_autoencoders_pair_trains_one_layer_of_each_net():
    names = trained_by_level(*batch_and_trainer(reconstruction(images(2, 8)), **ENCODER))
    assert names == [
        {"feedback.0.1.weight"},
        {"blocks.0.0.weight", "feedback.1.1.weight"},
        {"blocks.1.0.weight", "feedback.2.0.weight"},
        {"blocks.2.1.weight", "feedback.3.0.weight"},
        {"blocks.3.1.weight"},
    ]


def test_flooding_and_pair_losses_for_classes_are_refused_for_images():
    for values in ({"flood": 0.1}, {"pair_loss": "raw"}):
        with pytest.raises(InputError, match="flood and pair_loss are for classes"):
            batch_and_trainer(reconstruction(images(2, 8)), **ENCODER, **values)


def test_a_net_without_maps_is_refused_for_images():
    with pytest.raises(InputError, match="use --net autoencoder"):
        batch_and_trainer(reconstruction(images(2, 8)), hidden=(5,), batch_size=6)
