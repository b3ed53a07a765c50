"""Calls to everything else: files, lists, audio and the like, of which only errors are understood."""

from msgspec.structs import replace

from llm_proxy.decode.body import has_failed, read_call
from llm_proxy.decode.summary import error_of
from llm_proxy.model.completion import Decoded
from llm_proxy.model.exchange import Exchange


def decode_other(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read the error of a call that failed."""
    if not has_failed(exchange):
        return Decoded()
    call = read_call(replace(exchange, request_body=None), max_decoded_bytes)
    return Decoded(response=call.response, error=error_of(call, call.response))
