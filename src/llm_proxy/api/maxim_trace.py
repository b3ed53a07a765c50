"""A trace as Maxim's API shows it: the trace, its ``timeline``, and in each span of that a timeline again.

Members have the names of Maxim's documentation; what is not known is left out, as it is there. Durations are
milliseconds. A call that was recorded on its way to a provider, or pushed by another API, is a generation of the trace
that it names.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from llm_proxy.model.completion import Completion, JsonObject, JsonValue, Status
from llm_proxy.model.tag_map import map_of
from llm_proxy.model.trace import Attachment, Entity, Evaluation, Failure, Feedback, Kind

#: Spans within spans; what is deeper is shown at the top.
MAX_DEPTH = 50


def trace_json(trace_id: str, told: Sequence[Entity], calls: Sequence[Completion]) -> JsonObject:
    """The trace with everything in it, in the order of time; one that was not told of itself has only what is in it."""
    trace = next((one for one in told if one.key.kind is Kind.TRACE), None)
    nodes = {(one.key.kind, one.key.id): entity_json(one) for one in told}
    spans = {one.key.id: one for one in told if one.key.kind is Kind.SPAN}
    root: JsonObject = {"id": trace_id, "type": "trace"} if trace is None else nodes[Kind.TRACE, trace.key.id]
    timeline: list[JsonValue] = []
    depths = {one: _depth(one, spans) for one in spans}
    for one in told:
        parent = spans.get(one.span_id or "")
        node = nodes[one.key.kind, one.key.id]
        if one is trace:
            continue
        if parent is None or not _is_below(one, depths):
            timeline.append(node)
        else:
            _timeline(nodes[Kind.SPAN, parent.key.id]).append(node)
    timeline += [call_json(call) for call in calls]
    for place in (timeline, *(_timeline(nodes[Kind.SPAN, one]) for one in spans)):
        place.sort(key=lambda node: str(node.get("startTimestamp")) if isinstance(node, dict) else "")
    if "startTimestamp" not in root and timeline and isinstance(first := timeline[0], dict):
        root["startTimestamp"] = first["startTimestamp"]
    if "sessionId" not in root:
        root |= _known(
            {"sessionId": next((call.context.session_id for call in calls if call.context.session_id), None)}
        )
    return {**root, "timeline": timeline}


def entity_json(entity: Entity) -> JsonObject:
    """What is known of one entity, without what is in it."""
    is_generation, is_retrieval = entity.key.kind is Kind.GENERATION, entity.key.kind is Kind.RETRIEVAL
    shown: JsonObject = {
        "id": entity.key.id,
        "type": entity.key.kind.value,
        "repoId": entity.key.repository,
        "name": entity.name,
        "sessionId": entity.session_id,
        "traceId": entity.trace_id if entity.key.kind is not Kind.TRACE else None,
        "spanId": entity.span_id,
        **_times(entity.started_at, entity.ended_at),
        "metadata": entity.metadata,
        "metrics": {**entity.metrics},
        "input": entity.input,
        ("docs" if is_retrieval else "output"): _documents(entity.output) if is_retrieval else entity.output,
        "feedback": _feedback(entity.feedback[-1]) if entity.feedback else None,
        "feedbacks": [_feedback(one) for one in entity.feedback] if len(entity.feedback) > 1 else None,
        "evaluate": [_evaluation(one) for one in entity.evaluations],
        "errors": [_failure(one) for one in entity.failures],
        "attachments": [_attachment(one) for one in entity.attachments],
        "provider": entity.provider,
        "model": entity.model,
        "messages": list(entity.messages),
        "modelParameters": entity.parameters,
        "cost": {**entity.cost},
        "maximPromptId": entity.prompt_id,
        "maximPromptVersionId": entity.prompt_version_id,
        ("completionResult" if is_generation else "result"): entity.result,
        "description": entity.description,
        "args": entity.arguments,
        "other": entity.other,
    }
    if entity.key.kind is Kind.EVENT:
        shown["timestamp"] = shown["startTimestamp"]
    return _known(shown) | {"tags": {**entity.tags}}


def call_json(call: Completion) -> JsonObject:
    """A recorded call as a generation."""
    bodies, ended_at = call.bodies, None
    request = bodies.request if bodies and isinstance(bodies.request, dict) else {}
    failed = call.status is Status.FAILED
    asked = request.get("messages", request.get("input"))
    times = _times(call.started_at, ended_at)
    if call.duration_s is not None:
        times["duration"] = round(call.duration_s * 1000, 3)
    shown: JsonObject = {
        "id": call.id,
        "type": Kind.GENERATION.value,
        "traceId": call.context.trace_id,
        "sessionId": call.context.session_id,
        **times,
        "metadata": call.context.metadata,
        "provider": call.provider,
        "model": call.model,
        "messages": asked if isinstance(asked, list) else None,
        "input": asked if isinstance(asked, str) else request.get("prompt"),
        "modelParameters": {name: value for name, value in request.items() if name not in _ASKED},
        "completionResult": bodies.response if bodies else None,
        "errors": [_failure(Failure(message=call.failure_reason, type=call.failure_kind))] if failed else None,
    }
    return _known(shown) | {"tags": {**map_of(call.context.tags)}}


#: Members of a request that are no parameters of the model.
_ASKED = frozenset({"model", "messages", "input", "prompt", "stream", "metadata", "user"})


def _depth(span_id: str, spans: dict[str, Entity]) -> int | None:
    """How many spans this one is in; None for one that is in itself."""
    here, above = spans[span_id], 0
    while (parent := spans.get(here.span_id or "")) is not None:
        above += 1
        if above > len(spans):
            return None
        here = parent
    return above


def _is_below(one: Entity, depths: dict[str, int | None]) -> bool:
    """Whether it can be shown below the span that it names."""
    depth = depths.get(one.span_id or "")
    is_in_itself = one.key.kind is Kind.SPAN and depths.get(one.key.id) is None
    return depth is not None and depth < MAX_DEPTH and not is_in_itself


def _timeline(node: JsonObject) -> list[JsonValue]:
    timeline = node.setdefault("timeline", [])
    assert isinstance(timeline, list)
    return timeline


def _times(started_at: datetime, ended_at: datetime | None) -> JsonObject:
    times: JsonObject = {"startTimestamp": _time(started_at)}
    if ended_at is not None:
        milliseconds = (ended_at - started_at).total_seconds() * 1000
        times |= {"endTimestamp": _time(ended_at), "duration": round(milliseconds, 3)}
    return times


def _time(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _documents(output: JsonValue) -> JsonValue:
    return output if isinstance(output, list) or output is None else [output]


def _feedback(feedback: Feedback) -> JsonObject:
    return _known({"score": feedback.score, "comment": feedback.comment})


def _evaluation(evaluation: Evaluation) -> JsonObject:
    return _known({"evaluators": list(evaluation.evaluators), "variables": evaluation.variables})


def _failure(failure: Failure) -> JsonObject:
    return _known(
        {
            "errorId": failure.id,
            "errorMessage": failure.message,
            "errorCode": failure.code,
            "errorType": failure.type,
            "metadata": failure.metadata,
        }
    )


def _attachment(attachment: Attachment) -> JsonObject:
    return _known(
        {
            "id": attachment.id,
            "name": attachment.name,
            "url": attachment.url,
            "key": attachment.key,
            "mimeType": attachment.mime_type,
            "size": attachment.size_bytes,
            "tags": {**attachment.tags},
            "metadata": attachment.metadata,
        }
    )


def _known(members: JsonObject) -> JsonObject:
    return {name: value for name, value in members.items() if value is not None and value not in ({}, [])}


def unique_tags(entities: Iterable[Entity]) -> list[JsonValue]:
    """The keys of all tags, each once."""
    return [*sorted({key for entity in entities for key in entity.tags})]
