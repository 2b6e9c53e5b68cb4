"""Faults in the rules and nets of images."""

from planted.fault import HAND_CAFO, PREDICT, STEPS, Mutant

LL, CH = "oracles/test_hand_local_loss.py::", "oracles/test_hand_channel_ff.py::"
HAND_LL, HAND_CH = LL + "test_update_is_the_hand_gradient", CH + "test_update_is_the_hand_gradient"
_CAFO = "rules/cafo.py"
_RIDGE = "functional/closed_form.py"

FROZEN = "training/test_frozen_parts.py::"

MUTANTS = {
    "norm: one row by the statistics of nothing": Mutant(
        "nets/_norm.py",
        "self.running_mean, self.running_var,",
        "0 * self.running_mean, 0 * self.running_var + 1,",
        ["nets/test_norm.py::test_a_single_value_is_normalised_by_the_running_statistics"],
    ),
    "cnn: groups in the first convolution": Mutant(
        "nets/cnn.py",
        "number % 2 == 0",
        "number % 2 == 1",
        ["nets/test_cnn.py::test_classes_of_a_grouped_convolution_do_not_see_each_other"],
    ),
    "local-loss: sign flip": Mutant(
        "rules/local_loss.py", "else self.heads[k](h, batch.y)", "else -self.heads[k](h, batch.y)", [HAND_LL]
    ),
    "local-loss: missing detach": Mutant(
        "rules/local_loss.py",
        "h = block(h.detach())",
        "h = block(h)",
        [STEPS + "test_backward_leaves_no_gradient_outside_the_yielded_owner"],
    ),
    "local-loss: off-by-one label": Mutant(
        "rules/local_loss.py", "self.heads[k](h, batch.y)", "self.heads[k](h, (batch.y + 1) % 3)", [HAND_LL]
    ),
    "local-loss: wrong owner": Mutant(
        "rules/local_loss.py",
        "batch.y), owner=k)",
        "batch.y), owner=0)",
        [STEPS + "test_backward_leaves_no_gradient_outside_the_yielded_owner"],
    ),
    "local-loss: weights of the two losses swapped": Mutant(
        "rules/local_loss.py", '"predsim": options.beta', '"predsim": 1 - options.beta', [HAND_LL]
    ),
    "local-loss: features not centred": Mutant("functional/similarity.py", " - x.mean(1, keepdim=True)", "", [HAND_LL]),
    "channel-ff: sign flip": Mutant(
        "rules/channel_ff.py", "yield Local(F.cross_entropy(", "yield Local(-F.cross_entropy(", [HAND_CH]
    ),
    "channel-ff: missing detach": Mutant(
        "rules/channel_ff.py",
        "h = block(h.detach())",
        "h = block(h)",
        [STEPS + "test_backward_leaves_no_gradient_outside_the_yielded_owner"],
    ),
    "channel-ff: off-by-one label": Mutant(
        "rules/channel_ff.py", " batch.y), owner", " (batch.y + 1) % 3), owner", [HAND_CH]
    ),
    "channel-ff: wrong owner": Mutant(
        "rules/channel_ff.py",
        "owner=k",
        "owner=0",
        [STEPS + "test_backward_leaves_no_gradient_outside_the_yielded_owner"],
    ),
    "channel-ff: blocks above the phase read out": Mutant(
        "rules/channel_ff.py",
        "in self.trained:",
        "in enumerate(self.blocks):",
        [PREDICT + "test_a_phase_predicts_with_the_blocks_trained_so_far"],
    ),
    "cafo: sign flip": Mutant(
        _CAFO,
        "yield Local(loss(self.scores(",
        "yield Local(-loss(self.scores(",
        [HAND_CAFO + "test_update_is_the_hand_gradient"],
    ),
    "cafo: feedback of the wrong sign": Mutant(
        _CAFO,
        "pull_back(batch.read(h), error @",
        "pull_back(batch.read(h), -error @",
        [HAND_CAFO + "test_feedback_alignment_is_the_hand_gradient"],
    ),
    "cafo: missing detach": Mutant(
        _CAFO,
        "h = batch.through(block, h.detach())",
        "h = batch.through(block, h)",
        [HAND_CAFO + "test_feedback_alignment_is_the_hand_gradient"],
    ),
    "cafo: off-by-one label": Mutant(
        _CAFO,
        "yield Local(loss(self.scores(k, batch.read(batch.x)), batch.y)",
        "yield Local(loss(self.scores(k, batch.read(batch.x)), (batch.y + 1) % 3)",
        [HAND_CAFO + "test_update_is_the_hand_gradient"],
    ),
    "cafo: wrong owner": Mutant(
        _CAFO,
        "batch.y), owner=self.phase.name)",
        'batch.y), owner="predictor 0")',
        [STEPS + "test_backward_leaves_no_gradient_outside_the_yielded_owner"],
    ),
    "calibration: with dropout": Mutant(
        "rules/_calibration.py",
        "    blocks.eval()",
        "    blocks.train()",
        [FROZEN + "test_statistics_of_frozen_blocks_are_the_mean_over_the_batches_without_dropout"],
    ),
    "cafo: statistics of the last batches": Mutant(
        "rules/_calibration.py",
        "norm.momentum = 1 / number",
        "norm.momentum = 0.5",
        [HAND_CAFO + "test_statistics_of_random_blocks_are_the_plain_mean_over_the_batches_of_one_pass"],
    ),
    "cafo: predictor fed by the block below": Mutant(
        _CAFO, "frozen=k + 1", "frozen=max(k, 1)", [HAND_CAFO + "test_mse_is_ridge_regression"]
    ),
    "cafo: ridge forgotten": Mutant(
        _RIDGE, "gram.diagonal().add_(lam)", "pass", [HAND_CAFO + "test_mse_is_ridge_regression"]
    ),
    "cafo: upper blocks forgotten": Mutant(
        _RIDGE,
        "gram[i : i + size, i + size :] = gram[i + size :, i : i + size].T",
        "gram[i + size :, i : i + size] = 0",
        ["functional/test_closed_form.py::test_equals_the_normal_equations_whatever_the_batches_and_blocks"],
    ),
    "cafo: support of sparsemax too small": Mutant(
        "functional/sparsemax.py",
        "1 + rank * ordered > sums",
        "rank * ordered >= sums",
        ["functional/test_sparsemax.py::test_by_hand"],
    ),
}
