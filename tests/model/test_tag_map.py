import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.model.tag_map import map_of, tags_of

#: What is hard to tell apart, more often than by chance.
HARD = st.text(st.sampled_from("ab:%325A "), max_size=8) | st.text(max_size=4)


@pytest.mark.parametrize(
    ("members", "tags"),
    [
        ({"env": "prod", "nightly": ""}, ("env:prod", "nightly")),
        ({"url": "http://host:80"}, ("url:http://host:80",)),
        ({"a:b": "c"}, ("a%3Ab:c",)),
        ({"load": "50%"}, ("load:50%",)),
    ],
)
def test_a_map_is_written_as_words_of_key_and_value(members, tags):
    assert tags_of(members) == tags
    assert map_of(tags) == members


def test_two_words_with_one_key_are_both_kept():
    members = map_of(["env:prod", "env:test", "env"])

    assert members["env"] == "prod"
    assert tags_of(members) == ("env:prod", "env:test", "env")


@given(st.dictionaries(HARD.filter(lambda key: not key.startswith("%:")), HARD, max_size=6))
def test_a_map_comes_back_from_its_words(members):
    words = tags_of(members)

    assert len(words) == len(members)
    assert list(map_of(words).items()) == list(members.items())


@given(st.lists(HARD, unique=True, max_size=8))
def test_words_come_back_from_their_map(words):
    assert tags_of(map_of(words)) == tuple(words)
