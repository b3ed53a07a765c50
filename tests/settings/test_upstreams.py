import pytest

from llm_proxy.settings.upstreams import RESERVED_NAMES, checked_upstream_names


@pytest.mark.parametrize("name", ["groq", "my-azure", "2", "openai"])
def test_an_upstream_can_be_called_by_what_stands_in_a_path(name):
    assert checked_upstream_names({name: None}) == {name: None}


@pytest.mark.parametrize("name", ["Groq", "a/b", "a.b", "", "default", *sorted(RESERVED_NAMES)])
def test_a_name_that_means_something_else_is_none(name):
    with pytest.raises(ValueError, match="the name"):
        checked_upstream_names({name: None})
