import importlib
import re

import bigbird


def test_the_public_names_are_the_documented_ones():
    documented = set(re.findall(r"\b[A-Za-z_]+\b", bigbird.__doc__.split("\n\n")[1])) - {
        "Attention", "Models", "Text", "DNA", "Records", "Tasks", "Use", "Training", "Errors", "and", "its", "kinds",
        "in", "bigbird", "errors",
    }  # fmt: skip
    assert documented == set(bigbird.__all__)


def test_every_public_name_exists_and_lives_where_it_is_said_to():
    for name in bigbird.__all__:
        home = importlib.import_module(f"bigbird.{bigbird._HOME[name]}")
        assert getattr(bigbird, name) is getattr(home, name)
    assert set(bigbird.__all__) <= set(dir(bigbird))


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(bigbird, "nonsense")
