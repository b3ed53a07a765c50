"""The path prefix ``/~tags=nightly,ci;session=run-42/v1/...``, for tools that can set nothing but a base URL.

What stands behind it is passed on byte for byte; what is inside stays percent-encoded until it is read. Used by the
proxy for every call: cheap for a path without the prefix, and nothing heavy is imported.
"""

from urllib.parse import unquote_to_bytes

#: ``~`` need not be encoded in a path (RFC 3986 section 2.3), but some clients do.
_MARKS = (b"/~", b"/%7E", b"/%7e")
#: What the proxy itself obeys; everything else is for the record.
_OPTIONS = frozenset({"log", "provider"})


def split_path_context(raw_path: bytes) -> tuple[str | None, bytes]:
    """The text behind ``/~``, still percent-encoded, and the path without it; None and the path if there is none."""
    if not raw_path.startswith(_MARKS):
        return None, raw_path
    start = 2 if raw_path[1:2] == b"~" else 4
    end = raw_path.find(b"/", start)
    if end < 0:
        return _text(raw_path[start:]), b"/"
    return _text(raw_path[start:end]), raw_path[end:]


def path_options(context: str) -> dict[str, str]:
    """What ``context`` says about ``log`` and ``provider``, in lower case; a key that it does not have is absent."""
    return {key: unquote(value).strip().lower() for key, value in path_pairs(context) if key in _OPTIONS}


def path_pairs(context: str) -> list[tuple[str, str]]:
    """The keys, decoded, and their values, still encoded: a comma that is encoded does not separate tags."""
    pairs = (part.partition("=") for part in context.split(";"))
    return [(unquote(key).strip(), value) for key, _, value in pairs if key or value]


def unquote(text: str) -> str:
    """``text`` without its percent-encoding; bytes that are no UTF-8 are taken for Latin-1."""
    return _text(unquote_to_bytes(text.encode("utf-8", "replace"))) if "%" in text else text


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
