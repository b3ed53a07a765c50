import pytest

from llm_proxy.attribution.draft import (
    MAX_ID_CHARACTERS,
    MAX_METADATA_BYTES,
    MAX_METADATA_DEPTH,
    MAX_METADATA_KEY_CHARACTERS,
    MAX_METADATA_KEYS,
    MAX_METADATA_VALUE_CHARACTERS,
    MAX_NAME_CHARACTERS,
    MAX_NOTES,
    MAX_TAG_CHARACTERS,
    MAX_TAGS,
    Draft,
)
from llm_proxy.attribution.vocabulary import Tells


@pytest.fixture
def draft():
    return Draft()


def nested(depth: int):
    value = "deep"
    for _ in range(depth):
        value = [value]
    return value


def test_what_was_said_first_counts(draft):
    draft.text(Tells.USER_ID, "first", "u1")
    draft.text(Tells.USER_ID, "second", "u2")

    assert draft.context().user_id == "u1"
    assert draft.context().notes == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a\x00b", "NUL or half a surrogate pair"),
        ("a\ud800b", "NUL or half a surrogate pair"),
        ("a\x1bb", "control characters"),
        ("a\tb", "control characters"),
        ("a\x85b", "control characters"),
        ("a" * (MAX_ID_CHARACTERS + 1), "longer than 512 characters"),
    ],
)
def test_what_cannot_be_an_id_is_dropped_and_the_next_place_counts(draft, text, why):
    draft.text(Tells.SESSION_ID, "X-First", text)
    draft.text(Tells.SESSION_ID, "X-Second", "fallback")

    assert draft.context().session_id == "fallback"
    assert draft.context().notes == (f"X-First was dropped: it {'is' if 'longer' in why else 'holds'} {why}",)


def test_an_empty_value_says_nothing(draft):
    draft.text(Tells.TRACE_ID, "X-First", "  ")
    draft.tags("X-Tags", ["", " "])

    assert draft.context().trace_id is None
    assert draft.context().tags == ()
    assert draft.context().notes == ()


def test_a_session_name_that_is_too_long_is_cut(draft):
    draft.text(Tells.SESSION_NAME, "X-Name", "n" * (MAX_NAME_CHARACTERS + 1))

    assert draft.context().session_name == "n" * MAX_NAME_CHARACTERS
    assert draft.context().notes == ("X-Name was cut: it is longer than 512 characters",)


def test_tags_keep_their_order_and_occur_once(draft):
    draft.tags("one", ["b", " a ", "b"])
    draft.tags("two", ["c", "a"])

    assert draft.context().tags == ("b", "a", "c")


def test_a_bad_tag_takes_no_good_one_with_it(draft):
    draft.tags("X-Tags", ["good", "b\x00d", "t" * (MAX_TAG_CHARACTERS + 1)])

    assert draft.context().tags == ("good", "t" * MAX_TAG_CHARACTERS)
    assert draft.context().notes == (
        "a tag of X-Tags was dropped: it holds NUL or half a surrogate pair",
        "a tag of X-Tags was cut: it is longer than 256 characters",
    )


def test_the_first_tags_are_kept_when_there_are_too_many(draft):
    tags = [f"tag-{number}" for number in range(MAX_TAGS + 1)]

    draft.tags("X-Tags", tags)
    draft.tags("X-More", ["tag-0"])

    assert draft.context().tags == tuple(tags[:MAX_TAGS])
    assert draft.context().notes == ("tags of X-Tags were dropped: a call has at most 200",)


