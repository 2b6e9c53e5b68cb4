"""Faults in comparisons and searches."""

from planted.fault import Mutant

_EARLIER = "studies/test_earlier_studies.py::"

MUTANTS = {
    "plan: every seed in one order": Mutant(
        "studies/plan.py",
        "if turn % 2 == 0 else",
        "if turn >= 0 else",
        ["studies/test_compare.py::test_order_is_there_and_back_again"],
    ),
    "compare: goes on with today's defaults": Mutant(
        "studies/compare.py",
        'arms, specs = restore_arms(plan["arms"], data, settings)',
        "arms, specs, _ = build_arms(texts, data, options.net, settings, controls=wanted, quick=options.quick)",
        [f"{_EARLIER}test_defaults_that_change_do_not_reach_a_study_that_goes_on"],
    ),
    "ledger: the repeated arm with other settings": Mutant(
        "studies/ledger.py",
        "if arm.repeats else arm",
        "if False else arm",
        ["studies/test_compare.py::test_search_is_equal_for_all_arms_and_its_cost_is_kept_apart"],
    ),
    "arms: a twin that is an arm's double is lost": Mutant(
        "studies/arms.py",
        'twin.role = "twin"',
        "pass",
        ["studies/test_arms.py::test_study_of_backprop_alone_keeps_its_twin[False]"],
    ),
    "plan: a definition without its arms": Mutant(
        "studies/plan.py",
        "**defined, **_planned(arms)",
        "**defined",
        ["studies/test_compare.py::test_definition_is_fixed_before_the_first_run"],
    ),
    "search: what an arm says is searched too": Mutant(
        "studies/settings_search.py",
        "*arm.written, ",
        "",
        ["studies/test_compare.py::test_search_is_equal_for_all_arms_and_its_cost_is_kept_apart"],
    ),
    "search: test data in the trials": Mutant(
        "studies/trials.py",
        "return dataclasses.replace(data, test=None)",
        "return data",
        ["studies/test_tune.py::test_search_never_sees_the_test_part"],
    ),
    "search: a signal between trials": Mutant(
        "studies/trials.py",
        "        with stop_on_signals(self.stop):\n",
        "        if True:\n",
        ["studies/test_tune.py::test_signal_between_two_trials_ends_the_search_with_its_summary"],
    ),
    "search: a signal before there is a loop": Mutant(
        "studies/trials.py",
        "if self.stop_reason:  #",
        "if False:  #",
        ["studies/test_tune.py::test_signal_before_a_trial_trains_ends_it_there"],
    ),
    "plan: settings compared as they were typed": Mutant(
        "studies/plan.py",
        'before["settings"] = _resolved(before.get("settings", {}), classes)',
        "pass",
        ["studies/test_compare.py::test_study_typed_on_the_command_line_goes_on_from_python"],
    ),
    "arms: a rule read again in the middle of a study": Mutant(
        "studies/arms.py",
        "@functools.cached_property",
        "@property",
        ["studies/test_compare.py::test_rule_that_is_edited_meanwhile_changes_nothing_that_is_written[half-typed]"],
    ),
    "migration: whose twin an arm is, lost": Mutant(
        "reports/migrations.py",
        '"reference" if key == "beside" else key',
        "key",
        [f"{_EARLIER}test_version_1_reads_with_its_keys_renamed"],
    ),
}
