"""Forward-Forward against its hand gradients (arXiv 2212.13345 and Hinton's released recipe), in numpy and float64.

With two classes the wrong label is always the other one, so that a step has nothing random in it.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain import Array, cross_entropy, one_hot, relu, rms, sigmoid, softmax, softplus
from small import digits, fit, loop_of, make
from step import arrays, data_of, one_step, values_of

from bpfree import InputError, rules
from bpfree.rules._labels import Appended, Overlay

CLOSE = {"rtol": 0, "atol": 1e-12}
B, N, C = 10, 8, 2
X, Y = arrays(B, N, C)
LENGTH = 0.3 * np.sqrt((X**2).sum(1).mean())
UNIFORM = {"negatives": "uniform", "readout": "energy", "lr": 0.01, "label_embedding": "overlay"}
EMBEDDINGS = pytest.mark.parametrize("embedding", ["overlay", "append"])


def labelled(x: Array, label: Array, embedding: str = "overlay") -> Array:
    """The label in place of the first values of every row, or in front of it, scaled by the rows' length."""
    code = np.broadcast_to(label, (len(x), label.shape[-1]))
    if embedding == "append":
        return np.hstack([code * LENGTH, x])
    return np.hstack([code, x[:, label.shape[-1] :]])


def streams(embedding: str) -> tuple[Array, Array]:
    return labelled(X, one_hot(Y, C), embedding), labelled(X, one_hot(1 - Y, C), embedding)


def by_hand(
    before: dict[str, Array],
    depth: int,
    reduction: str = "sum",
    theta=None,
    temperature=1.0,
    peer=0.0,
    embedding: str = "overlay",
) -> tuple[list[tuple[Array, Array]], list[float]]:
    """(dW, db) of the descent of every layer, as the notes have it, and its loss without the peer term.

    The factor 2 of d(a^2)/da and the 1/2 of the mean over both streams cancel; the mean form divides by n besides.
    """
    positive, negative = streams(embedding)
    grads, losses = [], []
    for k in range(depth):
        w, b = before[f"blocks.{k}.1.weight"], before[f"blocks.{k}.1.bias"]
        n = len(b)
        scale = n if reduction == "mean" else 1
        limit = theta if theta is not None else (2.0 if reduction == "mean" else n)
        dw, db, loss = np.zeros_like(w), np.zeros_like(b), []
        outputs = []
        for h, sign in ((positive, 1), (negative, -1)):
            xhat = rms(h)
            a = relu(xhat @ w.T + b)
            logit = ((a**2).sum(1) / scale - limit) / temperature
            p = sigmoid(logit)[:, None]
            increase = (1 - p) * a if sign > 0 else -p * a
            increase = increase / (temperature * scale)
            if sign > 0 and peer:
                m = 0.9 * 0.5 + 0.1 * a.mean(0)
                increase = increase + peer * (m.mean() - m)
            dw -= increase.T @ xhat / B
            db -= increase.sum(0) / B
            loss.append(softplus(-sign * logit).mean())
            outputs.append(a)
        positive, negative = outputs
        grads.append((dw, db))
        losses.append(sum(loss) / 2)
    return grads, losses


def check(moved: dict[str, Array], grads: list[tuple[Array, Array]], lr: float) -> None:
    for k, (dw, db) in enumerate(grads):
        np.testing.assert_allclose(moved[f"blocks.{k}.1.weight"] / lr, dw, **CLOSE)
        np.testing.assert_allclose(moved[f"blocks.{k}.1.bias"] / lr, db, **CLOSE)


@EMBEDDINGS
@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize(("reduction", "theta"), [("sum", None), ("sum", 3.0), ("mean", None), ("mean", 0.7)])
def test_update_is_the_hand_gradient(reduction: str, theta: float | None, temperature: float, embedding: str):
    """Positives rise by (1 - p) a, negatives fall by p a, both divided by T."""
    options = {"goodness": reduction, "threshold": theta, "temperature": temperature, "peer": 0.0, "lr": 1.0}
    options["label_embedding"] = embedding
    before, moved, _ = one_step("forward-forward", X, Y, hidden=(6, 5, 4), **{**UNIFORM, **options})
    check(moved, by_hand(before, 3, reduction, theta, temperature, embedding=embedding)[0], 1.0)


def test_loss_is_the_mean_over_both_streams():
    before, _, losses = one_step("forward-forward", X, Y, hidden=(6, 5), peer=0.0, **UNIFORM)
    np.testing.assert_allclose([losses["0"], losses["1"]], by_hand(before, 2)[1], **CLOSE)


