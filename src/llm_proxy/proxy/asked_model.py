"""Which model a call asks for: by the member of that name of a JSON body, or by its path; nothing else is read.

Only looked for where something depends on it.
"""

import re
from urllib.parse import unquote_to_bytes

from llm_proxy.proxy.model_edit import model_in

#: Google (``/models/NAME:generateContent``), Bedrock (``/model/NAME/converse``), Azure (``/deployments/NAME/…``).
_IN_PATH = re.compile(rb"/(?:models/([^/:]+):[A-Za-z]+|model/([^/]+)/[a-z-]+|deployments/([^/]+)/.+)$")
#: In a form, as uploads are sent: a part of that name.
_IN_FORM = re.compile(rb'\bname="?model"?(?:;[^\r\n]*)?(?:\r\n[^\r\n]+)*\r\n\r\n([^\r\n]*)\r\n--', re.IGNORECASE)
#: Of a WebSocket.
_IN_QUERY = re.compile(rb"(?:^|(?<=&))(model|deployment)=([^&]+)")


def asked_of_socket(query: bytes) -> str | None:
    """The model that a WebSocket is opened for, by its query; None where that is said later, as Google's clients do.

    https://platform.openai.com/docs/guides/realtime-websocket; Azure may call it ``deployment``.
    """
    found = _IN_QUERY.search(query)
    return unquote_to_bytes(found[2].replace(b"+", b" ")).decode("utf-8", "replace") if found else None


def asked_model(path: bytes, body: bytes) -> str | None:
    """The model that ``path``, without its query, or ``body`` names; None if neither does."""
    if match := _IN_PATH.search(path):
        named = next(group for group in match.groups() if group is not None)
        return unquote_to_bytes(named).decode("utf-8", "replace")
    if body[:2] == b"--":
        found = _IN_FORM.search(body)
        return None if found is None else found[1].decode("utf-8", "replace")
    return model_in(body)
