import pytest

from llm_proxy.model.pushed import PushedRow


def test_a_row_that_tells_nothing_changes_nothing():
    row = PushedRow()

    told = [name for name in PushedRow.__dataclass_fields__ if getattr(row, name) not in (None, {})]

    assert told == []


def test_a_row_does_not_change():
    with pytest.raises(AttributeError):
        PushedRow().kind = "chat"