def test_peer_normalisation_pushes_the_pre_activation_of_positives():
    """By 0.03 (mean(m) - m), ungated; m = 0.9 * 0.5 + 0.1 * mean activity of the positives, updated before use."""
    before, moved, _ = one_step("forward-forward", X, Y, hidden=(6, 5), **{**UNIFORM, "peer": 0.03, "lr": 1.0})
    check(moved, by_hand(before, 2, peer=0.03)[0], 1.0)


def test_peer_normalisation_keeps_the_running_activity_of_the_positives():
    before, moved, _ = one_step("forward-forward", X, Y, hidden=(6, 5), **UNIFORM)
    a = relu(rms(streams("overlay")[0]) @ before["blocks.0.1.weight"].T + before["blocks.0.1.bias"])
    np.testing.assert_allclose(before["activity_0"], 0.5, **CLOSE)
    np.testing.assert_allclose(before["activity_0"] - moved["activity_0"], 0.9 * 0.5 + 0.1 * a.mean(0), **CLOSE)


def test_sum_form_is_the_mean_form_with_theta_1_and_temperature_1_over_n():
    """sum, theta = n, T = 1 equals mean, theta = 1, T = 1/n: one layer, so that n is one number."""
    n = 5
    options = {**UNIFORM, "hidden": (n,), "lr": 1.0}
    _, by_sum, _ = one_step("forward-forward", X, Y, **options, goodness="sum")
    _, by_mean, _ = one_step("forward-forward", X, Y, **options, goodness="mean", threshold=1.0, temperature=1 / n)
    for name in by_sum:
        np.testing.assert_allclose(by_sum[name], by_mean[name], **CLOSE, err_msg=name)


@EMBEDDINGS
def test_readout_descends_the_cross_entropy_of_neutral_activities(embedding: str):
    """Neutral label 1/C in every place of the label; the first layer is left out; the heads are zero at first."""
    options = {"hidden": (6, 5, 4), "readout_lr": 1.0, "readout_decay": 0.0, "label_embedding": embedding}
    before, moved, losses = one_step("forward-forward", X, Y, **options)
    h, logits, seen = rms(labelled(X, np.full(C, 1 / C), embedding)), np.zeros((B, C)), {}
    for k in range(3):
        h = rms(relu(h @ before[f"blocks.{k}.1.weight"].T + before[f"blocks.{k}.1.bias"]))
        if k > 0:
            seen[k] = h
            logits = logits + h @ before[f"heads.{k}.weight"].T
    e = (softmax(logits) - one_hot(Y, C)) / B
    assert losses["readout"] == pytest.approx(cross_entropy(logits, Y), abs=1e-12)
    for k in (1, 2):
        np.testing.assert_allclose(moved[f"heads.{k}.weight"], e.T @ seen[k], **CLOSE)


@EMBEDDINGS
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("hidden", [(6,), (6, 5), (6, 5, 4)])
def test_energy_readout_is_the_goodness_of_each_candidate_label(
    hidden: tuple[int, ...], reduction: str, embedding: str
):
    """Of every layer but the first, or of the only one."""
    options = {"readout": "energy", "negatives": "uniform", "goodness": reduction, "label_embedding": embedding}
    loop = loop_of(make("forward-forward", hidden=hidden, **options), data_of(X, Y), precision="fp64")
    loop.trainer.label.measure(torch.from_numpy(X), len(X))
    v = values_of(loop.trainer)
    expected = np.zeros((B, C))
    for c in range(C):
        h = labelled(X, np.eye(C)[c], embedding)
        for k in range(len(hidden)):
            h = relu(rms(h) @ v[f"blocks.{k}.1.weight"].T + v[f"blocks.{k}.1.bias"])
            if k > 0 or len(hidden) == 1:
                expected[:, c] += (h**2).sum(1) / (len(h[0]) if reduction == "mean" else 1)
    with torch.no_grad():
        scores = loop.trainer.predict(next(loop.data.val.batches(B))).numpy()
    np.testing.assert_allclose(scores, expected, **CLOSE)


def test_sequential_trains_the_next_layer_on_the_trained_one():
    before, moved, _ = one_step("forward-forward", X, Y, hidden=(6, 5), schedule="sequential", peer=0.0, **UNIFORM)
    first = by_hand(before, 1)[0][0]
    trained = {**before, "blocks.0.1.weight": before["blocks.0.1.weight"] - UNIFORM["lr"] * first[0]}
    trained["blocks.0.1.bias"] = before["blocks.0.1.bias"] - UNIFORM["lr"] * first[1]
    second = by_hand(trained, 2)[0][1]
    np.testing.assert_allclose(moved["blocks.1.1.weight"], UNIFORM["lr"] * second[0], **CLOSE)


