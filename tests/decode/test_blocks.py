import pytest

from llm_proxy.decode.blocks import Blocks, input_of


class Text:
    """A block that is nothing but what it is told."""

    def __init__(self, start):
        self.text = start.get("text", "")

    def grow(self, delta):
        self.text += delta["text"]

    def finished(self):
        return self.text


def test_blocks_grow_by_their_index_and_come_in_its_order():
    blocks = Blocks("index", Text)

    blocks.begin({"index": 1}, {"text": "b"})
    blocks.begin({"index": 0}, {"text": "a"})
    blocks.grow({"index": 1}, {"text": "c"})

    assert blocks.finished() == ["a", "bc"]


def test_a_block_without_a_beginning_or_an_index_is_begun_as_the_first():
    blocks = Blocks("index", Text)

    blocks.grow({}, {"text": "a"})
    blocks.grow({"index": "odd"}, {"text": "b"})

    assert blocks.finished() == ["ab"]


@pytest.mark.parametrize(
    ("pieces", "expected"), [(['{"a"', ":1}"], {"a": 1}), (['{"a"'], '{"a"'), ([], None), (["", ""], None)]
)
def test_the_input_of_a_tool_is_what_its_pieces_mean_or_else_their_text(pieces, expected):
    assert input_of(pieces) == expected
