"""The model in a JSON body: read, and written in place.

Only looked at where something depends on it. A body that is no JSON object has no model.
"""

import json
import re
from urllib.parse import quote

import msgspec

from llm_proxy.proxy.json_edit import members, with_value

_MODEL = "model"
#: Where Google, Bedrock and Azure have it: see asked_model.py.
_IN_PATH = re.compile(rb"(?<=/models/)[^/:]+(?=:[A-Za-z]+$)|(?<=/model/)[^/]+(?=/)|(?<=/deployments/)[^/]+(?=/)")


_IN_QUERY = re.compile(rb"((?:^|(?<=&))(?:model|deployment)=)[^&]+")


class _Asked(msgspec.Struct):
    model: str | None = None


_decode = msgspec.json.Decoder(_Asked).decode


def model_in(body: bytes) -> str | None:
    """The model that ``body`` names; None if it names none."""
    try:
        return _decode(body).model
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def with_model_in_path(path: bytes, model: str) -> bytes:
    """``path`` with ``model`` for the one that it names; as it is if it names none."""
    written = quote(model, safe="-._~").encode()
    return _IN_PATH.sub(lambda found: written, path, count=1)


def with_model_in_query(query: bytes, model: str) -> bytes:
    """The same for the query of a WebSocket."""
    written = quote(model, safe="-._~").encode()
    return _IN_QUERY.sub(lambda found: found[1] + written, query, count=1)


def with_model(body: bytes, model: str) -> bytes:
    """``body`` with ``model`` for each that it names in its outermost object; no other byte is changed."""
    written = json.dumps(model, ensure_ascii=False).encode()
    for member in reversed(members(body) or ()):
        if member.name == _MODEL:
            body = with_value(body, member, written)
    return body
