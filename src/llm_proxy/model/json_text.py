"""JSON as text and back, exactly: big integers, lone surrogates, the order of members.

NaN and the infinities are no JSON and become null.
"""

import json
import math

import msgspec

from llm_proxy.model.completion import JsonValue

_decode_fast = msgspec.json.Decoder().decode


def encode_json(value: object) -> bytes:
    """``value``, made of what JSON is made of, as compact JSON in UTF-8. Raises RecursionError if it is too deep.

    Text stands as it is, but in a value that holds a lone surrogate everything beyond ASCII is escaped.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # UTF-8 has no lone surrogates
        pass
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")
    except ValueError:  # NaN or an infinity, as which 1e999 is read
        return json.dumps(_finite(value), separators=(",", ":")).encode("ascii")


def decode_json(raw: bytes) -> JsonValue:
    """The value that ``encode_json`` made ``raw`` of. Raises ValueError if it is no JSON."""
    try:
        value: JsonValue = _decode_fast(raw)
    except msgspec.DecodeError:  # it takes no lone surrogates, either
        value = json.loads(raw)
    return value


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {name: _finite(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(member) for member in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