def initial_losses(**values) -> list[float]:
    """Loss of every layer at initialisation: 200 real digits, one batch, three layers of 1000."""
    options = {"hidden": (1000, 1000, 1000), "epochs": 1, "batch_size": 200, "lr": 1e-12, "peer": 0.0, **values}
    loop = fit("forward-forward", digits(200, 10, 10), negatives="uniform", readout="energy", **options)
    return [loop.history[0]["loss"][str(k)] for k in range(3)]


def test_sum_form_starts_at_a_loss_of_about_n_over_4():
    """The notes: about 250 a layer at n = 1000, the first about 235; g is about n/2, so positives cost n/2 each."""
    first, *others = initial_losses()
    assert first == pytest.approx(235, rel=0.08)
    assert others == pytest.approx([250, 250], rel=0.08)


def test_mean_form_with_theta_2_starts_at_the_loss_of_g_of_one_half():
    """(softplus(2 - 1/2) + softplus(1/2 - 2)) / 2 = 0.951, since g is about 1/2."""
    expected = float(softplus(np.array([1.5, -1.5])).mean())
    assert initial_losses(goodness="mean") == pytest.approx([expected] * 3, rel=0.03)


def images(rows: int, height: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.random((rows, 1, height, width)), np.arange(rows) % classes


@pytest.mark.parametrize(
    ("shape", "classes", "place"),
    [
        ((4,), 3, "append"),  # iris: three of four features would be lost
        ((1, 5, 6), 6, "overlay"),
        ((1, 5, 6), 7, "append"),
        ((3, 4), 2, "append"),
    ],
)
def test_label_is_written_over_images_alone_and_only_into_one_row(shape: tuple[int, ...], classes: int, place: str):
    spec = replace(data_of(*arrays(classes, 1, classes)).spec, shape=shape)
    trainer = make("forward-forward", hidden=(6, 5))
    trainer.build(spec)
    x = torch.rand(2, *shape)
    trainer.label.measure(x, len(x))
    seen = trainer.label.join(x, torch.ones(classes))
    if place == "overlay":
        assert seen.flatten(1)[:, :classes].eq(1).all()
        assert seen.flatten(1)[:, classes:].equal(x.flatten(1)[:, classes:])
    else:
        whole = seen if len(shape) == 1 else seen[..., -shape[-2] :, :]
        assert whole[:, -shape[0] :].equal(x)


def test_share_of_an_image_that_the_label_takes_is_told(caplog: pytest.LogCaptureFixture):
    """The variance of the first C values over that of all, of the first batch, in numpy."""
    x, y = images(20, 5, 6, 2)
    flat = x.reshape(20, -1)
    share = flat.var(0)[:2].sum() / flat.var(0).sum()
    trainer = make("forward-forward", hidden=(6, 5), epochs=2, batch_size=20)
    loop = loop_of(trainer, data_of(x, y), precision="fp64")
    loop.run()
    line = (
        f"the label stands in place of the first 2 of 30 input values, which hold {share:.2%} of the inputs' variance"
    )
    assert [r.message.startswith(line) for r in caplog.records] == [True]
    assert [note.startswith(line) for note in trainer.notes] == [True]


def test_empty_border_of_an_image_is_no_loss(caplog: pytest.LogCaptureFixture):
    x, y = images(20, 5, 6, 2)
    x[:, :, 0] = 0.3
    loop_of(make("forward-forward", hidden=(6, 5), epochs=1), data_of(x, y), precision="fp64").run()
    assert caplog.records == []


def test_more_classes_than_values_need_no_border():
    """Three classes, two features: the label cannot be written over them."""
    x, y = arrays(12, 2, 3)
    with pytest.raises(InputError, match="use label_embedding = append"):
        loop_of(make("forward-forward", hidden=(6, 5), label_embedding="overlay"), data_of(x, y))
    loop_of(make("forward-forward", hidden=(6, 5)), data_of(x, y))


@pytest.mark.parametrize(("fan_in", "place"), [(4, Appended), (2, Overlay)])
def test_blocks_of_ones_own_get_the_label_where_they_have_inputs_for_it(fan_in: int, place: type):
    blocks = [torch.nn.Sequential(torch.nn.Linear(fan_in, 5), torch.nn.ReLU())]
    trainer = rules.rule("forward-forward")(blocks)
    trainer.build(data_of(*arrays(8, 2, 2)).spec)
    assert isinstance(trainer.label, place)


def test_two_features_are_enough():
    """Three blobs in a row: the label may not stand in their place, and the length of an input counts."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = (np.array([-1.2, 0.0, 1.2])[y, None] + 0.1 * rng.normal(size=(120, 2))).astype(np.float32)
    loop = loop_of(make("forward-forward", hidden=(40, 40), epochs=60, batch_size=20), data_of(x, y))
    loop.run()
    assert loop.evaluate(loop.data.val) > 0.98
