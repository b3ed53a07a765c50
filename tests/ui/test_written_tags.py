"""Tags in one field."""

import pytest

from llm_proxy.ui.written_tags import read_tags, write_tags


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("", ()),
        (" , ,", ()),
        ("nightly, support ,nightly", ("nightly", "support")),
        ('"a, b", c', ("a, b", "c")),
        ('"say ""hi"", you"', ('say "hi", you',)),
        ('5" disk, x', ('5" disk', "x")),
        ('"not closed, x', ("not closed, x",)),
        ("a\nb", ("a b",)),
    ],
)
def test_tags_are_read_as_they_were_meant(text, tags):
    assert read_tags(text) == tags


@pytest.mark.parametrize("tags", [(), ("a",), ("a, b", "c"), ('"', ","), ('x"y', '"a", b')])
def test_what_is_written_is_read_back(tags):
    assert read_tags(write_tags(tags)) == tags
