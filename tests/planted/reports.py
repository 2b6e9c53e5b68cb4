"""Faults in records and reports: what is read wrongly, and what is claimed without ground."""

from planted.fault import Mutant

_RECORD, _MIGRATIONS, _VERDICTS = "runs/test_record.py::", "runs/test_migrations.py::", "reports/test_verdicts.py::"

MUTANTS = {
    "record: the hash of an old record is not checked": Mutant(
        "runs/record.py",
        'if record.get("schema") in (SCHEMA, *STEPS):',
        'if record.get("schema") == SCHEMA:',
        ["runs/test_folders.py::test_record_that_was_edited_is_refused_before_it_is_migrated"],
    ),
    "record: unknown fields are let through": Mutant(
        "runs/schema.py",
        'extra="forbid"',
        'extra="ignore"',
        [_RECORD + "test_a_field_that_the_schema_does_not_have_is_refused"],
    ),
    "record: an extension may have any name": Mutant(
        "runs/schema.py",
        'pattern="^[a-z_]+$"',
        'pattern="^.*$"',
        [_RECORD + "test_an_extension_is_an_object_with_a_plain_name"],
    ),
    "migrations: entries that version 1 did not know are lost": Mutant(
        "runs/migrations.py",
        '**({"extensions": {"extra": rest}} if rest else {})',
        "**{}",
        [_MIGRATIONS + "test_entry_of_extra_that_version_1_did_not_know_becomes_an_extension"],
    ),
    "migrations: the phase of the model is lost": Mutant(
        "runs/migrations.py",
        '    "phase": "phase",\n',
        "",
        [_MIGRATIONS + "test_entries_of_extra_become_fields"],
    ),
    "inputs: bytes are not scaled": Mutant(
        "data/inputs.py",
        "x.double() * 255 if bytes_then else x.double() / 255",
        "x.double()",
        ["data/test_inputs.py::test_bytes_and_floats_stand_for_one_brightness"],
    ),
    "verdicts: a difference without Holm's correction": Mutant(
        "reports/verdicts.py",
        'if c["p_holm"] is not None and c["p_holm"] < statistics.ALPHA:\n        if measure',
        'if c["p"] < statistics.ALPHA:\n        if measure',
        [_VERDICTS + "test_a_difference_that_does_not_survive_the_correction_is_no_verdict"],
    ),
    "verdicts: an A/A arm that differs is ignored": Mutant(
        "reports/verdicts.py",
        "if drift is not None:",
        "if False:",
        [_VERDICTS + "test_an_aa_arm_that_differs_from_itself_voids_the_verdicts_on_that_measure"],
    ),
    "verdicts: the meter's bound is ignored": Mutant(
        "reports/verdicts.py",
        'abs(math.expm1(c["mean"])) <= bound',
        "False",
        [_VERDICTS + "test_an_effect_smaller_than_the_meters_own_bound_is_no_verdict"],
    ),
    "comparisons: arms on different nets": Mutant(
        "reports/questions.py",
        'arm["net_key"] is None or arm["net_key"] != other["net_key"]',
        'arm["net_key"] is None',
        [_VERDICTS + "test_a_control_on_another_net_is_not_compared"],
    ),
    "comparisons: times of different machines": Mutant(
        "reports/comparisons.py",
        "for key in apart[:1])",
        "for key in apart[:0])",
        [_VERDICTS + "test_times_of_different_machines_are_not_compared_but_accuracies_are"],
    ),
    "measures: a resumed run's energy counts": Mutant(
        "reports/measures.py",
        "    if pieces := resumed(run):\n        return pieces\n    window",
        "    window",
        [_VERDICTS + "test_a_resumed_run_counts_for_accuracy_but_not_for_energy_and_time"],
    ),
    "verdicts: a fault is a remark beside a claim": Mutant(
        "reports/verdicts.py",
        '    if not c["faults"]:\n        return ""',
        '    return ""',
        ["reports/test_validity.py::test_a_fault_voids_what_it_touches_and_nothing_else"],
    ),
    "validity: a fault between arms touches all that are in it": Mutant(
        "reports/validity/fault.py",
        "bool(one and two) and one != two",
        "bool(one or two)",
        ["reports/test_validity.py::test_a_fault_between_two_arms_leaves_the_others_alone"],
    ),
    "validity: windows that touch overlap": Mutant(
        "reports/validity/running.py",
        "bisect_right(ends, span.start)",
        "bisect_left(ends, span.start)",
        ["reports/test_running.py::test_overlap_is_found_as_by_looking_at_every_pair"],
    ),
    "gathering: faults of a study stay behind": Mutant(
        "reports/gathering.py",
        "inherited=[*faults, *lost_studies(loose)]",
        "inherited=[*lost_studies(loose)]",
        ["reports/test_gathering.py::test_a_search_that_was_unequal_stays_so_beside_another_study"],
    ),
    "comparisons: a ratio is off by one bound only": Mutant(
        "reports/comparisons.py",
        "ratio_bound(err_bound(a[seed], basis), err_bound(b[seed], basis))",
        "err_bound(a[seed], basis)",
        [_VERDICTS + "test_an_effect_smaller_than_the_meters_own_bound_is_no_verdict"],
    ),
}
