"""What the JSON body of a request says about who it belongs to.

Claude Code puts its session into ``metadata.user_id``: ``user_<hash>_account_<uuid>_session_<uuid>``, in later
versions a JSON object with ``session_id`` (as LiteLLM reads both, ``litellm_pre_call_utils.py``). LiteLLM takes tags,
session and trace from ``metadata`` (https://docs.litellm.ai/docs/proxy/cost_tracking), OpenRouter a trace from
``trace`` (https://openrouter.ai/docs/guides/features/broadcast), TensorZero tags from ``tensorzero::tags``
(https://www.tensorzero.com/docs/gateway/api-reference/inference-openai-compatible); OpenAI has ``conversation``.
Never fails.
"""

import json
import re

from llm_proxy.attribution.draft import Draft
from llm_proxy.attribution.vocabulary import BODY_MEMBERS, BODY_METADATA, Tells
from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.tag_map import tags_of

_CLAUDE_CODE = re.compile(r"(.+)_session_([A-Za-z0-9-]{8,})")
#: Members of ``metadata`` that say more than themselves, in order of precedence.
_IN_METADATA = {
    "session_id": Tells.SESSION_ID,
    "langfuse_session_id": Tells.SESSION_ID,
    "trace_id": Tells.TRACE_ID,
    "trace_user_id": Tells.USER_ID,
    "langfuse_user_id": Tells.USER_ID,
    "session_name": Tells.SESSION_NAME,
}


def take_body(draft: Draft, request: JsonObject) -> None:
    """Take what ``request`` says into ``draft``."""
    for member, tells in BODY_MEMBERS.items():
        match request.get(member):
            case str(value):
                draft.text(tells, f"{member} in the body", value)
            case None:
                pass
            case _:
                draft.dropped(f"{member} in the body", "it is no string")
    _take_conversation(draft, request.get("conversation"))
    _take_trace(draft, request.get("trace"))
    match request.get("tensorzero::tags"):
        case dict(members):
            draft.tags("tensorzero::tags in the body", tags_of(_texts(members)))
    for member in BODY_METADATA:
        match request.get(member):
            case dict(members):
                _take_metadata(draft, f"{member} in the body", members)
            case None:
                pass
            case _ if member == "metadata":
                draft.dropped(f"{member} in the body", "it is no JSON object")


def _take_conversation(draft: Draft, conversation: JsonValue) -> None:
    """OpenAI's Responses: an id, or an object that has one."""
    value = conversation.get("id") if isinstance(conversation, dict) else conversation
    if isinstance(value, str):
        draft.text(Tells.SESSION_ID, "conversation in the body", value)


def _take_trace(draft: Draft, trace: JsonValue) -> None:
    if not isinstance(trace, dict):
        return
    trace_id = trace.get("trace_id")
    if isinstance(trace_id, str):
        draft.text(Tells.TRACE_ID, "trace in the body", trace_id)
    draft.metadata("trace in the body", {key: value for key, value in trace.items() if key != "trace_id"})


def _take_metadata(draft: Draft, source: str, members: JsonObject) -> None:
    for member, tells in _IN_METADATA.items():
        value = members.get(member)
        if isinstance(value, str):
            draft.text(tells, f"{member} of {source}", value)
    user_id = members.get("user_id")
    if isinstance(user_id, str):
        _take_user_id(draft, f"user_id of {source}", user_id)
    tags = members.get("tags")
    if isinstance(tags, list):
        draft.tags(f"tags of {source}", (tag for tag in tags if isinstance(tag, str)))
    draft.metadata(source, members)


def _take_user_id(draft: Draft, source: str, user_id: str) -> None:
    user: JsonValue = user_id
    session: JsonValue = None
    if user_id.startswith("{"):
        told = _object(user_id)
        session = told.get("session_id")
        user = told.get("account_uuid") or told.get("device_id") or user_id
    elif (match := _CLAUDE_CODE.fullmatch(user_id)) is not None:
        user, session = match[1].removesuffix("_account_"), match[2]
    if isinstance(session, str):
        draft.text(Tells.SESSION_ID, source, session)
    if isinstance(user, str):
        draft.text(Tells.USER_ID, source, user)


def _object(text: str) -> JsonObject:
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _texts(members: JsonObject) -> dict[str, str]:
    return {key: str(value) if value else "" for key, value in members.items()}
