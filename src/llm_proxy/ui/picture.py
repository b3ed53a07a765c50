"""Recorded images as a browser can show them, within the page or at an address of their own."""

import base64
import binascii
import hashlib
from collections.abc import Iterable

from starlette.responses import Response

#: What browsers show and what cannot run, by how it begins in Base64.
_TYPES = {"iVBORw": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}
#: An image never changes at its address, which is its content; only who may see the call may see it.
_HEADERS = {"cache-control": "private, max-age=3600", "content-disposition": "inline"}


def picture_url(encoded: str) -> str | None:
    """The data: URL of an image in Base64; None if it is none, or none that is shown."""
    media_type = next((kind for head, kind in _TYPES.items() if encoded.startswith(head)), None)
    return media_type and f"data:{media_type};base64,{encoded}"


def picture_name(url: str) -> str:
    """What tells the image of a data: URL from all others, as a part of an address."""
    return hashlib.blake2b(url.encode(), digest_size=16).hexdigest()


def picture_file(urls: Iterable[str], name: str) -> Response | None:
    """The one of these images that has this name, as a browser shows it by itself; None if it is not there."""
    url = next((url for url in urls if picture_name(url) == name), None)
    if url is None:
        return None
    head, _, encoded = url.partition(",")
    try:
        content = base64.b64decode(encoded)
    except binascii.Error:
        return None
    return Response(content, media_type=head.removeprefix("data:").removesuffix(";base64"), headers=_HEADERS)
