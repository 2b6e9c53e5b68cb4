"""Faults in the rules and nets of physical systems."""

from planted.fault import Mutant

PFF = "oracles/test_hand_physical_ff.py::"
HAND_PFF = PFF + "test_update_is_the_hand_gradient_and_the_next_layer_sees_the_updated_map"
HAND_RES = PFF + "test_reservoir_is_ridge_regression_on_the_last_measurement"
_PFF, _RES, SYSTEMS = "rules/physical_ff.py", "rules/reservoir.py", "nets/test_systems.py::"

_FEWER_ROWS = "contract/test_processes.py::test_two_processes_equal_one[a last batch smaller than the world]"
FROZEN = "training/test_frozen_parts.py::test_a_measured_prefix_is_measured_in_every_step_and_counts_as_training"

MUTANTS = {
    "system: a frozen prefix measured once": Mutant("training/loop.py", " and not self.external:", ":", [FROZEN]),
    "system: training counted as inference": Mutant(
        "nets/physical/layer.py", "self.training or self.external.learning", "self.training", [FROZEN]
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
    "reservoir: sign flip": Mutant(_RES, "self.sums.add(s, target", "self.sums.add(s, -target", [HAND_RES]),
    "reservoir: off-by-one label": Mutant(_RES, "columns(batch.y,", "columns((batch.y + 1) % 3,", [HAND_RES]),
    "reservoir: padding learned": Mutant(_RES, "if not batch.padding:", "if True:", [_FEWER_ROWS]),
    "reservoir: processes solve alone": Mutant("rules/_ridge.py", "if world()[1] > 1:", "if False:", [_FEWER_ROWS]),
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
        "training/checkpoint.py",
        "        system.load_state_dict(saved)\n",
        "        pass\n",
        [SYSTEMS + "test_noise_drift_and_counts_resume_exactly"],
    ),
    "system: joules of a simulation": Mutant(
        "runs/provenance.py",
        "if any(thing.simulated for thing in things):",
        "if False:",
        ["nets/test_instrument.py::test_simulated_physics_has_no_energy_figure"],
    ),
}
