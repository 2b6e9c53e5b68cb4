"""Faults in the reading of tables, targets and labels, and in what later rows and metrics are held against."""

from planted.fault import Mutant

COLUMNS, TARGETS, LABELS = "data/tables/test_columns.py::", "data/test_targets.py::", "data/test_labels.py::"
DOORS, EVALUATING, OWN = "data/test_doors_of_tables.py::", "runs/test_evaluating.py::", "runs/test_own_graphs.py::"
UNITS = EVALUATING + "test_metrics_of_numbers_are_in_their_units"

MUTANTS = {
    "tables: gaps filled with zero": Mutant(
        "data/rows.py",
        "torch.where(x.isnan(), self.fill.to(x.dtype), x)",
        "torch.where(x.isnan(), 0, x)",
        [COLUMNS + "test_missing_numbers_become_the_mean_of_the_training_part"],
    ),
    "tables: no mark of a filled gap": Mutant(
        "data/tables/layout.py",
        "([np.isnan(numbers)[:, None]] if column.missing else [])",
        "([np.zeros((len(numbers), 1))] if column.missing else [])",
        [COLUMNS + "test_missing_numbers_become_the_mean_of_the_training_part"],
    ),
    "tables: left as they are by default": Mutant(
        "data/rows.py",
        "standard(rows) if is_table(rows) else unit(rows)",
        "unit(rows)",
        [EVALUATING + "test_the_default_of_a_table_is_that_of_a_standard_scaler"],
    ),
    "targets: learnt as they are": Mutant(
        "data/reader.py",
        "        target = scale(raw.y[train])\n",
        "        target = scale(raw.y[train])\n        target = (target[0] * 0, target[1] * 0 + 1)\n",
        [TARGETS + "test_numbers_are_learnt_on_the_scale_of_the_training_part"],
    ),
    "targets: the scale of all rows": Mutant(
        "data/reader.py",
        "target = scale(raw.y[train])",
        "target = scale(raw.y)",
        [TARGETS + "test_numbers_are_learnt_on_the_scale_of_the_training_part"],
    ),
    "targets: numbers are split as classes": Mutant(
        "data/reader.py",
        "    if raw.numbers:\n        y = torch.zeros(",
        "    if False:\n        y = torch.zeros(",
        [TARGETS + "test_rows_of_a_regression_are_split_without_classes"],
    ),
    "targets: predictions without their offset": Mutant(
        "data/targets.py",
        "numbers.cpu().double() * deviation + offset",
        "numbers.cpu().double() * deviation",
        [UNITS],
    ),
    "targets: a run's metrics on the scale of the training": Mutant(
        "runs/results.py",
        "outputs = (scores, y) if target is None else (unscaled(scores, target), unscaled(y, target))",
        "outputs = (scores, y)",
        [UNITS],
    ),
    "labels: one-hot rows by their last column": Mutant(
        "data/labels.py",
        "labels[array.argmax(1)]",
        "labels[array.argmax(1) - 1]",
        [LABELS + "test_one_hot_rows_are_the_columns_that_they_name"],
    ),
    "labels: numbers by their text": Mutant(
        "data/labels.py",
        "np.unique(array, return_inverse=True)",
        "np.unique(array.astype(str), return_inverse=True)",
        [LABELS + "test_classes_are_those_of_the_label_encoder"],
    ),
    "evaluation: other data take the training's test part": Mutant(
        "runs/model.py",
        "return own if same else",
        "return own if True else",
        [EVALUATING + "test_other_data_do_not_borrow_the_test_part"],
    ),
    "graphs: settings of a function's graph are lost": Mutant(
        "data/made.py",
        "MadeGraph(name, make) if make.graph else Made(name, make)",
        "Made(name, make)",
        [OWN + "test_settings_of_graphs_count_and_the_run_comes_back"],
    ),
    "plan: auto is another net than what it became": Mutant(
        "runs/plan.py",
        '            data["normalize"] = spec.normalize\n',
        "            pass\n",
        ["runs/test_plan.py::test_auto_and_what_it_became_are_one_net_and_other_normalisations_are_another"],
    ),
}
