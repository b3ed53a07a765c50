"""The query language of the filter bar."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.model.completion import Status
from llm_proxy.model.filter_words import GROUP_WORDS, SUMMED, WORDS
from llm_proxy.model.filters import MAX_CHARACTERS, Filter, parse
from llm_proxy.model.query import Attribute, Comparison, Condition, Grouping
from records import NOON
from test_documentation import rows_of

PAGES = Path(__file__).parents[2] / "docs" / "pages.md"


def query(written):
    return parse(written, now=NOON).query("acme", now=NOON, after=None, limit=50)


def test_every_word_becomes_a_condition_of_the_query():
    asked = query(
        "model:gpt-4o tag:nightly tag:ci status:failed user:u-1 session:s:1 trace:abc since:2h until:1h"
        ' text:"two words"'
    )

    assert (asked.organization_id, asked.limit, asked.after) == ("acme", 50, None)
    assert (asked.model, asked.tags, asked.status) == ("gpt-4o", ("nightly", "ci"), Status.FAILED)
    assert (asked.user_id, asked.session_id, asked.trace_id) == ("u-1", "s:1", "abc")
    assert (asked.since, asked.until) == (NOON - timedelta(hours=2), NOON - timedelta(hours=1))
    assert asked.search == "two words"


def test_what_no_list_is_kept_by_becomes_conditions_and_a_minus_turns_them_round():
    asked = query("-model:gpt-4o -tag:x provider:openai latency:>=800ms latency:<1m tokens:>1k cost:<=$0.5 -http:>=500")

    assert asked.conditions == tuple(
        Condition(of=Attribute(of), comparison=Comparison(comparison), value=value)
        for of, comparison, value in (
            ("model", "!=", "gpt-4o"),
            ("tag", "!=", "x"),
            ("provider", "=", "openai"),
            ("latency", ">=", 0.8),
            ("latency", "<", 60),
            ("tokens", ">", 1000),
            ("cost", "<=", 0.5),
            ("http", "<", 500),
        )
    )
    assert (asked.model, asked.tags) == (None, ())


def test_no_words_are_no_conditions():
    assert parse("  ", now=NOON) == Filter()


def test_running_is_what_the_store_calls_started():
    assert query("status:running").status is query("status:started").status is Status.STARTED


def test_within_quotation_marks_a_backslash_makes_the_next_character_plain():
    assert query(r'text:"say \"no\" to C:\\"').search == 'say "no" to C:\\'


def test_a_tag_that_is_given_twice_is_one_condition():
    assert query("tag:ci tag:ci").tags == ("ci",)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("modl:gpt-4o", "modl: is unknown; did you mean model:?"),
        ("search:x", "search: is unknown; did you mean text:?"),
        ("zzz:1", "zzz: is unknown; there are model:, tag:, status:"),
        ("-text:x", "-text: cannot be turned round; there is only text:"),
        ("-modl:x", "-modl: is unknown; did you mean -model:?"),
        ("latency:2s", "latency: '2s' says neither more nor less; write latency:>2s or latency:<2s"),
        ("latency:>2x", "latency: '>2x' is not understood; write latency:>2s"),
        ("latency>2s", "'latency>2s' lacks a colon; write latency:>2s"),
        ("cost:>1e400", "cost: '>1e400' is not understood"),
        ("tokens:>99999999999999999999", "is not understood"),
        ("endpoint:chat", "endpoint: there is no 'chat'; there are audio.speech"),
        ("-cost:", "-cost: has no value; write -cost:>0.01"),
        ("status:fialed", "status: there is no 'fialed'; did you mean status:failed?"),
        ("status:x", "status: there is no 'x'; there are running"),
        ("since:yesterday", "since: 'yesterday' is no time; write 15m, 2h, 7d"),
        ("tag:", "tag: has no value; write tag:nightly"),
        ('tag:""', "tag: has no value"),
        ("user:a user:b", "user: is there twice"),
        ("hello", "'hello' is no word of a filter; to look for it in prompts and answers, write text:hello"),
        ('text:"open', "a quotation mark is not where a value begins or ends"),
        ('text:"a"b', "a quotation mark is not where a value begins or ends"),
        ("x" * (MAX_CHARACTERS + 1), "the filter is longer than 2000 characters"),
    ],
)
def test_what_is_not_understood_is_refused_and_named(written, message):
    with pytest.raises(ValueError, match=r".") as refused:
        parse(f"tag:nightly {written}" if len(written) < MAX_CHARACTERS else written, now=NOON)

    assert message in str(refused.value)


def test_a_word_more_takes_the_place_of_one_that_may_not_stand_beside_it():
    found = parse("model:a tag:x", now=NOON)

    assert str(found.also("model", "b")) == "tag:x model:b"
    assert str(found.also("tag", "y")) == "model:a tag:x tag:y"
    assert str(found.also("tag", "x")) == "model:a tag:x"


_values = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.lists(_values, max_size=4, unique=True), _values)
def test_what_a_filter_is_written_as_is_read_back_as_the_same(tags, text):
    words = (*(("tag", tag) for tag in tags), ("text", text))

    assert parse(str(Filter(words)), now=NOON) == Filter(words)


def test_every_word_is_documented_and_the_other_way_round():
    documented = list(rows_of(PAGES, "| Word | A call is listed that … |"))

    assert documented == [[known.example, known.meaning.replace("`", "")] for known in WORDS.values()]


def test_every_word_about_sums_is_documented_and_the_other_way_round():
    documented = list(rows_of(PAGES, "| Word | A session or trace is listed that … |"))

    assert documented == [[known.example, known.meaning] for known in SUMMED.values()]


def test_a_word_of_the_lists_of_groups_is_none_of_calls():
    assert parse("calls:>1k", now=NOON, words=GROUP_WORDS).group_query(Grouping.SESSION, now=NOON).sums[0].value == 1000
    with pytest.raises(ValueError, match="calls: is unknown"):
        parse("calls:>1", now=NOON)


@pytest.mark.parametrize("word", WORDS)
def test_every_example_is_understood(word):
    assert parse(WORDS[word].example, now=NOON).words[0][0] == word
