from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from llm_proxy.model.folding import fold
from llm_proxy.model.trace import Key, Kind
from llm_proxy.store.trace_rows import entities, from_row, new_compressor, row_of, some, told_of
from tellings import generation, said


def told(*statements, kind=Kind.GENERATION, entity_id="g"):
    return told_of(Key(repository="r", kind=kind, id=entity_id), fold(None, statements))


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_a_row_holds_all_of_an_entity(entity_id, tags):
    one = told(generation(entity_id, traceId=entity_id, tags=tags), entity_id=entity_id)

    again = from_row(row_of("o", one, new_compressor()))

    assert (again.key, again.state, again.trace_id) == (one.key, one.state, one.trace_id)


def test_only_a_generation_has_a_record():
    rows = [row_of("o", told(said(kind, "g"), kind=kind), new_compressor()) for kind in Kind]

    assert [row["kind"] for row in rows if row["completion_id"]] == ["generation"]


def test_a_trace_belongs_to_itself_and_a_session_to_itself():
    trace = told(said(Kind.TRACE, "t", sessionId="s"), kind=Kind.TRACE, entity_id="t")
    session = told(said(Kind.SESSION, "s"), kind=Kind.SESSION, entity_id="s")

    assert (trace.trace_id, trace.session_id) == ("t", "s")
    assert (session.trace_id, session.session_id) == (None, "s")


def test_a_row_has_every_column_of_the_table():
    assert set(row_of("o", told(generation()), new_compressor())) == set(insert(entities).compile().params)


def test_values_come_in_parts_each_once():
    parts = list(some([*map(str, range(1100)), "1"]))

    assert [len(part) for part in parts] == [500, 500, 100]
