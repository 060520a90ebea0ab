import pytest

from bigbird.errors import ConfigError
from bigbird.genomics.label_names import check_labels

KNOWN = ("Reb1", "Rap1", "REB1_2", "Abf1", "H3")


def test_labels_that_are_known_pass():
    check_labels((), KNOWN)
    check_labels(("H3", "Rap1"), KNOWN)


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [(("H3", "Reb", "x"), "'Reb' among its 5; nearest are Reb1, REB1_2, Rap1"), (("REB1",), "'REB1' .* Reb1, REB1_2,")],
)
def test_the_first_unknown_label_is_told_with_the_nearest_names(wanted, nearest):
    with pytest.raises(ConfigError, match=rf"^the model m has no label {nearest}"):
        check_labels(wanted, KNOWN, source="the model m")


def test_no_more_than_three_names_are_listed():
    with pytest.raises(ConfigError, match=r"this model has no label 'zz' among its 400; nearest are \w+, \w+, \w+$"):
        check_labels(["zz"], [f"name{number}" for number in range(400)])
