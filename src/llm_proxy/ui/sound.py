"""Recorded sounds as a browser can play them; what it cannot is told in words."""

import base64
import binascii
import struct

from llm_proxy.model.completion import Bodies, Completion
from llm_proxy.model.exchange import Endpoint

#: What browsers play, by the formats that APIs name.
_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "opus": "audio/ogg", "flac": "audio/flac", "aac": "audio/aac"}
_MEDIA_TYPES = frozenset({*_TYPES.values(), "audio/mp3", "audio/x-wav", "audio/wave", "audio/webm", "audio/mp4"})
#: Samples a second of what OpenAI calls pcm16: one channel, 16 bits.
_PCM_RATE = 24_000
#: Bytes of a sound on a page.
_MAX_BYTES = 8 * 2**20


def sound_url(encoded: str, kind: str | None) -> str | None:
    """The data: URL of a sound in Base64, of this format or media type; None if no browser plays that."""
    kind = (kind or "").partition(";")[0].strip().lower()
    if kind in ("pcm16", "pcm", "audio/pcm", "audio/l16"):
        try:
            return _url("audio/wav", _as_wav(binascii.a2b_base64(encoded)))
        except ValueError:
            return None
    media_type = _TYPES.get(kind, kind)
    try:
        # Decoded and encoded again, so that nothing but Base64 is in the URL.
        return _url(media_type, binascii.a2b_base64(encoded)) if media_type in _MEDIA_TYPES else None
    except ValueError:
        return None


def answered_sound(completion: Completion) -> str | None:
    """The data: URL of an answer that is a sound as a whole; None if it is none, or too long for a page."""
    bodies = completion.bodies or Bodies()
    body = bodies.response_body
    if completion.endpoint is not Endpoint.SPEECH or not body or len(body) > _MAX_BYTES or completion.truncated:
        return None
    headers = {name.lower(): value or "" for name, value in bodies.response_headers}
    if headers.get("content-encoding"):
        return None
    return sound_url(base64.b64encode(body).decode(), headers.get("content-type"))


def _url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _as_wav(samples: bytes) -> bytes:
    """Samples with the head of a WAV file (RIFF, PCM) before them."""
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, _PCM_RATE, _PCM_RATE * 2, 2, 16)
    data = struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI4s", b"RIFF", 4 + len(head) + len(data), b"WAVE") + head + data
