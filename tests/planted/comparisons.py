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
        'if arm.role == "aa" and arm.reference',
        "if False",
        ["studies/test_compare.py::test_search_is_equal_for_all_arms_and_its_cost_is_kept_apart"],
    ),
    "search: what an arm says is searched too": Mutant(
        "studies/settings_search.py",
        "*arm.written, ",
        "",
        ["studies/test_compare.py::test_search_is_equal_for_all_arms_and_its_cost_is_kept_apart"],
    ),
    "search: test data in the trials": Mutant(
        "studies/trials.py",
        "Data(data.spec, data.train, data.val, None)",
        "data",
        ["studies/test_tune.py::test_search_never_sees_the_test_part"],
    ),
    "migration: whose twin an arm is, lost": Mutant(
        "reports/migrations.py",
        '"reference" if key == "beside" else key',
        "key",
        [f"{_EARLIER}test_version_1_reads_with_its_keys_renamed"],
    ),
}
