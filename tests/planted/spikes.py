"""Faults in spiking rules and nets, and in their data."""

from planted.fault import RESUME, Mutant

_SNN, _SNNL, _SYN = "rules/delay_snn.py", "rules/delay_snn_local.py", "nets/delay_snn.py"
_DELAYS, _SPIKING, SNN = "functional/delays.py", "functional/spiking.py", "oracles/test_hand_delay_snn.py::"
NET, TAPS, LIF = "nets/test_delay_snn_net.py::", "functional/test_delays.py::", "functional/test_spiking.py::"
HAND_SNN = SNN + "test_update_is_the_hand_gradient[delay-snn]"
HAND_SNNL = SNN + "test_update_is_the_hand_gradient[delay-snn-local]"
_OVER_ALL, _PER_LAYER = (
    "LOSSES[self.spec.task](self.scores(batch.x), batch.y)",
    "LOSSES[self.spec.task](self.heads[k](h), batch.y)",
)
_CLAMPED = SNN + "test_positions_stay_within_the_taps_after_every_step"
_TWO_PATHS = TAPS + "test_both_paths_agree_in_value_and_gradients"

MUTANTS = {
    "delay-snn: sign flip": Mutant(_SNN, _OVER_ALL, "-" + _OVER_ALL, [HAND_SNN]),
    "delay-snn: off-by-one label": Mutant(
        _SNN, _OVER_ALL, _OVER_ALL.replace("batch.y", "(batch.y + 1) % 3"), [HAND_SNN]
    ),
    "delay-snn: wrong owner": Mutant(
        _SNN, 'positions if name.endswith("synapses.position") else weights', "weights", [_CLAMPED]
    ),
    "delay-snn: positions not clamped": Mutant("training/learner.py", "module.constrain()", "pass", [_CLAMPED]),
    "delay-snn: positions decay": Mutant(
        _SNN,
        ', "weight_decay": 0.0}',
        "}",
        [SNN + "test_positions_have_a_rate_and_schedule_of_their_own_and_no_decay"],
    ),
    "delay-snn-local: sign flip": Mutant(_SNNL, _PER_LAYER, "-" + _PER_LAYER, [HAND_SNNL]),
    "delay-snn-local: missing detach": Mutant(_SNNL, "block(h.detach())", "block(h)", [HAND_SNNL]),
    "delay-snn-local: off-by-one label": Mutant(
        _SNNL, _PER_LAYER, _PER_LAYER.replace("batch.y", "(batch.y + 1) % 3"), [HAND_SNNL]
    ),
    "delay-snn-local: wrong owner": Mutant(_SNNL, "owner=k)", "owner=0)", [HAND_SNNL]),
    "delay-snn-local: positions step late": Mutant(
        _SNNL,
        "            if learned:",
        "            if False:",
        [SNN + "test_a_layers_weights_and_positions_step_before_the_next_layer_runs"],
    ),
    "delays: sign of a position": Mutant(
        _SYN,
        "(self.middle - self.position.clamp",
        "(self.middle + self.position.clamp",
        [NET + "test_a_spike_arrives_half_the_taps_less_its_position_later"],
    ),
    "delays: bumps at test": Mutant(
        _SYN,
        "if self.training and isinstance(self.position, nn.Parameter):",
        "if isinstance(self.position, nn.Parameter):",
        [NET + "test_at_test_only_weights_and_rounded_positions_count_and_both_stay_as_they_are"],
    ),
    "delays: width not saved": Mutant(
        _SYN,
        "torch.tensor(float(self.start)))",
        "torch.tensor(float(self.start)), persistent=False)",
        [RESUME["delay-snn"], SNN + "test_bumps_narrow_epoch_by_epoch_whatever_the_rule[DelaySnn]"],
    ),
    "delays: bumps never narrow": Mutant(
        "training/loop.py",
        "            module.anneal(trainer.phase.epochs)",
        "            pass",
        [SNN + "test_bumps_narrow_epoch_by_epoch_whatever_the_rule[Backprop]"],
    ),
    "delays: another mask every step": Mutant(
        _SYN,
        "F.dropout(torch.ones_like(spikes[0])",
        "F.dropout(torch.ones_like(spikes)",
        [NET + "test_a_silenced_neuron_is_silent_for_the_whole_sample"],
    ),
    "delays: wrapped around": Mutant(_DELAYS, "_tables(steps + taps - 1,", "_tables(max(steps, taps),", [_TWO_PATHS]),
    "delays: highest frequency twice": Mutant(
        _DELAYS, "    if points % 2 == 0:", "    if False:", [TAPS + "test_convolution_is_its_definition"]
    ),
    "spiking: gradient through the reset": Mutant(
        _SPIKING,
        "kept = (1 - fired).mul_(ctx.beta)",
        "kept = torch.full_like(fired, ctx.beta)",
        [LIF + "test_gradient_is_the_surrogate_through_time_but_not_through_the_reset", HAND_SNN],
    ),
    "spiking: fires above the threshold alone": Mutant(
        _SPIKING, "torch.ge(now", "torch.gt(now", [LIF + "test_a_membrane_exactly_at_the_threshold_fires"]
    ),
    "fsdd: test recordings in training": Mutant(
        "data/spikes/fsdd.py",
        "(~tested).nonzero()[:, 0]",
        "torch.arange(len(y))",
        ["data/spikes/test_fsdd.py::test_no_speaker_leaks"],
    ),
    "fsdd: validation on the training speakers": Mutant(
        "data/spikes/fsdd.py",
        "groups=speaker[train] if by_speaker else None",
        "groups=None",
        ["data/spikes/test_fsdd.py::test_no_speaker_leaks"],
    ),
    "fsdd: spikes after the end of a recording": Mutant(
        "data/spikes/cochlea.py",
        "heard = at < lengths[clip]",
        "heard = at >= 0",
        ["data/spikes/test_fsdd.py::test_a_short_sound_beside_a_long_one_ends_with_itself"],
    ),
    "cochlea: fibres that are never tired": Mutant(
        "functional/cochlea.py",
        "free[able] -= 1",
        "free[able] -= 0",
        ["functional/test_cochlea.py::test_counting_fibres_is_the_same_as_single_fibres"],
    ),
    "spikes: silence before the first spike kept": Mutant(
        "data/spikes/spike_file.py",
        "times.append(when - when[0])",
        "times.append(when)",
        ["data/spikes/test_spike_file.py::test_counts_are_those_by_hand"],
    ),
    "spikes: judged on other bins than trained on": Mutant(
        "runs/model.py",
        "return own if same else {",
        "return {} if same else {",
        ["data/spikes/test_fsdd.py::test_a_model_is_evaluated_with_the_settings_of_its_training"],
    ),
}
