import pytest

from bigbird.errors import ConfigError
from bigbird.model.sizes import dimensions


def test_a_named_size_is_four_numbers():
    assert dimensions("base") == {"num_layers": 12, "hidden_size": 768, "num_heads": 12, "inner_size": 3072}


def test_an_unknown_size_is_refused():
    with pytest.raises(ConfigError, match=r"size must be one of tiny, mini, small, base, large, got 'huge'"):
        dimensions("huge")
