from datetime import UTC, datetime

from llm_proxy.model.entity import entity_of, started_at, text_in
from llm_proxy.model.folding import fold
from llm_proxy.model.trace import Attachment, Evaluation, Failure, Feedback, Key, Kind, Statement

KEY = Key(repository="r", kind=Kind.GENERATION, id="g")


def state_of(**members):
    return fold(None, [Statement(kind=Kind.GENERATION, id="g", heard_at_us=1_000_000, members=members)])


def test_every_member_has_its_place():
    entity = entity_of(
        KEY,
        state_of(
            name="n",
            sessionId="s",
            traceId="t",
            spanId="sp",
            startTimestamp="2026-01-01T00:00:00Z",
            endTimestamp="2026-01-01T00:00:01Z",
            tags={"k": "v"},
            metadata={"m": [1]},
            metrics={"x": 1.5},
            feedback=[{"score": 1}],
            evaluations=[{"evaluators": ["e"], "variables": {"v": "w"}}],
            errors=[{"message": "no", "code": "c", "type": "t", "id": "i", "metadata": {"a": 1}}],
            attachments=[{"id": "a", "url": "http://x", "mimeType": "text/plain", "size": 3, "tags": {"k": "v"}}],
            provider="openai",
            model="gpt-4o",
            messages=[{"role": "user"}],
            modelParameters={"n": 1},
            cost={"total": 0.1},
            maximPromptId="p",
            maximPromptVersionId="pv",
            result={"id": "r"},
            extra=1,
        ),
    )

    assert (entity.name, entity.session_id, entity.trace_id, entity.span_id) == ("n", "s", "t", "sp")
    assert entity.started_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert entity.ended_at == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert (entity.tags, entity.metadata, entity.metrics) == ({"k": "v"}, {"m": [1]}, {"x": 1.5})
    assert entity.feedback == (Feedback(score=1),)
    assert entity.evaluations == (Evaluation(evaluators=("e",), variables={"v": "w"}),)
    assert entity.failures == (Failure(message="no", code="c", type="t", id="i", metadata={"a": 1}),)
    attachment = Attachment(id="a", url="http://x", mime_type="text/plain", size_bytes=3, tags={"k": "v"})
    assert entity.attachments == (attachment,)
    assert (entity.provider, entity.model, entity.messages) == ("openai", "gpt-4o", ({"role": "user"},))
    assert (entity.parameters, entity.cost) == ({"n": 1}, {"total": 0.1})
    assert (entity.prompt_id, entity.prompt_version_id, entity.result) == ("p", "pv", {"id": "r"})
    assert entity.other == {"extra": 1}


def test_a_value_of_the_wrong_type_is_unknown():
    entity = entity_of(KEY, state_of(name=1, tags={"k": 1}, metrics={"m": "x"}, feedback=["good"], messages="hello"))

    assert (entity.name, entity.tags, entity.metrics, entity.feedback, entity.messages) == (None, {}, {}, (), ())


def test_what_did_not_tell_when_it_began_did_so_when_it_was_first_heard_of():
    assert started_at(state_of()) == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_text_is_read_out_of_a_state():
    assert text_in(state_of(traceId="t"), "traceId") == "t"
    assert text_in(state_of(traceId=1), "traceId") is None
