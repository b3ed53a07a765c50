"""Which records of a block may hold a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.store.search import readable, sought
from llm_proxy.store.search_block import BlockBuilder, Words


def block_of(*records):
    """A block of records, each (own text, pieces)."""
    builder = BlockBuilder()
    for change, (own, pieces) in enumerate(records, 1):
        for piece in builder.unknown(piece.encode() for piece in pieces):
            builder.learn(piece, piece.decode())
        builder.add(change * 10, [own], [piece.encode() for piece in pieces])
    return builder.block()


def candidates(block, text):
    return Words(text).candidates(block.words, lambda: block.places)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Invoice 4711", [10]),
        ("voice 47", [10]),
        ("nvoic", [10, 20]),
        ("invoice", [10, 20]),
        ("invoice 9", []),
        ("京の天", [30]),
        ("の", [30]),
        ("…", [10, 20, 30]),
        ("_id=", [20]),
        ("STRASSE", [30]),
    ],
)
def test_every_part_of_a_text_is_found_in_every_script(text, expected):
    block = block_of(("the invoice 4711 is due", []), ("invoices: customer_id=7", []), ("東京の天気 Straße", []))

    assert candidates(block, text) == expected


@pytest.mark.parametrize("end", ["", " é"])
def test_words_end_at_the_same_marks_whether_or_not_all_is_ascii(end):
    marks = "".join(map(chr, range(128)))
    block = block_of(("one".join(marks) + end, []))

    assert all(candidates(block, f"{mark}one") == [10] for mark in marks if mark.isprintable())


def test_what_one_record_shares_is_found_in_all_that_have_it_and_what_is_before_it():
    block = block_of(("own", ["tools", "first"]), ("own", ["tools", "first", "second"]), ("own", ["tools", "other"]))

    assert candidates(block, "first") == [10, 20]
    assert candidates(block, "second") == [20]
    assert candidates(block, "tools") == [10, 20, 30]


def test_a_block_without_the_words_is_left_without_a_look_at_their_places():
    block = block_of(("text", []))

    def never():
        raise AssertionError("looked at")

    assert Words("elsewhere").candidates(block.words, never) == []


@given(st.lists(st.text(max_size=30), min_size=1, max_size=6), st.data())
def test_no_record_that_holds_a_text_is_left_out(texts, chooser):
    block = block_of(*((text, []) for text in texts))
    text = chooser.draw(st.sampled_from(texts))
    start = chooser.draw(st.integers(0, len(text)))
    part = text[start : chooser.draw(st.integers(start, len(text)))]

    found = candidates(block, part)

    holding = [place * 10 for place, one in enumerate(texts, 1) if sought(part) in readable(one)]
    assert set(holding) <= set(found)


def test_a_word_that_is_in_very_many_words_says_nothing_and_all_records_may_hold_it():
    block = block_of((" ".join(f"word{number}" for number in range(6000)), []), ("none", []))

    assert candidates(block, "word") == [10, 20]
