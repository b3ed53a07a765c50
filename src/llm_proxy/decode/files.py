"""Files and batches: https://platform.openai.com/docs/api-reference/files and .../batch.

Only what is said of a file is read, never what stands in it. A batch shows tokens that were counted elsewhere.
"""

import re

from msgspec.structs import replace

from llm_proxy.decode.body import Answer, member, object_member, read_call, text_member
from llm_proxy.decode.multipart import read_upload
from llm_proxy.decode.summary import preview_of, summarise
from llm_proxy.model.completion import Decoded, JsonValue
from llm_proxy.model.exchange import Exchange

_CONTENT = re.compile(r"/files/[^/?]+/content(?:$|[?/])")


def decode_file(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read what is said of a file that is uploaded, looked at, fetched or deleted."""
    fetched = bool(_CONTENT.search(exchange.target))
    kept = replace(exchange, response_body=None) if fetched and exchange.http_status == 200 else exchange
    call = read_upload(kept, max_decoded_bytes)
    name = text_member(object_member(call.request, "file"), "filename") or text_member(call.response, "filename")
    return _described(
        summarise(
            call,
            Answer(response=call.response),
            kind="file",
            preview=preview_of(f"[{name}]" if name else "", _state(call.response)),
        )
    )


def decode_batch(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read what is said of a batch."""
    call = read_call(exchange, max_decoded_bytes)
    asked = [text_member(call.request, "endpoint"), text_member(call.request, "input_file_id")]
    return _described(
        summarise(
            call,
            Answer(response=call.response),
            kind="batch",
            preview=preview_of(" ".join(filter(None, asked)), _state(call.response)),
        )
    )


def _described(found: Decoded) -> Decoded:
    return replace(found, usage=None)


def _state(response: JsonValue) -> str:
    status = "deleted" if member(response, "deleted") is True else text_member(response, "status")
    return " ".join(filter(None, [text_member(response, "id"), status]))
