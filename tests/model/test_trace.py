from dataclasses import FrozenInstanceError

import pytest

from llm_proxy.model.trace import Key, Kind, Stage


def test_kinds_are_the_words_of_the_batch_api():
    assert sorted(Kind) == ["event", "generation", "retrieval", "session", "span", "toolCall", "trace"]


def test_a_change_outranks_a_start():
    assert Stage.CHANGED > Stage.BEGUN


def test_a_key_can_stand_in_a_set_and_does_not_change():
    key = Key(repository="r", kind=Kind.TRACE, id="t")

    assert {key, Key(repository="r", kind=Kind.TRACE, id="t")} == {key}
    with pytest.raises(FrozenInstanceError):
        key.id = "other"
