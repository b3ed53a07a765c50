"""Files for Maxim's SDKs: where to put one, taking it in, and giving it back.

An SDK asks with its key where to put a file, and puts it there without one: the URL itself says what may be put, for
whom and until when, and is signed (HMAC-SHA256), so that nobody can make one up or change it. A file is known by the
key that the SDK gave it; its bytes lie under their hash.
"""

import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from llm_proxy.api.maxim_faults import maxim_error
from llm_proxy.api.resource import Fault, Method, Table, answered
from llm_proxy.api.seal import Seal
from llm_proxy.errors import Refused, StoreUnavailable
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.trace import Upload
from llm_proxy.store.base import Blobs, Traces

#: A file may be so large; Maxim's own limit is 50 MB.
MAX_FILE_BYTES = 100 * 2**20
#: How long a URL holds, in seconds: an SDK uses it at once, and tries again for a minute or two.
VALID_S = 3600
MAX_KEY_CHARACTERS = 1024
_ATTACHMENTS = "/api/sdk/v1/log-repositories/attachments"
_MIME_TYPE = re.compile(r"[!#-+.^-~\w-]{1,100}/[!#-+.^-~\w-]{1,100}(\s*;.{0,200})?", re.ASCII)


class Permit(msgspec.Struct, array_like=True, frozen=True):
    """What a URL allows."""

    organization_id: str
    key: str
    mime_type: str
    size_bytes: int
    #: Seconds since 1970.
    expires_at: int


@dataclass(frozen=True, slots=True)
class Files:
    """What uploads need."""

    traces: Traces
    blobs: Blobs
    #: Signs the URLs.
    seal: Seal


def table(files: Files) -> Table:
    """What needs a key."""
    return {
        f"{_ATTACHMENTS}/upload-url": {
            "GET": Method(scope=Scope.WRITE, by_project=True, answer=partial(_upload_url, files), shape=maxim_error)
        },
        _ATTACHMENTS: {
            "GET": Method(scope=Scope.READ, by_project=True, answer=partial(_download, files), shape=maxim_error)
        },
    }


def routes(files: Files) -> list[Route]:
    """What needs none, since its URL is signed."""
    return [Route(f"{_ATTACHMENTS}/{{word}}", endpoint=_Put(files))]


async def _upload_url(files: Files, request: Request, principal: Principal) -> Response:
    given = request.query_params
    key, mime_type, size = given.get("key", ""), given.get("mimeType", ""), given.get("size", "")
    if not key or len(key) > MAX_KEY_CHARACTERS:
        raise Fault(f"key must be given, with at most {MAX_KEY_CHARACTERS} characters", param="key")
    # maxim-py does not encode the plus of image/svg+xml.
    mime_type = mime_type.replace(" ", "+") if ";" not in mime_type else mime_type
    if not _MIME_TYPE.fullmatch(mime_type):
        raise Fault("mimeType must be the type of the file, like text/plain", param="mimeType")
    if not re.fullmatch("[0-9]{1,18}", size):
        raise Fault("size must be the size of the file in bytes", param="size")
    if int(size) > MAX_FILE_BYTES:
        raise Fault(f"a file must not be longer than {MAX_FILE_BYTES} bytes", param="size", status=413)
    within(principal, key.partition("/")[0], param="key")
    permit = Permit(principal.organization_id, key, mime_type, int(size), int(time.time()) + VALID_S)
    return answered(
        {
            "data": {
                "url": f"{_origin(request)}{_ATTACHMENTS}/{files.seal.close(msgspec.json.encode(permit))}",
                "key": key,
            }
        }
    )


async def _download(files: Files, request: Request, principal: Principal) -> Response:
    key = request.query_params.get("key", "")
    within(principal, key.partition("/")[0], param="key")
    upload = await files.traces.upload(principal.organization_id, key)
    if upload is None:
        raise Fault(f"there is no file {key!r}", param="key", status=404, code="not_found")
    if not await files.blobs.has(upload.hash):
        # Said now: an answer that has begun could only break off.
        message = f"the file {key!r} is not in the directory of files of this host; see store.uploads_dir"
        raise Fault(message, param="key", status=404, code="file_missing")
    headers = {
        "content-length": str(upload.size_bytes),
        # What others uploaded is never shown as a page of ours.
        "content-disposition": f"attachment; filename*=UTF-8''{quote(key.rpartition('/')[2], safe='')}",
        "content-security-policy": "sandbox",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
    return StreamingResponse(files.blobs.read(upload.hash), headers=headers, media_type=upload.mime_type)


class _Put:
    """Takes in one file."""

    def __init__(self, files: Files) -> None:
        self._files = files

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Refused as exc:
            headers = dict(exc.headers) if isinstance(exc, Fault) else {}
            response = answered(maxim_error(exc), status=exc.status)
            response.headers.update(headers)
        except StoreUnavailable as exc:
            fault = Fault(str(exc), param=None, status=503, code="store_unavailable")
            response = answered(maxim_error(fault), status=503)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method != "PUT":
            message = f"{request.method} is not possible here; use PUT"
            raise Fault(message, param=None, status=405, code="method_not_allowed", headers={"allow": "PUT"})
        permit = permitted(self._files.seal, request.path_params["word"], now=time.time())
        sent_type = request.headers.get("content-type", "")
        if _bare(sent_type) != _bare(permit.mime_type):
            message = f"the URL is for a file of the type {permit.mime_type}"
            raise Fault(message, param=None, status=415, code="wrong_type")
        blob = await self._files.blobs.add(_limited(request, permit.size_bytes))
        upload = Upload(
            key=permit.key,
            hash=blob.hash,
            mime_type=permit.mime_type,
            size_bytes=blob.size_bytes,
            created_at=datetime.now(UTC),
        )
        await self._files.traces.add_upload(permit.organization_id, upload)
        return answered({})


def permitted(seal: Seal, word: str, *, now: float) -> Permit:
    """What the signed part of a URL allows. Raises Fault (403) if nobody here signed it, or its time is over."""
    told = seal.open(word)
    permit = None if told is None else msgspec.json.decode(told, type=Permit)
    if permit is None or permit.expires_at < now:
        raise Fault("the URL was not given out here, or is too old", param=None, status=403, code="invalid_url")
    return permit


def within(principal: Principal, repository: str, *, param: str) -> None:
    """Raises Fault (404) if the key of the caller is for another repository."""
    if principal.project_id is not None and principal.project_id != repository:
        raise Fault(f"there is no log repository {repository!r}", param=param, status=404, code="not_found")


async def _limited(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > max_bytes:
            message = f"the URL is for a file of at most {max_bytes} bytes"
            headers = {"connection": "close"}
            raise Fault(message, param=None, status=413, code="body_too_large", headers=headers)
        yield piece


def _origin(request: Request) -> str:
    """Where the caller reached us: what it is given leads there again, whatever stands between."""
    scheme = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return f"{'https' if scheme == 'https' else 'http'}://{request.headers.get('host', 'localhost')}"


def _bare(mime_type: str) -> str:
    return mime_type.partition(";")[0].strip().lower()
