"""Every planted fault is caught by the tests that are there for it."""

import mutants
import pytest


def test_the_unchanged_copy_passes_what_the_mutants_must_fail():
    """Else a mutant could be caught by the copying alone."""
    code, failed, log = mutants.attempt(None, mutants.clean_tests())
    assert (code, failed) == (0, []), log[-3000:]


@pytest.mark.parametrize("name", mutants.MUTANTS)
def test_mutant_is_caught(name: str):
    assert mutants.survivors(name) == ""


def test_every_fault_is_planted_in_every_rule_or_says_why_not():
    assert mutants.missing_cells() == []


def test_a_fault_that_changes_nothing_does_not_count(tmp_path):
    with pytest.raises(ValueError, match="not applicable"):
        mutants.plant(mutants.Mutant("training/loop.py", "no such text anywhere", "", []), tmp_path)
