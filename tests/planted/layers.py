"""Faults in the rules of fully connected layers."""

from planted.fault import PREDICT, RESUME, STEPS, Mutant

MF, FF = "oracles/test_hand_mono_forward.py::", "oracles/test_hand_forward_forward.py::"
RF = "oracles/test_hand_random_features.py::"
HAND_RF = RF + "test_update_is_the_hand_gradient_of_the_readout_alone"
BP, REC = "oracles/test_hand_backprop.py::", "oracles/test_hand_recurrent.py::"
HAND_MF, HAND_FF = MF + "test_update_is_the_hand_gradient", FF + "test_update_is_the_hand_gradient"
HAND_BP, HAND_REC = BP + "test_update_is_the_hand_gradient", REC + "test_one_frame_is_the_hand_gradient"
_BP, _MF, _FF = "rules/backprop.py", "rules/mono_forward.py", "rules/forward_forward.py"
_PEERS = "rules/_peers.py"
_REC, _MATH = "rules/recurrent_forward_forward.py", "functional/forward_forward.py"
_RF, _RF_LOSS = "rules/random_features.py", "LOSSES[self.spec.task](self.blocks[-1](batch.x), batch.y)"

MUTANTS = {
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
        "(last,)",
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
        _BP, "batch.through(stage, h)\n            if", "batch.through(stage, h.detach())\n            if", [HAND_BP]
    ),
    "backprop: micro-batches of equal weight": Mutant(
        "training/micro_batches.py",
        "(len(part.x) / len(batch.x))",
        "(1 / (len(parts) + 1))",
        [BP + "test_micro_batches_add_up_to_the_hand_gradient_of_the_batch[5-plain]"],
    ),
    "backprop: buffers updated in both passes": Mutant(
        "training/recomputation.py",
        "self.segment(h) if forward else functional_call(self.segment, before, h)",
        "self.segment(h)",
        ["training/test_less_memory.py::test_activations_computed_twice_change_nothing[batch]"],
    ),
    "backprop: auxiliary weight forgotten": Mutant(
        _BP,
        "self.settings.auxiliary_weight * sum(auxiliary)",
        "sum(auxiliary)",
        [BP + "test_deep_supervision_adds_the_weighted_losses_of_the_hidden_layers"],
    ),
    "mono-forward: sign flip": Mutant(
        _MF,
        "yield Local(self.loss(self.heads[k](h.flatten(1)), batch.y), owner=k)",
        "yield Local(-self.loss(self.heads[k](h.flatten(1)), batch.y), owner=k)",
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
        "yield Local(self.loss(self.heads[k](h.flatten(1)), batch.y), owner=k)",
        "yield Local(self.loss(self.heads[k](h.flatten(1)), (batch.y + 1) % 3), owner=k)",
        [HAND_MF],
    ),
    "mono-forward: wrong owner": Mutant(
        _MF,
        "yield Local(self.loss(self.heads[k](h.flatten(1)), batch.y), owner=k)",
        "yield Local(self.loss(self.heads[k](h.flatten(1)), batch.y), owner=0)",
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
        "self.label.join(batch.x, F.one_hot(y, ",
        "self.label.join(batch.x, F.one_hot((y + 1) % self.spec.classes, ",
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
        _PEERS,
        "(activity - activity.mean())",
        "(activity.mean() - activity)",
        [FF + "test_peer_normalisation_pushes_the_pre_activation_of_positives"],
    ),
    "forward-forward: peers from the negatives": Mutant(
        _PEERS,
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
}
