"""Two texts by the words that differ."""

from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.ui.worddiff import Piece, compared


def test_words_that_only_one_side_has_are_told_from_those_of_both():
    left, right = compared("the quick brown fox", "the slow brown fox!")

    assert left == (Piece("the ", True), Piece("quick", False), Piece(" brown fox", True))
    assert right == (Piece("the ", True), Piece("slow", False), Piece(" brown fox", True), Piece("!", False))


def test_of_long_texts_lines_that_took_each_others_place_are_compared_by_words():
    lines = [f"line {number}\n" for number in range(2000)]
    left, right = "".join(lines), "".join([*lines[:1000], "line one thousand\n", *lines[1001:]])

    before, after = compared(left, right)

    assert [piece.text for piece in before if not piece.same] == ["1000"]
    assert "".join(piece.text for piece in after if not piece.same) == "one thousand"


@given(st.text(max_size=60), st.text(max_size=60))
def test_the_pieces_of_a_side_are_its_text_and_what_both_have_is_the_same(left, right):
    before, after = compared(left, right)

    assert ("".join(piece.text for piece in before), "".join(piece.text for piece in after)) == (left, right)
    same = ["".join(piece.text for piece in side if piece.same) for side in (before, after)]
    assert same[0] == same[1]


def test_texts_of_too_many_lines_are_shown_as_different():
    left, right = compared("a\n" * 10_000, "b\n" * 10_000)

    assert [piece.same for piece in (*left, *right)] == [False, False]
