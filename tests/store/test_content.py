"""Whatever is cut is joined to the same bytes, and what is repeated is cut into the same pieces."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.store.content import MIN_PIECE_BYTES, chain, cut, join

LONG = "x" * MIN_PIECE_BYTES
WRITINGS = {
    "compact": {"separators": (",", ":")},
    "spaced": {},
    "indented": {"indent": 2},
    "raw": {"ensure_ascii": False},
}


def message(number: int, role: str = "user"):
    return {"role": role, "content": f"{number} {LONG}"}


def written(value, how: str = "compact") -> bytes:
    return json.dumps(value, **WRITINGS[how]).encode()


def rebuilt(body: bytes) -> bytes:
    found = cut(body)
    assert found is not None
    return join(found.rest, found.gaps, found.pieces)


@given(st.binary() | st.binary(min_size=MIN_PIECE_BYTES, max_size=4 * MIN_PIECE_BYTES))
def test_any_bytes_are_cut_so_that_they_can_be_joined_or_not_at_all(body):
    found = cut(body)

    assert found is None or join(found.rest, found.gaps, found.pieces) == body


_spaces = st.text(" \t\r\n", max_size=3)
_texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | st.just(LONG)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=10,
)
_names = st.sampled_from(["messages", "input", "tools", "model", "instructions", "", 'quo"te', "back\\slash"])


@st.composite
def odd_objects(draw) -> bytes:
    """An object with whitespace everywhere, escapes at will, and members that may stand twice."""

    def space() -> str:
        return draw(_spaces)

    def text_of(value) -> str:
        if isinstance(value, dict):
            members = [f"{space()}{text_of(key)}{space()}:{space()}{text_of(one)}" for key, one in value.items()]
            return "{" + ",".join(members) + space() + "}"
        if isinstance(value, list):
            return "[" + ",".join(f"{space()}{text_of(one)}{space()}" for one in value) + "]"
        return json.dumps(value, ensure_ascii=draw(st.booleans()))

    objects = st.dictionaries(_texts, _values, min_size=1, max_size=3)
    members = draw(st.lists(st.tuples(_names, _values | st.lists(objects, min_size=1, max_size=5)), max_size=5))
    parts = [f"{space()}{text_of(name)}{space()}:{space()}{text_of(value)}" for name, value in members]
    return f"{space()}{{{','.join(parts)}{space()}}}{space()}".encode()


@given(odd_objects())
def test_any_json_is_cut_so_that_it_can_be_joined_or_not_at_all(body):
    found = cut(body)

    assert found is None or join(found.rest, found.gaps, found.pieces) == body


@pytest.mark.parametrize("how", WRITINGS)
def test_a_history_that_has_grown_has_the_pieces_that_it_had_before(how):
    history = [message(number) for number in range(4)]
    request = {"model": "m", "messages": history[:3], "tools": [{"name": LONG}], "stream": True}

    before = cut(written(request, how))
    after = cut(written(request | {"messages": history}, how))

    assert before is not None
    assert after is not None
    assert len(before.pieces) == 4
    assert after.pieces[:4] == before.pieces
    assert len(after.pieces) == 5
    assert rebuilt(written(request, how)) == written(request, how)


@pytest.mark.parametrize("names", [("messages", "tools"), ("tools", "messages"), ("input", "instructions")])
def test_the_conversation_comes_behind_what_stays_the_same_wherever_it_stands(names):
    values = {"tools": [{"name": LONG}], "instructions": LONG}
    body = written({name: values.get(name, [message(1), message(2)]) for name in names})

    found = cut(body)

    assert found is not None
    assert len(found.pieces) == 3
    assert b'"role"' not in found.pieces[0]
    assert all(b'"role"' in piece for piece in found.pieces[1:])
    assert rebuilt(body) == body


def test_small_neighbours_share_a_piece_and_what_is_left_over_stays_in_the_rest():
    small = {"role": "user", "content": "x" * (MIN_PIECE_BYTES // 2)}
    body = written({"messages": [small, small, small, small, {"role": "user", "content": "last"}]})

    found = cut(body)

    assert found is not None
    assert len(found.pieces) == 2
    assert all(len(piece) >= MIN_PIECE_BYTES for piece in found.pieces)
    assert found.rest == b'{"messages":[,{"role":"user","content":"last"}]}'


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (written({"messages": [{"role": "user", "content": "Hi"}]}), "small"),
        (written([message(1), message(2)]), "no object"),
        (written({"input": list(range(1000))}), "a vector"),
        (written({"input": [LONG, LONG]}), "texts to embed"),
        (b"--boundary\r\n" + LONG.encode(), "no JSON"),
        (written({"messages": [message(1)]})[:-1], "cut off"),
        (b'{"tools":[{"a":"' + LONG.encode() + b'"}],"tools":[]}', "a member stands twice"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deeper than anybody reads"),
        (b"\x28\xb5\x2f\xfd" + LONG.encode(), "compressed"),
    ],
)
def test_what_is_better_kept_whole_is_not_cut(body, why):
    assert cut(body) is None, why


def test_what_begins_alike_has_the_same_links_up_to_where_it_differs():
    one, other = chain([b"a", b"b", b"c"], "default"), chain([b"a", b"b", b"d"], "default")

    assert one[:2] == other[:2]
    assert one[2].hash != other[2].hash
    assert [link.parent for link in one] == [None, one[0].hash, one[1].hash]
    assert {len(link.hash) for link in one} == {16}


def test_the_same_piece_elsewhere_is_the_same_piece_but_not_the_same_link():
    one, other = chain([b"a", b"c"], "default"), chain([b"b", b"c"], "default")

    assert one[1].piece_hash == other[1].piece_hash
    assert one[1].hash != other[1].hash


def test_no_two_organisations_share_anything():
    one, other = chain([b"a", b"b"], "one"), chain([b"a", b"b"], "other")

    assert not {link.hash for link in one} & {link.hash for link in other}
    assert not {link.piece_hash for link in one} & {link.piece_hash for link in other}
    assert chain([b"a"], "lone \ud800")
