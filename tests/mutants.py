"""Planted faults: each changes one place of the source, and the tests named beside it must fail.

    python tests/mutants.py [NAME …]       all of them, or some; exit code 1 if one survives
    pytest tests/test_mutants.py           the same as part of the suite

A fault is a substitution that must match exactly once, so that a change of the source which makes it vacuous fails
loudly. It is planted in a copy of the package; the tests then run against that copy, in a fork of a process that has
torch imported but not bpfree. Only failing tests count: an error on collection does not. ``GRID`` has a cell for every
rule and fault; a cell without a fault says why it does not apply.
"""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import forked

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_S = 450

STEPS, PREDICT = "contract/test_steps.py::", "contract/test_predictions.py::"
MF, FF = "oracles/test_hand_mono_forward.py::", "oracles/test_hand_forward_forward.py::"
RF = "oracles/test_hand_random_features.py::"
HAND_RF = RF + "test_update_is_the_hand_gradient_of_the_readout_alone"
BP, REC = "oracles/test_hand_backprop.py::", "oracles/test_hand_recurrent.py::"
PFF = "oracles/test_hand_physical_ff.py::"
HAND_PFF = PFF + "test_update_is_the_hand_gradient_and_the_next_layer_sees_the_updated_map"
HAND_RES = PFF + "test_reservoir_is_ridge_regression_on_the_last_measurement"
HAND_MF, HAND_FF = MF + "test_update_is_the_hand_gradient", FF + "test_update_is_the_hand_gradient"
GNN, REUSE = "oracles/test_hand_forward_gnn.py::", "oracles/test_graph_reuse.py::"
HAND_SF, HAND_LA = GNN + "test_single_forward_is_the_hand_gradient", GNN + "test_label_appending_is_the_hand_gradient"
HAND_VN = GNN + "test_virtual_nodes_are_the_hand_gradient_and_negatives_reuse_the_positive_output"
HAND_TI = GNN + "test_top_to_input_steps_odd_layers_first_and_even_ones_see_the_new_states"
HAND_TL = GNN + "test_top_to_loss_reads_classes_from_the_mean_with_the_states_above"
HAND_BP, HAND_REC = BP + "test_update_is_the_hand_gradient", REC + "test_one_frame_is_the_hand_gradient"
NOISE, FEEDBACK = "oracles/test_hand_gradient_noise.py::", "oracles/test_hand_feedback.py::"
HAND_NOISE, HAND_REPLICA = NOISE + "test_update_is_the_clipped_hand_gradient", NOISE + "test_every_replica_moves_by_its"
HAND_REPLICA += "_own_clipped_hand_gradient"
HAND_DFA, HAND_FA = FEEDBACK + "test_dfa_update_is_the_hand_gradient", FEEDBACK + "test_fa_update_is_the_hand_gradient"
ALL = (
    "backprop",
    "cafo",
    "channel-ff",
    "counter-current",
    "dfa",
    "fa",
    "forward-forward",
    "gradient-noise",
    "local-loss",
    "mono-forward",
    "physical-ff",
    "random-features",
    "recurrent-forward-forward",
)
LL, CH = "oracles/test_hand_local_loss.py::", "oracles/test_hand_channel_ff.py::"
HAND_LL, HAND_CH = LL + "test_update_is_the_hand_gradient", CH + "test_update_is_the_hand_gradient"
GRAPH = (
    "forward-gnn",
    "forward-gnn-ff-la",
    "forward-gnn-ff-vn",
    "forward-gnn-top-to-input",
    "forward-gnn-top-to-loss",
)
ALL = (*ALL, *GRAPH, "delay-snn", "delay-snn-local")
DRAWING = ("forward-forward", "physical-ff", "recurrent-forward-forward")
_RESUME = "contract/test_resume.py::test_resume_is_exact[{}-within an epoch]"
RESUME = {rule: _RESUME.format(rule) for rule in ALL}
_STATEFUL = [*RESUME.values(), _RESUME.format("counter-current, cnn")]  # with momentum, and best in its first epoch
_LATE = [RESUME[rule].replace("an epoch", "the last phase") for rule in ("forward-gnn-ff-la", "forward-gnn-ff-vn")]


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Attributes:
        file: within the package ``bpfree``.
        old, new: the text that is there exactly once, and the fault.
        tests: node ids within ``tests/`` of which at least one must fail.
        rules: rules that share this code: of the contract rows of each, at least one must fail.
    """

    file: str
    old: str
    new: str
    tests: Sequence[str]
    rules: Sequence[str] = ()


_BP, _MF, _FF = "rules/backprop.py", "rules/mono_forward.py", "rules/forward_forward.py"
_GN, _DFA, _FA = "rules/gradient_noise.py", "rules/dfa.py", "rules/fa.py"
_CCL, _PAIRS, CCL = (
    "rules/counter_current.py",
    "functional/counter_current.py",
    "oracles/test_hand_counter_current.py::",
)
HAND_CCL = CCL + "test_update_is_the_hand_gradient"
_PFF, _RES, SYSTEMS = "rules/physical_ff.py", "rules/reservoir.py", "nets/test_systems.py::"
_CAFO, _RIDGE, HAND_CAFO = "rules/cafo.py", "functional/closed_form.py", "oracles/test_hand_cafo.py::"
_REC, _MATH = "rules/recurrent_forward_forward.py", "functional/forward_forward.py"

_RF, _RF_LOSS = "rules/random_features.py", "F.cross_entropy(self.blocks[-1](batch.x), batch.y)"
_SF, _LA, _VN = "rules/forward_gnn.py", "rules/forward_gnn_ff_la.py", "rules/forward_gnn_ff_vn.py"
_GG, _GL, _GR = "rules/_graph_goodness.py", "functional/graph_losses.py", "functional/graphs.py"
_TI, _TL = "rules/forward_gnn_top_to_input.py", "rules/forward_gnn_top_to_loss.py"
_NO_OTHER_GRADIENT = STEPS + "test_backward_leaves_no_gradient_outside_the_yielded_owner"
_LABELS = "F.cross_entropy(self.logits(h, batch)[None], batch.y[None])"
_WRONG_LABEL = (_LABELS, _LABELS.replace("batch.y", "((batch.y + 1) % 3)"))
_LOSS = "yield Local(self.judge.loss(h.index_select(0, rows), batch), owner=k)"

_SNN, _SNNL, _SYN = "rules/delay_snn.py", "rules/delay_snn_local.py", "nets/delay_snn.py"
_DELAYS, _SPIKING, SNN = "functional/delays.py", "functional/spiking.py", "oracles/test_hand_delay_snn.py::"
NET, TAPS, LIF = "nets/test_delay_snn_net.py::", "functional/test_delays.py::", "functional/test_spiking.py::"
HAND_SNN = SNN + "test_update_is_the_hand_gradient[delay-snn]"
HAND_SNNL = SNN + "test_update_is_the_hand_gradient[delay-snn-local]"
_OVER_ALL, _PER_LAYER = "F.cross_entropy(self.scores(batch.x), batch.y)", "F.cross_entropy(self.heads[k](h), batch.y)"
_CLAMPED = SNN + "test_positions_stay_within_the_taps_after_every_step"
_TWO_PATHS = TAPS + "test_both_paths_agree_in_value_and_gradients"

DELAY_MUTANTS = {
    "delay-snn: sign flip": Mutant(_SNN, _OVER_ALL, "-" + _OVER_ALL, [HAND_SNN]),
    "delay-snn: off-by-one label": Mutant(
        _SNN, _OVER_ALL, _OVER_ALL.replace("batch.y", "(batch.y + 1) % 3"), [HAND_SNN]
    ),
    "delay-snn: wrong owner": Mutant(
        _SNN, 'positions if name.endswith("synapses.position") else weights', "weights", [_CLAMPED]
    ),
    "delay-snn: positions not clamped": Mutant(
        _SNN, "                    module.clamp()", "                    pass", [_CLAMPED]
    ),
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
        "loop.py",
        "            module.anneal(trainer.phase.epochs)  # type: ignore[operator]",
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
        "held = (1 - fired).mul_(ctx.beta)",
        "held = torch.full_like(fired, ctx.beta)",
        [LIF + "test_gradient_is_the_surrogate_through_time_but_not_through_the_reset", HAND_SNN],
    ),
    "spiking: fires above the threshold alone": Mutant(
        _SPIKING, "torch.ge(now", "torch.gt(now", [LIF + "test_a_membrane_exactly_at_the_threshold_fires"]
    ),
}

GRAPH_MUTANTS = {
    "forward-gnn: sign flip": Mutant(_SF, "yield Local(self", "yield Local(-self", [HAND_SF]),
    "forward-gnn: off-by-one label": Mutant(_GL, *_WRONG_LABEL, [HAND_SF]),
    "forward-gnn: wrong owner": Mutant(_SF, "owner=k", "owner=0", [_NO_OTHER_GRADIENT]),
    "forward-gnn: only the top layer is read out": Mutant(
        _SF,
        "            return total, top.gather",
        "            return 0 * total, top.gather",
        [GNN + "test_single_forward_sums_probabilities_over_all_layers_on_the_training_graph"],
    ),
    "forward-gnn-ff-la: sign flip": Mutant(_GG, "/ negatives).backward()", "/ -negatives).backward()", [HAND_LA]),
    "forward-gnn-ff-vn: sign flip": Mutant(_GG, "(F.softplus(theta", "(-F.softplus(theta", [HAND_VN]),
    "forward-gnn-ff-la: positive and negative swapped": Mutant(
        _GG, "range(negatives, 0, -1)", "range(negatives - 1, -1, -1)", [HAND_LA]
    ),
    "forward-gnn-ff-vn: positive and negative swapped": Mutant(
        _GG,
        "right = self.goodness(layer, batch, 0)\n        yield",
        "right = self.goodness(layer, batch, 1)\n        yield",
        [HAND_VN],
    ),
    "forward-gnn-ff-vn: symba's negatives see no positive": Mutant(
        _GG,
        "                right = self.goodness(layer, batch, 0)",
        "                right = 0 * self.goodness(layer, batch, 0)",
        [GNN + "test_symba_is_the_hand_gradient"],
    ),
    "forward-gnn-ff-la: off-by-one label": Mutant(
        _LA,
        "else self.appended(batch.x, self.shown(batch.graph, m))",
        "else self.appended(batch.x, (self.shown(batch.graph, m) + 1) % 3)",
        [HAND_LA],
    ),
    "forward-gnn-ff-vn: off-by-one label": Mutant(
        _VN, "graph.joined(self.shown(graph, m))", "graph.joined((self.shown(graph, m) + 1) % 3)", [HAND_VN]
    ),
    "forward-gnn-ff-la: wrong owner": Mutant(_GG, "owner=k", "owner=0", [_NO_OTHER_GRADIENT]),
    "forward-gnn-ff-vn: wrong owner": Mutant(_GG, "owner=k", "owner=0", [_NO_OTHER_GRADIENT + "[forward-gnn-ff-vn]"]),
    "forward-gnn-top-to-input: sign flip": Mutant(_TI, _LOSS, _LOSS.replace("Local(", "Local(-"), [HAND_TI]),
    "forward-gnn-top-to-input: missing detach": Mutant(
        _TI, "states[k].copy_(h.detach())", "states[k] = h", [_NO_OTHER_GRADIENT]
    ),
    "forward-gnn-top-to-input: off-by-one label": Mutant(
        _TI, "F.one_hot(known.clamp(min=0), ", "F.one_hot((known.clamp(min=0) + 1) % 3, ", [HAND_TI]
    ),
    "forward-gnn-top-to-input: wrong owner": Mutant(_TI, "owner=k", "owner=0", [_NO_OTHER_GRADIENT]),
    "forward-gnn-top-to-input: state not saved": Mutant(
        _TI,
        "torch.zeros(self.spec.nodes, width))",
        "torch.zeros(self.spec.nodes, width), persistent=False)",
        [RESUME["forward-gnn-top-to-input"]],
    ),
    "forward-gnn-top-to-loss: sign flip": Mutant(_TL, "yield Local(self", "yield Local(-self", [HAND_TL]),
    "forward-gnn-top-to-loss: missing detach": Mutant(
        _TL, "row_norm(h.detach())", "row_norm(h)", [_NO_OTHER_GRADIENT, HAND_TL]
    ),
    "forward-gnn-top-to-loss: off-by-one label": Mutant(_GL, *_WRONG_LABEL, [HAND_TL]),
    "forward-gnn-top-to-loss: wrong owner": Mutant(_TL, "owner=k", "owner=0", [_NO_OTHER_GRADIENT]),
    "forward-gnn-top-to-loss: a layer counts itself twice": Mutant(
        _TL,
        "self.mean(h, states[k + 1 :], rows), batch), owner",
        "self.mean(h, states[k:], rows), batch), owner",
        [HAND_TL],
    ),
    "graphs: reused for another graph": Mutant(
        _GR,
        "for source in sources)",
        "for source in sources[:1])",
        [REUSE + "test_nothing_is_reused_for_another_input_or_another_graph"],
    ),
    "graphs: reused for a changed state": Mutant(
        _GR,
        'getattr(source, "_version", 0)',
        "0",
        [REUSE + "test_a_loaded_state_is_not_answered_from_what_was_kept"],
    ),
    "graphs: the sparse form of other features": Mutant(
        _GR,
        "if forms.get(scaled, (None,))[0] != h._version:",
        "if scaled not in forms:",
        ["functional/test_graphs.py::test_sparse_form_is_made_once_and_made_anew_when_the_features_change"],
    ),
    "graphs: validation labels in training": Mutant(
        "data/graph.py",
        "seen = Graph(raw.edges, len(raw.x), virtual, labels, labels, labels,",
        "seen = Graph(raw.edges, len(raw.x), virtual, labels, labels, context,",
        ["data/test_graph_data.py::test_no_label_is_in_the_graph_that_may_not_be_seen"],
    ),
    "loop: validated every epoch all the same": Mutant(
        "loop.py",
        "if cursor.epoch % self.settings.validate_every and",
        "if False and",
        ["test_loop.py::test_validation_comes_every_few_epochs_and_at_the_end_of_a_phase"],
    ),
}

MUTANTS = {
    **GRAPH_MUTANTS,
    **DELAY_MUTANTS,
    # In the rules ------------------------------------------------------------------------------------------------
    "random-features: sign flip": Mutant(_RF, _RF_LOSS, "-" + _RF_LOSS, [HAND_RF]),
    "random-features: off-by-one label": Mutant(
        _RF, _RF_LOSS, _RF_LOSS.replace("batch.y", "(batch.y + 1) % 3"), [HAND_RF]
    ),
    "random-features: wrong owner": Mutant(
        _RF,
        '"readout": list(self.blocks[-1].parameters())',
        '"readout": list(self.blocks[-1].parameters())[:1]',
        [STEPS + "test_every_parameter_has_exactly_one_owner"],
    ),
    "random-features: features trained": Mutant(
        _RF,
        "(len(self.blocks) - 1,)",
        "range(len(self.blocks))",
        [HAND_RF, STEPS + "test_frozen_blocks_never_change"],
    ),
    "backprop: sign flip": Mutant(_BP, "loss = LOSSES[self.spec.task](", "loss = -LOSSES[self.spec.task](", [HAND_BP]),
    "backprop: off-by-one label": Mutant(
        _BP, "(batch.read(h), batch.y)", "(batch.read(h), (batch.y + 1) % 3)", [HAND_BP]
    ),
    "backprop: wrong owner": Mutant(
        _BP,
        '"net": list(self.parameters())',
        '"net": list(self.blocks.parameters())',
        [STEPS + "test_every_parameter_has_exactly_one_owner"],
    ),
    "backprop: detached between blocks": Mutant(
        _BP, "batch.through(block, h)\n            if", "batch.through(block, h.detach())\n            if", [HAND_BP]
    ),
    "backprop: auxiliary weight forgotten": Mutant(
        _BP,
        "self.settings.auxiliary_weight * sum(auxiliary)",
        "sum(auxiliary)",
        [BP + "test_deep_supervision_adds_the_weighted_losses_of_the_hidden_layers"],
    ),
    "mono-forward: sign flip": Mutant(
        _MF,
        "yield Local(F.cross_entropy(self.heads[k](h.flatten(1)), batch.y), owner=k)",
        "yield Local(-F.cross_entropy(self.heads[k](h.flatten(1)), batch.y), owner=k)",
        [HAND_MF],
    ),
    "mono-forward: missing detach": Mutant(
        _MF,
        "h = block(h.detach())",
        "h = block(h)",
        [STEPS + "test_backward_leaves_no_gradient_outside_the_yielded_owner"],
    ),
    "mono-forward: off-by-one label": Mutant(
        _MF,
        "yield Local(F.cross_entropy(self.heads[k](h.flatten(1)), batch.y), owner=k)",
        "yield Local(F.cross_entropy(self.heads[k](h.flatten(1)), (batch.y + 1) % 3), owner=k)",
        [HAND_MF],
    ),
    "mono-forward: wrong owner": Mutant(
        _MF,
        "yield Local(F.cross_entropy(self.heads[k](h.flatten(1)), batch.y), owner=k)",
        "yield Local(F.cross_entropy(self.heads[k](h.flatten(1)), batch.y), owner=0)",
        [STEPS + "test_backward_leaves_no_gradient_outside_the_yielded_owner"],
    ),
    "mono-forward: blocks above the phase read out": Mutant(
        _MF,
        "in self.trained:",
        "in enumerate(self.blocks):",
        [PREDICT + "test_a_phase_predicts_with_the_blocks_trained_so_far"],
    ),
    "forward-forward: sign flip": Mutant(_FF, "yield Local(loss, owner=k)", "yield Local(-loss, owner=k)", [HAND_FF]),
    "forward-forward: missing detach": Mutant(
        _FF,
        "ff.rms_normalise(a.detach())",
        "ff.rms_normalise(a)",
        [STEPS + "test_backward_leaves_no_gradient_outside_the_yielded_owner"],
    ),
    "forward-forward: positive and negative swapped": Mutant(
        _FF,
        "(batch.y, self.wrong_labels(batch, neutral))",
        "(self.wrong_labels(batch, neutral), batch.y)",
        [HAND_FF],
    ),
    "forward-forward: loss of the streams swapped": Mutant(
        _MATH, "positive[: len(logits) // 2] = 1", "positive[len(logits) // 2 :] = 1", [HAND_FF]
    ),
    "forward-forward: off-by-one label": Mutant(
        _FF,
        "ff.overlay(batch.x, F.one_hot(y, ",
        "ff.overlay(batch.x, F.one_hot((y + 1) % self.spec.classes, ",
        [HAND_FF],
    ),
    "forward-forward: wrong owner": Mutant(
        _FF,
        "yield Local(loss, owner=k)",
        "yield Local(loss, owner=0)",
        [STEPS + "test_backward_leaves_no_gradient_outside_the_yielded_owner"],
    ),
    "forward-forward: state not saved": Mutant(
        _FF,
        'self.register_buffer(f"activity_{k}", torch.full((n,), 0.5))',
        'setattr(self, f"activity_{k}", torch.full((n,), 0.5))',
        [RESUME["forward-forward"]],
    ),
    "forward-forward: a negative may be right": Mutant(
        _MATH,
        "(y + 1 + (draws",
        "(y + (draws",
        ["functional/test_forward_forward.py::test_uniform_negatives_are_never_the_true_class"],
    ),
    "forward-forward: readout sees an empty label": Mutant(
        _FF,
        "x.new_full((classes,), 1 / classes)",
        "x.new_zeros(classes)",
        [FF + "test_readout_descends_the_cross_entropy_of_neutral_activities"],
    ),
    "forward-forward: first block counted": Mutant(
        _FF,
        "range(min(1, len(self.trained) - 1), ",
        "range(0, ",
        [FF + "test_energy_readout_is_the_goodness_of_each_candidate_label"],
    ),
    "forward-forward: temperature forgotten": Mutant(_MATH, ") / temperature", ")", [HAND_FF]),
    "forward-forward: peers pushed down": Mutant(
        _FF, "(m - m.mean())", "(m.mean() - m)", [FF + "test_peer_normalisation_pushes_the_pre_activation_of_positives"]
    ),
    "forward-forward: peers from the negatives": Mutant(
        _FF,
        "grad[:half] +=",
        "grad[half:] +=",
        [FF + "test_peer_normalisation_pushes_the_pre_activation_of_positives"],
    ),
    "recurrent-forward-forward: sign flip": Mutant(
        _REC, "ff.goodness_loss(ff.logits(", "-ff.goodness_loss(ff.logits(", [HAND_REC]
    ),
    "recurrent-forward-forward: missing detach": Mutant(
        _REC,
        "states[k] = x.detach()",
        "states[k] = x",
        [STEPS + "test_backward_leaves_no_gradient_outside_the_yielded_owner"],
    ),
    "recurrent-forward-forward: positive and negative swapped": Mutant(
        _REC, "torch.cat([batch.y, wrong])", "torch.cat([wrong, batch.y])", [HAND_REC]
    ),
    "recurrent-forward-forward: off-by-one label": Mutant(
        _REC, "torch.cat([batch.y, wrong])", "(torch.cat([batch.y, wrong]) + 1) % classes", [HAND_REC]
    ),
    "recurrent-forward-forward: wrong owner": Mutant(
        _REC, "owner=k", "owner=0", [STEPS + "test_backward_leaves_no_gradient_outside_the_yielded_owner"]
    ),
    "recurrent-forward-forward: a layer sees itself": Mutant(_REC, "seen[k + 2]", "seen[k + 1]", [HAND_REC]),
    "gradient-noise: sign flip": Mutant(_GN, "Local(F.cross_entropy(", "Local(-F.cross_entropy(", [HAND_NOISE]),
    "gradient-noise: off-by-one label": Mutant(
        _GN, "y = batch.y[:, None]", "y = (batch.y[:, None] + 1) % 3", [HAND_NOISE]
    ),
    "gradient-noise: replicas averaged": Mutant(_GN, " * scores.shape[1]", "", [HAND_REPLICA]),
    "trainer: one clip for all replicas": Mutant(
        "trainer.py", "ClipNorm(chosen.clip, len(copies))", "ClipNorm(chosen.clip)", [HAND_REPLICA]
    ),
    "trainer: noise before the clip": Mutant(
        "trainer.py",
        "found.append(AnnealedNoise(",
        "found.insert(0, AnnealedNoise(",
        [NOISE + "test_noise_comes_after_the_clip"],
    ),
    "transforms: variance for deviation": Mutant(
        "functional/transforms.py",
        "(-self.gamma / 2)",
        "-self.gamma",
        [NOISE + "test_weights_that_begin_at_zero_walk_as_theory_says"],
    ),
    "transforms: steps of the noise not restored": Mutant(
        "functional/transforms.py", 'self.t = state["t"]', "pass", [RESUME["gradient-noise"]]
    ),
    "transforms: draws of the noise not restored": Mutant(
        "functional/transforms.py", "generator.set_state(saved)", "pass", [RESUME["gradient-noise"]]
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
        _CCL, "a, b = a.flatten(1), b.flatten(1)", "a, b = a.flatten(1), b.detach().flatten(1)", [HAND_CCL]
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
        "self.feedback.requires_grad_(chosen.feedback",
        'self.feedback.requires_grad_("learned"',
        [STEPS + "test_every_parameter_has_exactly_one_owner"],
    ),
    "counter-current: levels paired off by one": Mutant(
        _CCL,
        "            b.pop()  # the level below is done\n",
        "            level > 1 and b.pop()\n",
        [CCL + "test_a_pair_trains_one_layer_of_each_net_and_the_output_only_the_last"],
    ),
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
    "mirror: levels finished by the block above": Mutant(
        "nets/_mirror.py",
        "        below = block\n",
        "",
        ["nets/test_mirror.py::test_a_level_is_made_alike_from_both_sides_and_the_input_is_linear"],
    ),
    "transforms: centralised over the outputs": Mutant(
        "functional/transforms.py",
        "grad.mean(tuple(range(1, grad.ndim)), keepdim=True)",
        "grad.mean(0, keepdim=True)",
        ["functional/test_transforms.py::test_centralise_takes_the_mean_over_the_fan_in_from_every_output"],
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
    "tasks: any rule for any task": Mutant(
        "trainer.py",
        "if spec.task not in self.tasks:",
        "if False:",
        ["data/test_reconstruction.py::test_a_rule_that_cannot_serve_the_task_is_refused_in_one_line"],
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
        "rules/local_loss.py", '"predsim": chosen.beta', '"predsim": 1 - chosen.beta', [HAND_LL]
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
    "owners: steps do not multiply": Mutant(
        "owners.py",
        "0.25 ** sum(",
        "0.25 * sum(",
        ["test_owners.py::test_steps_schedule_quarters_the_rate_four_times"],
    ),
    "physical-ff: sign flip": Mutant(_PFF, "yield Local(pff.pair", "yield Local(-pff.pair", [HAND_PFF]),
    "physical-ff: missing detach": Mutant(_PFF, "    @torch.no_grad()\n    def apply", "    def apply", [HAND_PFF]),
    "physical-ff: positive and negative swapped": Mutant(
        _PFF, "positive, negative = self.goodness", "negative, positive = self.goodness", [HAND_PFF]
    ),
    "physical-ff: off-by-one label": Mutant(
        _PFF, "self.joined(x, batch.y)", "self.joined(x, (batch.y + 1) % self.spec.classes)", [HAND_PFF]
    ),
    "physical-ff: wrong owner": Mutant(_PFF, "theta), owner=k)", "theta), owner=0)", [HAND_PFF]),
    "physical-ff: next layer fed from before the step": Mutant(
        _PFF, "            h = self.apply_updated(layer, seen)\n", "", [HAND_PFF]
    ),
    "physical-ff: measured again for every step": Mutant(
        _PFF,
        "self.goodness(layer.linear(seen), k)",
        "self.goodness(layer(h), k)",
        [PFF + "test_training_measures_two_streams_a_layer_and_prediction_one_for_each_label"],
    ),
    "physical-ff: amplitude from whatever is seen last": Mutant(
        _PFF,
        "torch.maximum(self.amplitude, x.abs().max().to(self.amplitude))",
        "x.abs().max().to(self.amplitude)",
        [PFF + "test_the_amplitude_of_a_label_comes_from_the_training_part"],
    ),
    "reservoir: sign flip": Mutant(_RES, "self.cross += ", "self.cross -= ", [HAND_RES]),
    "reservoir: off-by-one label": Mutant(_RES, "F.one_hot(batch.y,", "F.one_hot((batch.y + 1) % 3,", [HAND_RES]),
    "reservoir: sums of the epoch before stay": Mutant(
        _RES, "        self.gram.zero_()\n", "", [PFF + "test_reservoir_of_a_second_epoch_is_that_of_the_first"]
    ),
    "system: a gradient reaches the input": Mutant(
        "nets/physical/system.py",
        '    @torch.no_grad()\n    def measure(self, x: Tensor, purpose: str = "inference") -> Tensor:',
        '    def measure(self, x: Tensor, purpose: str = "inference") -> Tensor:',
        [SYSTEMS + "test_autograd_cannot_reach_the_input"],
    ),
    "system: repeated calls forgotten": Mutant(
        "nets/instrument.py",
        "self.costs.repeats += len(x)",
        "pass",
        ["nets/test_instrument.py::test_training_goes_on_when_the_instrument_is_killed"],
    ),
    "system: state outside not restored": Mutant(
        "loop.py",
        "            thing.load_state_dict(saved)\n",
        "            pass\n",
        [SYSTEMS + "test_noise_drift_and_counts_resume_exactly"],
    ),
    "system: joules of a simulation": Mutant(
        "facts.py",
        "if any(thing.simulated for thing in things):",
        "if False:",
        ["nets/test_instrument.py::test_simulated_physics_has_no_energy_figure"],
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
    "cafo: statistics of the last batches": Mutant(
        _CAFO,
        "norm.momentum = 1 / self.batches",
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
    # In spiking data --------------------------------------------------------------------------------------------
    "fsdd: test recordings in training": Mutant(
        "data/fsdd.py",
        "(~tested).nonzero()[:, 0]",
        "torch.arange(len(y))",
        ["data/test_fsdd.py::test_no_speaker_leaks"],
    ),
    "fsdd: validation on the training speakers": Mutant(
        "data/fsdd.py",
        "groups=who[train] if by_speaker else None",
        "groups=None",
        ["data/test_fsdd.py::test_no_speaker_leaks"],
    ),
    "fsdd: spikes after the end of a recording": Mutant(
        "data/hearing.py",
        "heard = at < lengths[clip]",
        "heard = at >= 0",
        ["data/test_fsdd.py::test_a_short_sound_beside_a_long_one_ends_with_itself"],
    ),
    "cochlea: fibres that are never tired": Mutant(
        "functional/cochlea.py",
        "free[who_may] -= 1",
        "free[who_may] -= 0",
        ["functional/test_cochlea.py::test_counting_fibres_is_the_same_as_single_fibres"],
    ),
    "spikes: silence before the first spike kept": Mutant(
        "data/spike_file.py",
        "times.append(when - when[0])",
        "times.append(when)",
        ["data/test_spike_file.py::test_counts_are_those_by_hand"],
    ),
    "spikes: judged on other bins than trained on": Mutant(
        "data/spikes.py",
        '("channels", "bin_ms", "crop_s", "data_dir")',
        "()",
        ["data/test_fsdd.py::test_a_model_is_judged_on_what_it_was_trained_on"],
    ),
    # In what all rules share -------------------------------------------------------------------------------------
    "loop: forgotten clearing of gradients": Mutant(
        "loop.py",
        "        owner.clear()\n",
        "",
        [STEPS + "test_gradients_are_forgotten_before_the_rule_goes_on", STEPS + "test_no_gradient_outlives_a_batch"],
        ALL,
    ),
    "loop: test data in validation": Mutant(
        "loop.py",
        "value = self.evaluate(self.data.val)",
        "value = self.evaluate(self.data.test)",
        [STEPS + "test_training_never_reads_the_test_part"],
        (*ALL, "reservoir"),
    ),
    "loop: training mode at test": Mutant(
        "loop.py",
        "        module.training = False\n",
        "        pass\n",
        [PREDICT + "test_prediction_runs_in_evaluation_mode"],
        (*ALL, "reservoir"),
    ),
    "loop: batch norm in training mode at test": Mutant(
        "loop.py",
        "        module.training = False\n",
        "        pass\n",
        [PREDICT + "test_a_prediction_does_not_depend_on_the_other_rows_of_its_batch[mono-forward, batch norm]"],
    ),
    "loop: optimizer state not restored": Mutant(
        "loop.py", "            owner.load_state_dict(saved)\n", "            pass\n", _STATEFUL, ALL
    ),
    "loop: random state not restored": Mutant(
        "loop.py",
        'self.trainer.streams.load_state_dict(own["streams"])',
        "pass",
        [RESUME[rule] for rule in DRAWING],
        DRAWING,
    ),
    "loop: early stop not restored": Mutant(
        "loop.py",
        'self.early.load_state_dict(state["early"])',
        "pass",
        [*_STATEFUL, _RESUME.format("forward-forward, mean goodness"), *_LATE],
        ALL,
    ),
    "loop: diagnostics not restored": Mutant(
        "loop.py", 'self.monitor.load_state_dict(state["monitor"])', "pass", [*RESUME.values()], ALL
    ),
    "loop: best state not restored": Mutant(
        "loop.py",
        "        self.early.restore(self.trainer)\n",
        "",
        ["test_loop.py::test_patience_stops_the_phase_and_the_best_state_comes_back"],
    ),
    "loop: frozen blocks in training mode": Mutant(
        "loop.py",
        "                module.training = trains\n",
        "                module.training = True\n",
        ["test_loop.py::test_frozen_blocks_are_in_evaluation_mode_and_training_ones_are_not"],
    ),
    "loop: a pass goes on without its sums": Mutant(
        "loop.py",
        "        if self.trainer.phase.restart:\n",
        "        if False:\n",
        [_RESUME.format("cafo, mse")],
    ),
    "loop: sums of another pass": Mutant(
        "loop.py", "            trainer.on_pass()\n", "            pass\n", [HAND_CAFO + "test_mse_is_ridge_regression"]
    ),
    "loop: leaks not noticed": Mutant(
        "loop.py",
        "            if leaked:\n",
        "            leaked = False\n            if leaked:\n",
        ["test_loop.py::test_a_yield_inside_a_context_manager_is_an_error"],
    ),
    "loop: rate of the run, not of the phase": Mutant(
        "loop.py",
        "(self.cursor.epoch + self.cursor.batch",
        "(self.cursor.epochs + self.cursor.batch",
        ["test_loop.py::test_the_learning_rate_follows_the_progress_of_the_phase"],
    ),
    "loop: warm-up of the run, not of the phase": Mutant(
        "loop.py",
        "done = self.cursor.epoch * self.batches + self.cursor.batch",
        "done = self.cursor.steps",
        ["test_loop.py::test_warm_up_counts_the_batches_of_the_phase"],
    ),
    "streams: global state not restored": Mutant(
        "streams.py",
        'torch.set_rng_state(state.pop("global"))',
        'state.pop("global")',
        ["test_loop.py::test_dropout_augmentation_momentum_and_early_stop_resume_exactly"],
    ),
    "owners: biases decay": Mutant(
        "owners.py",
        '"weight_decay": 0.0',
        '"weight_decay": optim.weight_decay',
        ["test_owners.py::test_weight_decay_shrinks_matrices_and_kernels_but_no_bias"],
    ),
    "owners: processes weighted alike": Mutant(
        "owners.py",
        "flat.mul_(share)",
        "flat.div_(world()[1])",
        ["contract/test_processes.py::test_two_processes_equal_one[a ragged last batch]"],
    ),
    "owners: half-linear falls at once": Mutant(
        "owners.py",
        "min(1.0, 2 * (1 - progress))",
        "1 - progress",
        ["test_owners.py::test_half_linear_schedule_is_constant_to_half_then_falls_to_zero"],
    ),
    "monitor: any change is an improvement": Mutant(
        "monitor.py", "> self.min_delta", "!= self.min_delta", ["test_monitor.py::test_early_stop_by_hand"]
    ),
    "monitor: best state by reference": Mutant(
        "monitor.py", "tensor.detach().clone()", "tensor.detach()", ["test_monitor.py::test_the_best_state_is_a_copy"]
    ),
    "checkpoint: not synced before its name": Mutant(
        "../energy/files.py",
        "            os.fsync(file.fileno())\n",
        "",
        ["test_checkpoint.py::test_a_write_is_on_disk_before_it_gets_its_name"],
    ),
    "checkpoint: folder shared": Mutant(
        "checkpoint.py",
        "fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        ["test_checkpoint.py::test_two_processes_cannot_own_one_folder"],
    ),
}

SHARED = {  # faults that sit in code that every rule runs through
    "forgotten clearing": "loop: forgotten clearing of gradients",
    "test data in validation": "loop: test data in validation",
    "training mode at test": "loop: training mode at test",
    "state not saved": "loop: optimizer state not restored",
}
OWN = ("sign flip", "missing detach", "positive and negative swapped", "off-by-one label", "wrong owner")
_GREEDY = "a layer's input is computed by the loop, without gradients"
NOT_APPLICABLE = {
    ("counter-current", "positive and negative swapped"): "it has no negatives",
    ("forward-gnn", "missing detach"): _GREEDY,
    ("forward-gnn-ff-la", "missing detach"): _GREEDY,
    ("forward-gnn-ff-vn", "missing detach"): _GREEDY,
    ("forward-gnn", "positive and negative swapped"): "it has one stream",
    ("forward-gnn-top-to-input", "positive and negative swapped"): "it has one stream",
    ("forward-gnn-top-to-loss", "positive and negative swapped"): "it has one stream",
    ("delay-snn", "missing detach"): "nothing is detached in it but the reset, see spiking",
    ("delay-snn", "positive and negative swapped"): "it has one stream",
    ("delay-snn-local", "positive and negative swapped"): "it has one stream",
    ("backprop", "missing detach"): "nothing is detached in it",
    ("backprop", "positive and negative swapped"): "it has one stream",
    ("dfa", "positive and negative swapped"): "it has one stream",
    ("fa", "positive and negative swapped"): "it has one stream",
    ("fa", "wrong owner"): "it has one owner, backpropagation's",
    ("gradient-noise", "missing detach"): "nothing is detached in it",
    ("gradient-noise", "positive and negative swapped"): "it has one stream",
    ("gradient-noise", "wrong owner"): "it has one owner, backpropagation's",
    ("cafo", "positive and negative swapped"): "it has one stream",
    ("mono-forward", "positive and negative swapped"): "it has one stream",
    **{
        ("reservoir", fault): "it solves for its readout, without gradients"
        for fault in ("missing detach", "wrong owner")
    },
    ("reservoir", "positive and negative swapped"): "it has one stream",
    ("reservoir", "forgotten clearing"): "it has no gradients",
    ("reservoir", "state not saved"): "it has no optimizer; its sums are buffers",
    ("local-loss", "positive and negative swapped"): "it has one stream",
    ("channel-ff", "positive and negative swapped"): "it has one stream",
    ("random-features", "positive and negative swapped"): "it has one stream",
    ("random-features", "missing detach"): "the loop computes its features, and gives them to it without a graph",
}


def rules() -> list[str]:
    """Rules in the package, by file name: nothing of bpfree is imported here."""
    files = (ROOT / "bpfree" / "rules").glob("*.py")
    return sorted(path.stem.replace("_", "-") for path in files if not path.name.startswith("_"))


def missing_cells() -> list[tuple[str, str]]:
    """Rules and faults without a mutant and without a reason."""
    shared = [(rule, fault) for rule in rules() for fault, name in SHARED.items() if rule not in MUTANTS[name].rules]
    own = [(rule, fault) for rule in rules() for fault in OWN if f"{rule}: {fault}" not in MUTANTS]
    return [cell for cell in shared + own if cell not in NOT_APPLICABLE]


def plant(mutant: Mutant | None, where: Path) -> None:
    """A copy of the package in ``where``, with the fault.

    Raises:
        ValueError: the place does not exist exactly once, so the fault would change nothing or too much.
    """
    ignore = shutil.ignore_patterns("__pycache__", "*.npz")
    for package in ("bpfree", "energy"):
        shutil.copytree(ROOT / package, where / package, ignore=ignore)
    for data in (ROOT / "bpfree").rglob("*.npz"):
        (where / data.relative_to(ROOT)).symlink_to(data)
    if mutant is None:
        return
    path = where / "bpfree" / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1 or mutant.old == mutant.new:
        raise ValueError(f"{mutant.file} has {text.count(mutant.old)} of {mutant.old!r}: not applicable, write it anew")
    path.write_text(text.replace(mutant.old, mutant.new))


def run_tests(overlay: str, tests: Sequence[str], log: str, result) -> None:
    """In a process of its own: the tests against the copy; sends (exit code, ids of failed tests)."""
    sys.dont_write_bytecode = True
    for variable in [name for name in os.environ if name.startswith("PYTEST_")]:
        del os.environ[variable]
    os.environ["PYTHONPATH"] = overlay
    sys.path.insert(0, overlay)
    os.chdir(ROOT)
    import pytest

    failed: list[str] = []

    class Reports:
        def pytest_runtest_logreport(self, report) -> None:
            if report.failed:
                failed.append(report.nodeid)

    with open(log, "w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        code = pytest.main([*options, *(f"{ROOT}/tests/{test}" for test in tests)], plugins=[Reports()])
    import bpfree

    assert bpfree.__path__[0].startswith(overlay)
    result.send((int(code), failed))


def attempt(mutant: Mutant | None, tests: Sequence[str]) -> tuple[int, list[str], str]:
    """Exit code of pytest, failed tests and the log of one mutant, or of the package as it is."""
    context = forked.context()
    with tempfile.TemporaryDirectory() as folder:
        plant(mutant, Path(folder))
        log = Path(folder) / "log"
        receive, send = context.Pipe(duplex=False)
        tests = [test.removesuffix("::") for test in tests]
        process = context.Process(target=run_tests, args=(folder, tests, str(log), send))
        process.start()
        send.close()
        try:
            code, failed = receive.recv() if receive.poll(TIMEOUT_S) else (-1, [])
        except EOFError:
            code, failed = -2, []
        process.kill()
        process.join()
        return code, failed, log.read_text() if log.exists() else ""


def survivors(name: str) -> str:
    """Why the mutant called ``name`` is not caught; empty when it is."""
    mutant = MUTANTS[name]
    code, failed, log = attempt(mutant, mutant.tests)
    if code != 1:
        return f"{name}: pytest ended with {code}, not with failed tests\n{log[-3000:]}"
    missed = [rule for rule in mutant.rules if not any(_is_of(node, rule) for node in failed)]
    return f"{name}: not noticed for {', '.join(missed)}\n{log[-3000:]}" if missed else ""


def _is_of(node: str, rule: str) -> bool:
    """Whether a node id such as ``…[mono-forward, joint-within an epoch]`` is of a row of ``rule``."""
    row = node.partition("[")[2]
    return row.startswith(rule) and row[len(rule) : len(rule) + 1] in (",", "-", "]")


def clean_tests() -> list[str]:
    """Every test that some mutant relies on, once."""
    return sorted({test for mutant in MUTANTS.values() for test in mutant.tests})


def main(names: Sequence[str]) -> int:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(survivors, names or MUTANTS))
    for name, why in zip(names or MUTANTS, found, strict=True):
        print(f"{'SURVIVED' if why else 'caught':9} {name}")
    for why in filter(None, found):
        print("\n" + why)
    for cell, reason in NOT_APPLICABLE.items():
        print(f"{'n/a':9} {': '.join(cell)} ({reason})")
    print(f"{sum(not why for why in found)} of {len(found)} caught")
    return int(any(found) or bool(missing_cells()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
