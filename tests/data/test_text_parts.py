"""Long texts in parts."""

from bigbird.data.text_parts import in_parts


def test_a_long_text_is_cut_into_parts_that_begin_with_white_space():
    text = "one two three\nfour fivesixseveneight nine"
    parts = list(in_parts(text, 10))
    assert "".join(parts) == text
    assert parts == ["one two", " three", "\nfour", " fivesixse", "veneight", " nine"]
    assert list(in_parts("")) == []
