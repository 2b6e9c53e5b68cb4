"""Every input of the corpus is read as its maker meant it, or refused in one line; see ``tests/inputs``."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))  # the root of the repository, from which ``tests.inputs`` is imported

from tests.inputs.outcomes import all_cases, outcome

CASES = all_cases()


@pytest.mark.parametrize("case", CASES, ids=[f"{case.door}, {case.name}" for case in CASES])
def test_an_input_is_read_as_its_maker_meant_it(case, tmp_path):
    result = outcome(case, tmp_path)
    assert result.right, f"expected {result.expected}, got {result.got}"


def test_no_two_inputs_share_a_name():
    assert len({(case.door, case.name) for case in CASES}) == len(CASES)
