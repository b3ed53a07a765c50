"""The body of Maxim's ``POST /v1/logs/batch``: checked against its specification, and taken apart into statements.

It is as strict as the specification, and no stricter but for how many tags and entities there may be: a number is no
string, null is no value, members that it does not name are kept. Where it says nothing of a type (the content of a
message, the values of metadata), anything is taken. All faults are found at once, each with its path, like
``logs[3].messages[0].role``.
"""

import re
from typing import Annotated, Any, Literal, Required, TypeAlias

from pydantic import AfterValidator, Field, TypeAdapter
from typing_extensions import TypedDict  # pydantic takes that of Python only from 3.12 on

from llm_proxy.api.maxim_faults import check
from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.trace import MAX_TAGS, Kind, Statement

#: Of one batch: more would keep all others from writing for seconds.
MAX_LOGS = 10_000
#: RFC 3986: a scheme, and no character that cannot stand in a URI.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!#-;=?-\[\]_a-z~]*")


def _uri(text: str) -> str:
    if not _URI.fullmatch(text):
        raise ValueError("must be a URI")
    return text


_Tags: TypeAlias = Annotated[dict[str, str], Field(max_length=MAX_TAGS)]
_Metrics: TypeAlias = dict[str, float]
_Metadata: TypeAlias = dict[str, Any]


class _Feedback(TypedDict, total=False):
    score: Required[float]
    comment: str


class _Evaluate(TypedDict, total=False):
    evaluators: Required[Annotated[list[str], Field(min_length=1)]]
    variables: dict[str, str]


class _TraceAttachment(TypedDict, total=False):
    attachmentId: Required[str]
    url: Required[Annotated[str, AfterValidator(_uri)]]
    tags: _Tags
    metadata: dict[str, str]


class _SpanAttachment(TypedDict, total=False):
    attachmentId: Required[str]
    url: Required[str]
    tags: _Tags
    metadata: _Metadata


class _Error(TypedDict, total=False):
    errorMessage: Required[str]
    errorCode: str
    errorType: str


class _SpanError(_Error, total=False):
    errorId: Required[str]


class _Entity(TypedDict, total=False):
    id: Required[str]
    tags: _Tags


class _Child(_Entity, total=False):
    traceId: str
    spanId: str


class _Session(_Entity, total=False):
    type: Required[Literal["session"]]
    name: str
    feedback: _Feedback
    evaluate: _Evaluate
    metrics: _Metrics


class _Trace(_Entity, total=False):
    type: Required[Literal["trace"]]
    name: str
    sessionId: str
    input: str
    output: str
    feedback: _Feedback
    metadata: _Metadata
    metrics: _Metrics
    evaluate: _Evaluate
    attachment: _TraceAttachment


class _Span(_Child, total=False):
    type: Required[Literal["span"]]
    name: str
    evaluate: _Evaluate
    metadata: _Metadata
    error: _SpanError
    attachment: _SpanAttachment


class _Function(TypedDict):
    name: str
    arguments: str


class _Call(TypedDict):
    id: str
    type: Literal["function"]
    function: _Function


class _Message(TypedDict, total=False):
    role: Required[Literal["assistant", "user", "system", "model", "chatbot", "tool"]]
    content: Any
    tool_call_id: str
    tool_calls: list[_Call]


class _ResultCall(TypedDict):
    id: str
    type: str
    function: _Function


class _ResultMessage(TypedDict, total=False):
    role: Required[Literal["assistant"]]
    content: Required[str | None]
    function_call: _Function
    tool_calls: list[_ResultCall]


class _Logprobs(TypedDict, total=False):
    text_offset: list[float]
    token_logprobs: list[float]
    tokens: list[str]
    top_logprobs: list[dict[str, float]]


class _Choice(TypedDict):
    index: float
    logprobs: _Logprobs | None
    finish_reason: str


class _ChatChoice(_Choice):
    message: _ResultMessage


class _TextChoice(_Choice):
    text: str


class _Usage(TypedDict):
    prompt_tokens: float
    completion_tokens: float
    total_tokens: float


class _Cost(TypedDict):
    input: float
    output: float
    total: float


class _ResultError(TypedDict, total=False):
    message: Required[str]
    code: str
    type: str


class _Result(TypedDict, total=False):
    id: Required[str]
    created: Required[float]
    model: Required[str]
    usage: Required[_Usage]
    cost: _Cost
    error: _ResultError


class _ChatResult(_Result, total=False):
    object: Required[Literal["chat.completion"]]
    choices: Required[list[_ChatChoice]]


class _TextResult(_Result, total=False):
    object: Required[Literal["text_completion"]]
    choices: Required[list[_TextChoice]]


class _Generation(_Child, total=False):
    type: Required[Literal["generation"]]
    name: str
    model: Required[str]
    provider: Required[Literal["openai", "bedrock", "anthropic", "huggingface", "azure", "together", "groq", "google"]]
    messages: Required[list[_Message]]
    modelParameters: Required[_Metadata]
    metadata: _Metadata
    metrics: _Metrics
    result: Annotated[_ChatResult | _TextResult, Field(discriminator="object")]
    maximPromptId: str
    maximPromptVersionId: str
    error: _Error
    evaluate: _Evaluate


class _Retrieval(_Child, total=False):
    type: Required[Literal["retrieval"]]
    name: str
    input: str
    output: str | list[str]
    metadata: _Metadata
    metrics: _Metrics
    evaluate: _Evaluate


class _ToolCall(_Child, total=False):
    type: Required[Literal["toolCall"]]
    name: Required[str]
    description: Required[str]
    args: Required[str]
    result: str
    error: _Error


class _Event(_Child, total=False):
    type: Required[Literal["event"]]
    name: Required[str]
    metadata: _Metadata


_Log: TypeAlias = Annotated[
    _Trace | _Session | _Span | _Generation | _Retrieval | _ToolCall | _Event,
    Field(discriminator="type"),
]


class _Batch(TypedDict):
    repoId: str
    logs: Annotated[list[_Log], Field(max_length=MAX_LOGS)]


_BATCH = TypeAdapter(_Batch)
_ERROR = {"errorId": "id", "errorMessage": "message", "errorCode": "code", "errorType": "type"}
_ATTACHMENT = {"attachmentId": "id"}


def read_batch(body: JsonValue, *, heard_at_us: int) -> tuple[str, list[Statement]]:
    """The repository, and one statement for each entity. Raises InvalidBody."""
    # What would come out of it has lost what the specification does not name; so it is only asked for its opinion.
    check(_BATCH, body)
    assert isinstance(body, dict)
    logs: Any = body["logs"]
    told = [_statement(log, heard_at_us + place) for place, log in enumerate(logs)]
    return str(body["repoId"]), told


def _statement(log: JsonObject, heard_at_us: int) -> Statement:
    members = {name: value for name, value in log.items() if name not in _RENAMED and name not in ("id", "type")}
    for name, (list_name, renamed) in _RENAMED.items():
        if isinstance(told := log.get(name), dict):
            members[list_name] = [{renamed.get(member, member): value for member, value in told.items()}]
    return Statement(kind=Kind(str(log["type"])), id=str(log["id"]), heard_at_us=heard_at_us, members=members)


#: Members of which an entity of ours may have several: what they are here, and what their own members are.
_RENAMED: dict[str, tuple[str, dict[str, str]]] = {
    "feedback": ("feedback", {}),
    "evaluate": ("evaluations", {}),
    "error": ("errors", _ERROR),
    "attachment": ("attachments", _ATTACHMENT),
}
