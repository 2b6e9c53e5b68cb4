"""Faults in the rules, losses and data of graphs."""

from planted.fault import RESUME, STEPS, Mutant

GNN, REUSE = "oracles/test_hand_forward_gnn.py::", "oracles/test_graph_reuse.py::"
HAND_SF, HAND_LA = GNN + "test_single_forward_is_the_hand_gradient", GNN + "test_label_appending_is_the_hand_gradient"
HAND_VN = GNN + "test_virtual_nodes_are_the_hand_gradient_and_negatives_reuse_the_positive_output"
HAND_TI = GNN + "test_top_to_input_steps_odd_layers_first_and_even_ones_see_the_new_states"
HAND_TL = GNN + "test_top_to_loss_reads_classes_from_the_mean_with_the_states_above"
_SF, _LA, _VN = "rules/graphs/forward_gnn.py", "rules/graphs/forward_gnn_ff_la.py", "rules/graphs/forward_gnn_ff_vn.py"
_GG, _GL = "rules/graphs/_goodness.py", "rules/graphs/_criteria.py"
_MEMO, _SPARSE = "graphs/memo.py", "graphs/sparse.py"
_TI, _TL = "rules/graphs/forward_gnn_top_to_input.py", "rules/graphs/forward_gnn_top_to_loss.py"
_NO_OTHER_GRADIENT = STEPS + "test_backward_leaves_no_gradient_outside_the_yielded_owner"
_LABELS = "F.cross_entropy(self.logits(h, batch)[None], batch.y[None])"
_WRONG_LABEL = (_LABELS, _LABELS.replace("batch.y", "((batch.y + 1) % 3)"))
_LOSS = "yield Local(self.criterion.loss(h.index_select(0, rows), batch), owner=k)"

MUTANTS = {
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
    "graphs: a prediction taken for the loss": Mutant(
        _MEMO,
        "key = (kind, *",
        "key = ('', *",
        [REUSE + "test_a_prediction_on_the_training_nodes_is_no_loss"],
    ),
    "graphs: reused for another graph": Mutant(
        _MEMO,
        "for source in sources)",
        "for source in sources[:1])",
        [REUSE + "test_nothing_is_reused_for_another_input_or_another_graph"],
    ),
    "graphs: reused for a changed state": Mutant(
        _MEMO,
        'getattr(source, "_version", 0)',
        "0",
        [REUSE + "test_a_loaded_state_is_not_answered_from_what_was_kept"],
    ),
    "graphs: the sparse form of other features": Mutant(
        _SPARSE,
        "if forms.get(scaled, (None,))[0] != h._version:",
        "if scaled not in forms:",
        ["graphs/test_graph.py::test_sparse_form_is_made_once_and_made_anew_when_the_features_change"],
    ),
    "graphs: validation labels in training": Mutant(
        "data/graphs/splits.py",
        "seen = Graph(raw.edges, len(raw.x), virtual, labels, labels, labels,",
        "seen = Graph(raw.edges, len(raw.x), virtual, labels, labels, context,",
        ["data/graphs/test_graph_data.py::test_no_label_is_in_the_graph_that_may_not_be_seen"],
    ),
}
