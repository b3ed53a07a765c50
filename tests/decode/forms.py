"""Uploads as they look on the wire (RFC 7578), for the tests of what reads them."""

from typing import Any

BOUNDARY = "----Boundary7MA4YWxk"
HEADERS = (("Content-Type", f"multipart/form-data; boundary={BOUNDARY}"),)


def form(*fields: tuple[str, str | bytes] | tuple[str, bytes, str, str]) -> bytes:
    """A form of (name, value) and (name, content, filename, content type)."""
    parts = []
    for name, value, *file in fields:
        disposition = f'Content-Disposition: form-data; name="{name}"'
        head = f'{disposition}; filename="{file[0]}"\r\nContent-Type: {file[1]}' if file else disposition
        content = value if isinstance(value, bytes) else value.encode()
        parts.append(f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def upload(*fields: Any) -> dict[str, Any]:
    """What an exchange is made of that uploads such a form."""
    return {"request": form(*fields), "request_headers": HEADERS}