def test_metadata_is_merged_key_by_key_and_the_first_place_counts(draft):
    draft.metadata("one", {"team": "red", "n": {"deep": [1, None, True, 1.5]}})
    draft.metadata("two", {"team": "blue", "more": "x"})

    assert draft.context().metadata == {"team": "red", "n": {"deep": [1, None, True, 1.5]}, "more": "x"}


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("k", "a\x00b", "it holds NUL or half a surrogate pair"),
        ("k", {"inner": ["a\udfffb"]}, "it holds NUL or half a surrogate pair"),
        ("k", {"in\x00ner": 1}, "it holds NUL or half a surrogate pair"),
        ("k", 2**64, "it holds a number beyond 64 bits"),
        ("k", [float("inf")], "it holds a number that is not finite"),
        ("k", nested(MAX_METADATA_DEPTH + 1), "it is nested more than 16 deep"),
        ("k\n", "v", "it holds control characters"),
        ("", "v", "its key must have 1 to 128 characters"),
        ("k" * (MAX_METADATA_KEY_CHARACTERS + 1), "v", "its key must have 1 to 128 characters"),
    ],
)
def test_metadata_that_cannot_be_stored_is_dropped_and_the_rest_kept(draft, key, value, why):
    draft.metadata("X-Meta", {key: value, "good": nested(MAX_METADATA_DEPTH)})

    assert list(draft.context().metadata) == ["good"]
    assert draft.context().notes[0].startswith("metadata 'k" if key else "metadata ''")
    assert draft.context().notes[0].endswith(f"of X-Meta was dropped: {why}")


def test_lines_in_metadata_text_are_kept(draft):
    draft.metadata("X-Meta", {"k": "two\nlines"})

    assert draft.context().metadata == {"k": "two\nlines"}


def test_a_long_metadata_text_is_cut(draft):
    draft.metadata("X-Meta", {"k": "v" * (MAX_METADATA_VALUE_CHARACTERS + 1)})

    assert draft.context().metadata == {"k": "v" * MAX_METADATA_VALUE_CHARACTERS}
    assert draft.context().notes == ("metadata 'k' of X-Meta was cut: it is longer than 2048 characters",)


def test_metadata_that_is_too_big_as_a_whole_is_dropped(draft):
    draft.metadata("X-Meta", {"k": ["ü" * (MAX_METADATA_BYTES // 2)]})

    assert draft.context().metadata == {}
    assert draft.context().notes == ("X-Meta was dropped: its JSON is longer than 16384 bytes",)


def test_the_first_metadata_keys_are_kept_when_there_are_too_many(draft):
    draft.metadata("X-Meta", {f"key-{number}": number for number in range(MAX_METADATA_KEYS + 1)})
    draft.metadata("X-More", {"key-0": 1})

    assert draft.context().metadata == {f"key-{number}": number for number in range(MAX_METADATA_KEYS)}
    assert draft.context().notes == ("metadata of X-Meta was dropped: a call has at most 64 keys",)


@pytest.mark.parametrize("text", ["{", "NaN", '{"a": Infinity}', "[" * 10_000, "9" * 5_000, "\ud800"])
def test_what_is_no_json_is_dropped(draft, text):
    assert draft.json("X-Meta", text) is None
    assert draft.context().notes == ("X-Meta was dropped: it is no valid JSON",)


def test_json_that_is_too_long_is_not_even_read(draft):
    assert draft.json("X-Meta", f'"{"a" * MAX_METADATA_BYTES}"') is None
    assert draft.context().notes == ("X-Meta was dropped: its JSON is longer than 16384 bytes",)


def test_notes_are_said_once_and_do_not_grow_without_end(draft):
    for number in range(2 * MAX_NOTES):
        draft.note(f"note {number}")
        draft.note("note 0")

    assert len(draft.context().notes) == MAX_NOTES + 1
    assert draft.context().notes[-1] == "there was more of the kind"


def test_no_note_holds_the_value_that_was_dropped(draft):
    draft.text(Tells.USER_ID, "X-User", "hunter2\x00")
    draft.tags("X-Tags", ["hunter2\x00"])
    draft.metadata("X-Meta", {"k": "hunter2\x00"})
    draft.json("X-Json", "hunter2")

    assert len(draft.context().notes) == 4
    assert "hunter2" not in str(draft.context().notes)
