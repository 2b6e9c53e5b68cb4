"""Faults in what all rules share."""

from planted.fault import ALL, HAND_CAFO, PREDICT, RESUME, RESUME_OF, STEPS, Mutant

DRAWING = ("forward-forward", "physical-ff", "recurrent-forward-forward")
_STATEFUL = [*RESUME.values(), RESUME_OF.format("counter-current, cnn")]  # with momentum, and best in its first epoch
_LATE = [RESUME[rule].replace("an epoch", "the last phase") for rule in ("forward-gnn-ff-la", "forward-gnn-ff-vn")]

MUTANTS = {
    "loop: validated every epoch all the same": Mutant(
        "training/loop.py",
        "if cursor.epoch % self.settings.validate_every and",
        "if False and",
        ["training/test_phases.py::test_validation_comes_every_few_epochs_and_at_the_end_of_a_phase"],
    ),
    "tasks: any rule for any task": Mutant(
        "training/contract.py",
        "if spec.task not in tasks:",
        "if False:",
        ["data/test_reconstruction.py::test_a_rule_that_cannot_serve_the_task_is_refused_in_one_line"],
    ),
    "owners: steps do not multiply": Mutant(
        "training/optimizers.py",
        "0.25 ** sum(",
        "0.25 * sum(",
        ["training/test_optimizers.py::test_steps_schedule_quarters_the_rate_four_times"],
    ),
    "loop: layers that have not begun narrow": Mutant(
        "training/loop.py",
        " and m not in rest]",
        "]",
        ["training/test_frozen_parts.py::test_bumps_of_layers_that_have_not_begun_stay_wide"],
    ),
    "loop: forgotten clearing of gradients": Mutant(
        "training/learner.py",
        "        owner.clear()\n",
        "",
        [STEPS + "test_gradients_are_forgotten_before_the_rule_goes_on", STEPS + "test_no_gradient_outlives_a_batch"],
        ALL,
    ),
    "loop: test data in validation": Mutant(
        "training/loop.py",
        "value = self.evaluate(self.data.val)",
        "value = self.evaluate(self.data.test)",
        [STEPS + "test_training_never_reads_the_test_part"],
        (*ALL, "reservoir"),
    ),
    "loop: training mode at test": Mutant(
        "training/evaluation.py",
        "        module.training = False\n",
        "        pass\n",
        [PREDICT + "test_prediction_runs_in_evaluation_mode"],
        (*ALL, "reservoir"),
    ),
    "loop: batch norm in training mode at test": Mutant(
        "training/evaluation.py",
        "        module.training = False\n",
        "        pass\n",
        [PREDICT + "test_prediction_runs_in_evaluation_mode[mono-forward, batch norm]"],
    ),
    "loop: optimizer state not restored": Mutant(
        "training/checkpoint.py", "        owner.load_state_dict(saved)\n", "        pass\n", _STATEFUL, ALL
    ),
    "loop: random state not restored": Mutant(
        "training/checkpoint.py",
        'trainer.streams.load_state_dict(process["streams"])',
        "pass",
        [RESUME[rule] for rule in DRAWING],
        DRAWING,
    ),
    "loop: early stop not restored": Mutant(
        "training/checkpoint.py",
        'loop.early.load_state_dict(state["early"])',
        "pass",
        [*_STATEFUL, RESUME_OF.format("forward-forward, mean goodness"), *_LATE],
        ALL,
    ),
    "loop: diagnostics not restored": Mutant(
        "training/checkpoint.py", 'loop.monitor.load_state_dict(state["monitor"])', "pass", [*RESUME.values()], ALL
    ),
    "loop: best state not restored": Mutant(
        "training/loop.py",
        "        self.early.restore(self.trainer)\n",
        "        pass\n",
        ["training/test_phases.py::test_patience_stops_the_phase_and_the_best_state_comes_back"],
    ),
    "loop: frozen blocks in training mode": Mutant(
        "training/loop.py",
        "                module.training = trains\n",
        "                module.training = True\n",
        ["training/test_loop.py::test_frozen_blocks_are_in_evaluation_mode_and_training_ones_are_not"],
    ),
    "loop: a pass goes on without its sums": Mutant(
        "training/checkpoint.py",
        "    if trainer.phase.restart:\n",
        "    if False:\n",
        [RESUME_OF.format("cafo, mse")],
    ),
    "loop: sums of another pass": Mutant(
        "training/loop.py",
        "            trainer.on_pass()\n",
        "            pass\n",
        [HAND_CAFO + "test_mse_is_ridge_regression"],
    ),
    "loop: leaks not noticed": Mutant(
        "training/learner.py",
        "            if leaked:\n",
        "            leaked = False\n            if leaked:\n",
        ["training/test_loop.py::test_a_yield_inside_a_context_manager_is_an_error"],
    ),
    "loop: rate of the run, not of the phase": Mutant(
        "training/learner.py",
        "(self.cursor.epoch + self.cursor.batch",
        "(self.cursor.epochs + self.cursor.batch",
        ["training/test_phases.py::test_the_learning_rate_follows_the_progress_of_the_phase"],
    ),
    "loop: warm-up of the run, not of the phase": Mutant(
        "training/learner.py",
        "return self.cursor.epoch * self.batches + self.cursor.batch",
        "return self.cursor.steps",
        ["training/test_phases.py::test_warm_up_counts_the_batches_of_the_phase"],
    ),
    "loop: answers given to predict": Mutant(
        "training/evaluation.py",
        "dataclasses.replace(batch, y=None)",
        "batch",
        ["training/test_contract.py::test_a_rule_does_not_get_the_answers_when_it_predicts"],
    ),
    "loop: whoever is reached steps": Mutant(
        "training/learner.py",
        "                if not shared:\n",
        "                if False:\n",
        ["training/test_contract.py::test_a_wrong_local_loss_is_one_clear_line"],
    ),
    "checkpoint: two names, one memory": Mutant(
        "training/checkpoint.py",
        "tensor.clone() if place in seen else tensor",
        "tensor",
        ["system/test_python.py::test_tensors_under_two_names_are_saved_and_draws_are_there_after_loading"],
    ),
    "streams: global state not restored": Mutant(
        "training/random_streams.py",
        'torch.set_rng_state(state.pop("global"))',
        'state.pop("global")',
        ["training/test_loop.py::test_dropout_augmentation_momentum_and_early_stop_resume_exactly"],
    ),
    "trainer: half a net after a refusal": Mutant(
        "training/trainer.py",
        "            del self.spec\n            self.heads",
        "            self.heads",
        ["training/test_contract.py::test_a_trainer_that_setup_refused_is_unbuilt_and_refuses_again[net by its name]"],
    ),
    "monitor: steps of the epoch": Mutant(
        "training/learner.py",
        "record_loss(key, loss, self.cursor.steps)",
        "record_loss(key, loss, self.cursor.batch)",
        ["training/test_loop.py::test_the_step_that_diverged_is_counted_over_the_run[3]"],
    ),
    "owners: biases decay": Mutant(
        "training/optimizers.py",
        '"weight_decay": 0.0',
        '"weight_decay": optim.weight_decay',
        ["training/test_owners.py::test_weight_decay_shrinks_matrices_and_kernels_but_no_bias"],
    ),
    "owners: processes weighted alike": Mutant(
        "training/distributed.py",
        "flat.mul_(share)",
        "flat.div_(world()[1])",
        ["contract/test_processes.py::test_two_processes_equal_one[a ragged last batch]"],
    ),
    "owners: half-linear falls at once": Mutant(
        "training/optimizers.py",
        "min(1.0, 2 * (1 - progress))",
        "1 - progress",
        ["training/test_optimizers.py::test_half_linear_schedule_is_constant_to_half_then_falls_to_zero"],
    ),
    "monitor: any change is an improvement": Mutant(
        "training/early_stopping.py",
        "> self.min_delta",
        "!= self.min_delta",
        ["training/test_diagnostics.py::test_early_stop_by_hand"],
    ),
    "monitor: best state by reference": Mutant(
        "training/early_stopping.py",
        "tensor.detach().clone()",
        "tensor.detach()",
        ["training/test_diagnostics.py::test_the_best_state_is_a_copy"],
    ),
    "checkpoint: not synced before its name": Mutant(
        "training/files.py",
        "            os.fsync(file.fileno())\n",
        "",
        ["training/test_checkpoint.py::test_a_write_is_on_disk_before_it_gets_its_name"],
    ),
    "checkpoint: folder shared": Mutant(
        "training/files.py",
        "lock.acquire(blocking=False)",
        "pass",
        ["training/test_checkpoint.py::test_two_processes_cannot_own_one_folder"],
    ),
}
