"""Faults in the rules that send errors or noise back: feedback alignment, counter-current, gradient noise."""

from planted.fault import RESUME, STEPS, Mutant

NOISE, FEEDBACK = "oracles/test_hand_gradient_noise.py::", "oracles/test_hand_feedback.py::"
HAND_NOISE, HAND_REPLICA = NOISE + "test_update_is_the_clipped_hand_gradient", NOISE + "test_every_replica_moves_by_its"
HAND_REPLICA += "_own_clipped_hand_gradient"
HAND_DFA, HAND_FA = FEEDBACK + "test_dfa_update_is_the_hand_gradient", FEEDBACK + "test_fa_update_is_the_hand_gradient"
_GN, _DFA, _FA = "rules/gradient_noise.py", "rules/dfa.py", "rules/fa.py"
_CCL, _PAIRS, CCL = (
    "rules/counter_current.py",
    "functional/counter_current.py",
    "oracles/test_hand_counter_current.py::",
)
HAND_CCL = CCL + "test_update_is_the_hand_gradient"

MUTANTS = {
    "gradient-noise: sign flip": Mutant(
        _GN, "Local(LOSSES[self.spec.task](", "Local(-LOSSES[self.spec.task](", [HAND_NOISE]
    ),
    "gradient-noise: off-by-one label": Mutant(
        _GN, "y = batch.y.repeat", "y = ((batch.y + 1) % 3).repeat", [HAND_NOISE]
    ),
    "gradient-noise: replicas averaged": Mutant(_GN, " * scores.shape[1]", "", [HAND_REPLICA]),
    "trainer: one clip for all replicas": Mutant(
        "training/trainer.py", "ClipNorm(optim.clip, replicas)", "ClipNorm(optim.clip)", [HAND_REPLICA]
    ),
    "trainer: noise before the clip": Mutant(
        "training/trainer.py",
        "transforms.append(AnnealedNoise(",
        "transforms.insert(0, AnnealedNoise(",
        [NOISE + "test_noise_comes_after_the_clip"],
    ),
    "transforms: variance for deviation": Mutant(
        "training/transforms.py",
        "(-self.gamma / 2)",
        "-self.gamma",
        [NOISE + "test_weights_that_begin_at_zero_walk_as_theory_says"],
    ),
    "transforms: steps of the noise not restored": Mutant(
        "training/transforms.py", 'self.t = state["t"]', "pass", [RESUME["gradient-noise"]]
    ),
    "transforms: draws of the noise not restored": Mutant(
        "training/transforms.py", "generator.set_state(saved)", "pass", [RESUME["gradient-noise"]]
    ),
    "dfa: sign flip": Mutant(_DFA, "pull_back(h, error @", "pull_back(h, -error @", [HAND_DFA]),
    "dfa: off-by-one label": Mutant(_DFA, "batch.x), batch.y)", "batch.x), (batch.y + 1) % 3)", [HAND_DFA]),
    "dfa: missing detach": Mutant(
        _DFA, "block(h.detach())", "block(h)", [STEPS + "test_backward_leaves_no_gradient_outside_the_yielded_owner"]
    ),
    "dfa: wrong owner": Mutant(
        _DFA,
        "Local(None, owner=k)",
        "Local(None, owner=0)",
        [STEPS + "test_backward_leaves_no_gradient_outside_the_yielded_owner"],
    ),
    "dfa: feedback not saved": Mutant(
        _DFA,
        "self.register_buffer(f",
        "object.__setattr__(self, f",
        [FEEDBACK + "test_feedback_is_fixed_and_saved"],
    ),
    "feedback: error summed over the batch": Mutant(
        "functional/feedback.py", "scores.shape[1])) / len(scores)", "scores.shape[1]))", [HAND_DFA]
    ),
    "feedback: running statistics count twice": Mutant(
        "functional/feedback.py",
        "module.track_running_stats = False",
        "pass",
        [FEEDBACK + "test_a_rehearsal_sees_what_the_next_run_does_and_leaves_no_trace"],
    ),
    "fa: sign flip": Mutant(_FA, "yield Local(loss", "yield Local(-loss", [HAND_FA]),
    "fa: off-by-one label": Mutant(_FA, "(batch), batch.y)", "(batch), (batch.y + 1) % 3)", [HAND_FA]),
    "fa: missing detach": Mutant(_FA, "(layer, x.detach()), x", "(layer, x), x", [HAND_FA]),
    "counter-current: sign flip": Mutant(
        _PAIRS, "(a @ b.T - target).square().mean()\n\n", "-(a @ b.T - target).square().mean()\n\n", [HAND_CCL]
    ),
    "counter-current: missing detach": Mutant(
        _CCL,
        "a.detach() if self.settings.stop_gradient else a",
        "a",
        [CCL + "test_a_pair_trains_one_layer_of_each_net_and_the_output_only_the_last"],
    ),
    "counter-current: missing detach in the feedback net": Mutant(
        _CCL,
        "levels[-1].detach()",
        "levels[-1]",
        [CCL + "test_a_pair_trains_one_layer_of_each_net_and_the_output_only_the_last"],
    ),
    "counter-current: off-by-one label": Mutant(
        _CCL, "top.index_select(0, batch.y)", "top.index_select(0, (batch.y + 1) % self.spec.classes)", [HAND_CCL]
    ),
    "counter-current: wrong owner": Mutant(
        _CCL,
        'nets = {"forward": self.blocks, "feedback": self.feedback}',
        'nets = {"forward": self, "feedback": self.feedback}',
        [STEPS + "test_every_parameter_has_exactly_one_owner", CCL + "test_each_net_is_clipped_by_its_own_norm"],
    ),
    "counter-current: nets detached from one another": Mutant(
        _CCL, "flatten(1) for h in (a, b))", "flatten(1) for h in (a, b.detach()))", [HAND_CCL]
    ),
    "counter-current: one clip for both nets": Mutant(
        _CCL,
        'if owner != "feedback":',
        "if owner:",
        [CCL + "test_each_net_is_clipped_by_its_own_norm", CCL + "test_the_feedback_net_has_a_rate_of_its_own"],
    ),
    "counter-current: width forgotten": Mutant(_PAIRS, "256 * scale / a.shape[1]", "scale", [HAND_CCL]),
    "counter-current: samples free to collapse": Mutant(_PAIRS, "_overlap(a) + _overlap(b)", "_overlap(b)", [HAND_CCL]),
    "counter-current: the unfitted flooded": Mutant(
        _CCL,
        "(1 - right >= self.settings.flood)",
        "(1 - right < self.settings.flood)",
        [CCL + "test_flooding_takes_fitted_samples_out_of_the_pairs_but_not_out_of_the_mean"],
    ),
    "counter-current: fixed feedback learned": Mutant(
        _CCL,
        "self.feedback.requires_grad_(options.feedback",
        'self.feedback.requires_grad_("learned"',
        [STEPS + "test_every_parameter_has_exactly_one_owner"],
    ),
    "counter-current: levels paired off by one": Mutant(
        _CCL,
        "            b.pop()  # the level below is done\n",
        "            level > 1 and b.pop()\n",
        [CCL + "test_a_pair_trains_one_layer_of_each_net_and_the_output_only_the_last"],
    ),
    "mirror: levels finished by the block above": Mutant(
        "nets/_mirror.py",
        "        below = block\n",
        "",
        ["nets/test_mirror.py::test_a_level_is_made_alike_from_both_sides_and_the_input_is_linear"],
    ),
    "transforms: centralised over the outputs": Mutant(
        "training/transforms.py",
        "grad.mean(tuple(range(1, grad.ndim)), keepdim=True)",
        "grad.mean(0, keepdim=True)",
        ["training/test_transforms.py::test_centralise_takes_the_mean_over_the_fan_in_from_every_output"],
    ),
    "reconstruction: target not augmented": Mutant(
        "data/reconstruction.py",
        "batch.y = batch.x\n",
        "batch.y = batch.x.clone()\n",
        ["data/test_reconstruction.py::test_target_is_the_input_as_normalised_and_augmented"],
    ),
    "reconstruction: more error is better": Mutant(
        "data/reconstruction.py",
        "maximize=False",
        "maximize=True",
        ["data/test_reconstruction.py::test_validation_is_the_mean_squared_error_of_the_best_epoch"],
    ),
}
