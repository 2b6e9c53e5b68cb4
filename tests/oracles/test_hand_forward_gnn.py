"""ForwardGNN against numpy in float64: one step of each rule, and what it predicts, by the equations of 2403.11004."""

import numpy as np
import pytest
from graph_cases import BASE, TEST, TRAIN, VAL, H, K, N, Y, a_hat, data_of, features, joins, links, rownorm, trained
from plain import Array, cross_entropy, one_hot, relu, sigmoid, softmax, softplus

W, B = "conv.conv.lin.weight", "conv.conv.bias"
OWN = joins({i: Y[i] for i in TRAIN})
WITH_OWN = np.concatenate([BASE, OWN], 1)
VIRTUAL = np.arange(N, N + K)


def layer(w: dict[str, Array], k: int, a: Array, h: Array) -> Array:
    return relu(a @ h @ w[f"blocks.{k}.{W}"].T + w[f"blocks.{k}.{B}"])


def gradients(upstream: Array, out: Array, a: Array, h: Array) -> tuple[Array, Array]:
    """dL/dW and dL/db of ``out = relu(a h W^T + b)``, given dL/dout."""
    dz = upstream * (out > 0)
    return dz.T @ (a @ h), dz.sum(0)


def prototype_gradient(e: Array, share: float = 1.0) -> tuple[Array, float]:
    """dL/dh and L of single forward, where the classes are read from ``e`` and h has that share in it."""
    logits = e[TRAIN] @ e[VIRTUAL].T
    error = (softmax(logits) - one_hot(Y[TRAIN], K)) / len(TRAIN)
    upstream = np.zeros_like(e)
    upstream[TRAIN], upstream[VIRTUAL] = error @ e[VIRTUAL], error.T @ e[TRAIN]
    return upstream * share, cross_entropy(logits, Y[TRAIN])


