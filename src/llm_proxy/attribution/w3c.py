"""W3C Trace Context and W3C Baggage, as far as they say who a call belongs to. Pure; never raises."""

import re
from urllib.parse import unquote

#: Version, trace id, parent id, flags; later versions may add fields (Trace Context level 1, section 3.2).
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


def trace_id(traceparent: str) -> str | None:
    """The trace id of a ``traceparent`` header; None if it is not valid."""
    match = _valid(traceparent)
    return match and match[2]


def parent_span_id(traceparent: str) -> str | None:
    """The id of the span that sent a ``traceparent`` header; None if it is not valid."""
    match = _valid(traceparent)
    return match and match[3]


def baggage(text: str) -> dict[str, str]:
    """The members of a ``baggage`` header, values decoded, properties left out; of a repeated key the last counts."""
    members: dict[str, str] = {}
    for member in text.split(","):
        key, separator, value = member.partition(";")[0].partition("=")
        if separator:
            # Bytes that are no UTF-8 become U+FFFD (Baggage section 3.3.1.3, value).
            members[key.strip()] = unquote(value.strip())
    return members


def _valid(traceparent: str) -> re.Match[str] | None:
    match = _TRACEPARENT.fullmatch(traceparent)
    return None if match is None or (match[1] == "00" and match[4] is not None) else match
