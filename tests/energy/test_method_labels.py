"""energy.labels: the order of labels, and how an energy is shown."""

from hypothesis import given
from hypothesis import strategies as st

from energy import METHODS, show, worst

labels = st.lists(st.sampled_from(METHODS), min_size=1)


def test_labels_are_ordered_from_counter_to_unavailable():
    """The order of design §5."""
    order = ["measured:counter", "measured:sampled", "modelled", "constant", "unavailable"]
    assert list(METHODS) == order
    assert all(worst([a, b]) == order[max(i, j)] for i, a in enumerate(order) for j, b in enumerate(order))


@given(labels, labels)
def test_worst_of_two_groups_is_the_worst_of_their_worsts(first, second):
    assert worst(first + second) == worst([worst(first), worst(second)])


@given(labels)
def test_worst_is_one_of_them_and_none_is_below_it(found):
    assert worst(found) in found
    assert all(METHODS.index(label) <= METHODS.index(worst(found)) for label in found)


def test_worst_of_nothing_is_unavailable():
    assert worst([]) == "unavailable"


def test_estimates_are_marked_and_measurements_name_their_label():
    assert show(1234.5678, "modelled") == "≈ 1,200 J (est.)"
    assert show(0.0456, "constant") == "≈ 0.046 J (est.)"
    assert show(1234.5678, "measured:counter") == "1,235 J (measured:counter)"
    assert show(None, "unavailable") == "unavailable"