def close(found: dict[str, Array], k: int, expected: tuple[Array, Array]) -> None:
    np.testing.assert_allclose(found[f"blocks.{k}.{W}"], expected[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found[f"blocks.{k}.{B}"], expected[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("reuse", [True, False])
def test_single_forward_is_the_hand_gradient(reuse: bool):
    """Through the real nodes and through the prototypes."""
    w, moved, loop = trained("forward-gnn", data_of(), reuse=reuse)
    a, h = a_hat(WITH_OWN, N + K), rownorm(features())
    out = layer(w, 0, a, h)
    upstream, loss = prototype_gradient(out)
    close(moved, 0, gradients(upstream, out, a, h))
    assert loop.history[0]["loss"]["0"] == pytest.approx(loss, rel=1e-12)


def test_temperature_divides_the_dot_products():
    w, _, loop = trained("forward-gnn", data_of(), temperature=2.5)
    out = layer(w, 0, a_hat(WITH_OWN, N + K), rownorm(features()))
    loss = cross_entropy(out[TRAIN] @ out[VIRTUAL].T / 2.5, Y[TRAIN])
    assert loop.history[0]["loss"]["0"] == pytest.approx(loss, rel=1e-12)


def test_single_forward_sums_probabilities_over_all_layers_on_the_training_graph():
    """Of the test nodes; virtual nodes are joined to training nodes alone."""
    _, _, loop = trained("forward-gnn", data_of(), hidden=(H, H), steps=3)
    w = {name: tensor.numpy() for name, tensor in loop.trainer.state_dict().items()}
    a, h, total = a_hat(WITH_OWN, N + K), features(), 0
    for k in range(2):
        h = layer(w, k, a, rownorm(h))
        total = total + softmax(h[TEST] @ h[VIRTUAL].T)
    np.testing.assert_allclose(loop.scores(loop.data.test)[0], total, rtol=1e-6)  # scores are kept in float32


def test_upper_layer_learns_on_the_frozen_layer_s_output():
    """Phase 2 alone moves layer 2, by the gradient at the input that layer 1 gives after its phase."""
    w, moved, loop = trained("forward-gnn", data_of(), hidden=(H, H))
    after = {name: w[name] - moved[name] for name in w}
    a = a_hat(WITH_OWN, N + K)
    h = rownorm(layer(after, 0, a, rownorm(features())))
    out = layer(w, 1, a, h)
    close(moved, 1, gradients(prototype_gradient(out)[0], out, a, h))
    assert [phase.name for phase in loop.phases] == ["layer 1", "layer 2"]


def goodness_gradient(out: Array, positive: bool, share: float) -> Array:
    """dL/dout of ``share`` times the mean over the training nodes of softplus(+-(theta - sum a^2)), theta = 2."""
    good = (out[TRAIN] ** 2).sum(1) - 2.0
    slope = -sigmoid(-good) if positive else sigmoid(good)
    upstream = np.zeros_like(out)
    upstream[TRAIN] = share * slope[:, None] / len(TRAIN) * 2 * out[TRAIN]
    return upstream


def shown(moved_from: dict[str, Array], m: int) -> dict[int, int]:
    """The class that each training node is shown with in stream m."""
    return {i: (Y[i] + (0 if m == 0 else int(moved_from["offsets"][m - 1, i]))) % K for i in TRAIN}


def appended(classes: dict[int, int]) -> Array:
    labels = np.full((N, K), 1 / K)
    for node, c in classes.items():
        labels[node] = one_hot(np.array([c]), K)
    return np.concatenate([features(0), labels], 1)


@pytest.mark.parametrize("reuse", [True, False])
def test_label_appending_is_the_hand_gradient(reuse: bool):
    """Row norm on features and label together; every wrong class once; the negatives' share is 1/M."""
    w, moved, loop = trained("forward-gnn-ff-la", data_of(virtual=False), reuse=reuse)
    a, dw, db, loss = a_hat(BASE, N), 0.0, 0.0, 0.0
    for m in range(K):
        h = rownorm(appended(shown(w, m)))
        out = layer(w, 0, a, h)
        share = 1.0 if m == 0 else 1 / (K - 1)
        part = gradients(goodness_gradient(out, m == 0, share), out, a, h)
        dw, db = dw + part[0], db + part[1]
        good = (out[TRAIN] ** 2).sum(1) - 2
        loss += share * softplus(-good if m == 0 else good).mean()
    close(moved, 0, (dw, db))
    assert loop.history[0]["loss"]["0"] == pytest.approx(loss, rel=1e-12)


def test_every_node_sees_every_wrong_class_once_and_always_the_same():
    w, moved, _ = trained("forward-gnn-ff-la", data_of(virtual=False), steps=3)
    assert sorted(set(map(tuple, np.sort(w["offsets"], 0).T.tolist()))) == [tuple(range(1, K))]
    assert not moved["offsets"].any()


def test_label_appending_judges_all_nodes_with_one_candidate_and_knows_validation_labels_in_a_test():
    _, _, loop = trained("forward-gnn-ff-la", data_of(virtual=False), hidden=(H, H), steps=2)
    w = {name: tensor.numpy() for name, tensor in loop.trainer.state_dict().items()}
    a, scores = a_hat(BASE, N), np.zeros((len(TEST), K))
    for c in range(K):
        h = appended({**{i: Y[i] for i in (*TRAIN, *VAL)}, **dict.fromkeys(TEST, c)})
        for k in range(2):
            h = layer(w, k, a, rownorm(h))
            scores[:, c] += (h[TEST] ** 2).mean(1)
    np.testing.assert_allclose(loop.scores(loop.data.test)[0], scores, rtol=1e-6)


@pytest.mark.parametrize("reuse", [True, False])
def test_virtual_nodes_are_the_hand_gradient_and_negatives_reuse_the_positive_output(reuse: bool):
    w, moved, _ = trained("forward-gnn-ff-vn", data_of(), hidden=(H, H), reuse=reuse)
    after = {name: w[name] - moved[name] for name in w}
    inputs = [features(), layer(after, 0, a_hat(WITH_OWN, N + K), rownorm(features()))]
    for k, x in enumerate(inputs):
        h, dw, db = rownorm(x), 0.0, 0.0
        for m in range(K):
            a = a_hat(np.concatenate([BASE, joins(shown(w, m))], 1), N + K)
            out = layer(w, k, a, h)
            part = gradients(goodness_gradient(out, m == 0, 1.0 if m == 0 else 1 / (K - 1)), out, a, h)
            dw, db = dw + part[0], db + part[1]
        close(moved, k, (dw, db))


@pytest.mark.parametrize("reuse", [True, False])
def test_symba_is_the_hand_gradient(reuse: bool):
    """Of the mean softplus(-alpha (g+ - g-)) over nodes and wrong classes, through both streams; alpha = 1.5."""
    values = {"goodness_loss": "symba", "alpha": 1.5, "reuse": reuse}
    w, moved, loop = trained("forward-gnn-ff-vn", data_of(), **values)
    h, dw, db, loss = rownorm(features()), 0.0, 0.0, 0.0
    graphs = [a_hat(np.concatenate([BASE, joins(shown(w, m))], 1), N + K) for m in range(K)]
    outs = [layer(w, 0, a, h) for a in graphs]
    good = [(out[TRAIN] ** 2).sum(1) for out in outs]
    for m in range(1, K):
        gap = good[0] - good[m]
        loss += softplus(-1.5 * gap).mean() / (K - 1)
        slope = -1.5 * sigmoid(-1.5 * gap) / (K - 1) / len(TRAIN)  # dL/dg+ = -dL/dg-
        for stream, sign in ((0, 1), (m, -1)):
            upstream = np.zeros_like(outs[stream])
            upstream[TRAIN] = sign * slope[:, None] * 2 * outs[stream][TRAIN]
            part = gradients(upstream, outs[stream], graphs[stream], h)
            dw, db = dw + part[0], db + part[1]
    close(moved, 0, (dw, db))
    assert loop.history[0]["loss"]["0"] == pytest.approx(loss, rel=1e-12)


def test_virtual_nodes_judge_by_goodness_with_all_joined_to_one_candidate():
    _, _, loop = trained("forward-gnn-ff-vn", data_of(), hidden=(H, H), steps=2)
    w = {name: tensor.numpy() for name, tensor in loop.trainer.state_dict().items()}
    scores = np.zeros((len(VAL), K))
    for c in range(K):
        a = a_hat(np.concatenate([BASE, joins({**{i: Y[i] for i in TRAIN}, **dict.fromkeys(VAL, c)})], 1), N + K)
        h = features()
        for k in range(2):
            h = layer(w, k, a, rownorm(h))
            scores[:, c] += (h[VAL] ** 2).mean(1)
    np.testing.assert_allclose(loop.scores(loop.data.val)[0], scores, rtol=1e-6)


def labels_above() -> Array:
    top = np.full((N + K, K), 1 / K)
    top[TRAIN], top[VIRTUAL] = one_hot(Y[TRAIN], K), np.eye(K)
    return top


def below_and_above(low: Array, high: Array) -> Array:
    return np.concatenate([rownorm(low), rownorm(high)], 1)


def bottom_up(w: dict[str, Array], a: Array, x: Array) -> list[Array]:
    """First states of three layers, with zeros above."""
    states = [x]
    for k, above in enumerate((H, H, K)):
        states.append(layer(w, k, a, below_and_above(states[-1], np.zeros((N + K, above)))))
    return states


def test_top_to_input_steps_odd_layers_first_and_even_ones_see_the_new_states():
    """Three layers: 1 and 3 on the first states, then 2 on the states that the old weights of 1 and 3 gave."""
    w, moved, _ = trained("forward-gnn-top-to-input", data_of(), hidden=(H, H, H))
    a = a_hat(WITH_OWN, N + K)
    states = [*bottom_up(w, a, features()), labels_above()]
    for k in (0, 2, 1):
        h = below_and_above(states[k], states[k + 2])
        out = layer(w, k, a, h)
        close(moved, k, gradients(prototype_gradient(out)[0], out, a, h))
        states[k + 1] = out


def test_top_to_input_predicts_from_its_own_start_and_counts_passes_two_to_nine():
    _, _, loop = trained("forward-gnn-top-to-input", data_of(), hidden=(H, H, H), steps=3)
    w = {name: tensor.numpy() for name, tensor in loop.trainer.state_dict().items()}
    a, total = a_hat(WITH_OWN, N + K), 0
    states = [*bottom_up(w, a, features()), labels_above()]
    for number in range(10):
        for group in ((0, 2), (1,)):
            new = {k: layer(w, k, a, below_and_above(states[k], states[k + 2])) for k in group}
            states = [new.get(k - 1, state) for k, state in enumerate(states)]
        if number >= 2:
            total = total + sum(softmax(h[TEST] @ h[VIRTUAL].T) for h in states[1:-1])
    np.testing.assert_allclose(loop.scores(loop.data.test)[0], total, rtol=1e-6)


def test_top_to_loss_reads_classes_from_the_mean_with_the_states_above():
    """All layers see the states of the step before; only a layer's own part of the mean has a gradient."""
    w, moved, loop = trained("forward-gnn-top-to-loss", data_of(), hidden=(H, H, H), clip=None)
    a, states = a_hat(WITH_OWN, N + K), [rownorm(features())]
    for k in range(3):
        states.append(rownorm(layer(w, k, a, states[-1])))
    for k in range(3):
        h = rownorm(states[k]) if k else states[k]  # a layer scales its input, a state that is scaled already too
        out = layer(w, k, a, h)
        mean = np.mean([out, *states[k + 2 :]], 0)
        upstream, loss = prototype_gradient(mean, 1 / len([out, *states[k + 2 :]]))
        close(moved, k, gradients(upstream, out, a, h))
        assert loop.history[0]["loss"][str(k)] == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("raw", [True, False])
def test_top_to_loss_predicts_in_one_pass_from_below(raw: bool):
    _, _, loop = trained("forward-gnn-top-to-loss", data_of(), hidden=(H, H), steps=2, raw_pass=raw)
    w = {name: tensor.numpy() for name, tensor in loop.trainer.state_dict().items()}
    a, h, outputs, total = a_hat(WITH_OWN, N + K), features(), [], 0
    for k in range(2):
        h = layer(w, k, a, h if raw else rownorm(h))
        outputs.append(h)
    for k in range(2):
        mean = np.mean([outputs[k], *map(rownorm, outputs[k + 1 :])], 0)
        total = total + softmax(mean[TEST] @ mean[VIRTUAL].T)
    np.testing.assert_allclose(loop.scores(loop.data.test)[0], total, rtol=1e-6)


PAIRS, LINKED = np.array([[0, 1, 4, 3], [1, 2, 8, 6]]), np.array([1.0, 1.0, 0.0, 0.0])


@pytest.mark.parametrize("form", ["ce", "ff"])
def test_links_are_the_hand_gradient(form: str):
    w, moved, loop = trained("forward-gnn", links(PAIRS, LINKED), link_loss=form)
    a, h = a_hat(BASE, N), rownorm(features(0))
    out = layer(w, 0, a, h)
    u, v = out[PAIRS[0]], out[PAIRS[1]]
    score = (u * v).sum(1) if form == "ce" else ((u * v) ** 2).sum(1) - 2
    weight = np.full(4, 1 / 4) if form == "ce" else np.full(4, 1 / 2)
    error = (weight * (sigmoid(score) - LINKED))[:, None] * (1 if form == "ce" else 2 * u * v)
    upstream = np.zeros_like(out)
    np.add.at(upstream, PAIRS[0], error * v)
    np.add.at(upstream, PAIRS[1], error * u)
    close(moved, 0, gradients(upstream, out, a, h))
    cost = softplus(np.where(LINKED > 0, -score, score))
    assert loop.history[0]["loss"]["0"] == pytest.approx((weight * cost).sum(), rel=1e-12)


def test_backprop_scores_links_by_the_dot_product_of_the_last_layer():
    """Two layers, the last without ReLU, no row norm: the loss before the first step."""
    w, _, loop = trained("backprop", links(PAIRS, LINKED), hidden=(H, H))
    a = a_hat(BASE, N)
    h = layer(w, 0, a, features(0))
    out = a @ h @ w[f"blocks.1.{W}"].T + w[f"blocks.1.{B}"]
    score = (out[PAIRS[0]] * out[PAIRS[1]]).sum(1)
    loss = softplus(np.where(LINKED > 0, -score, score)).mean()
    assert loop.history[0]["loss"]["net"] == pytest.approx(loss, rel=1e-12)


def test_backprop_reads_the_scores_of_the_training_nodes():
    w, _, loop = trained("backprop", data_of(virtual=False))
    a = a_hat(BASE, N)
    scores = a @ layer(w, 0, a, features(0)) @ w[f"blocks.1.{W}"].T + w[f"blocks.1.{B}"]
    assert loop.history[0]["loss"]["net"] == pytest.approx(cross_entropy(scores[TRAIN], Y[TRAIN]), rel=1e-12)


def test_cafo_on_a_graph_solves_every_predictor_from_the_training_nodes_of_a_random_frozen_layer():
    values = {"predictor": "mse", "ridge": 0.1, "hidden": (H, H), "row_norm": True}
    w, moved, loop = trained("cafo", data_of(virtual=False), **values)
    h, total = features(0), 0.0
    for k in range(2):
        assert not moved[f"blocks.{k}.{W}"].any()
        h = layer(w, k, a_hat(BASE, N), rownorm(h))
        seen, target = h[TRAIN], one_hot(Y[TRAIN], K)
        gram = seen.T @ seen
        head = np.linalg.solve(gram + 0.1 * np.trace(gram) / H * np.eye(H), seen.T @ target)
        total = total + softmax(h[TEST] @ head)
    np.testing.assert_allclose(loop.scores(loop.data.test)[0], total, rtol=1e-6)


def test_feedback_alignment_on_a_graph_reaches_the_frozen_layers_through_the_training_nodes():
    """Block 1 moves by e B at the training nodes; e is the error of the head on the last block."""
    values = {"variant": "dfa", "block_optimizer": "sgd", "block_lr": 1.0, "block_epochs": 1, "hidden": (H, H)}
    w, moved, _ = trained("cafo", data_of(virtual=False), **values)
    a = a_hat(BASE, N)
    hs = [features(0)]
    for k in range(2):
        hs.append(layer(w, k, a, hs[k]))
    logits = hs[2][TRAIN] @ w["aux.weight"].T + w["aux.bias"]
    error = (softmax(logits) - one_hot(Y[TRAIN], K)) / len(TRAIN)
    upstream = np.zeros_like(hs[1])
    upstream[TRAIN] = error @ w["feedback_0"]
    close(moved, 0, gradients(upstream, hs[1], a, hs[0]))
