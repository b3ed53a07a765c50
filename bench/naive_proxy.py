"""A streaming reverse proxy as one writes it in an hour, on Starlette and httpx. It records nothing.

Kinder to itself than most: no limit on its connections, no timeouts, uvloop and httptools below it, no access log.
"""

import sys
from collections.abc import Iterable

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

_NOT_FORWARDED = {"host", "connection", "keep-alive", "transfer-encoding"}


def app(upstream: str) -> Starlette:
    """The proxy before the base URL ``upstream``."""
    client = httpx.AsyncClient(
        timeout=None,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        trust_env=False,
    )

    async def relay(request: Request) -> Response:
        url = f"{upstream}{request.url.path}"
        headers = _forwarded(request.headers.items())
        outgoing = client.build_request(request.method, url, headers=headers, content=await request.body())
        response = await client.send(outgoing, stream=True)
        return StreamingResponse(
            response.aiter_raw(),
            status_code=response.status_code,
            headers=dict(_forwarded(response.headers.items())),
            background=BackgroundTask(response.aclose),
        )

    return Starlette(routes=[Route("/{path:path}", relay, methods=["GET", "POST"])])


def _forwarded(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in _NOT_FORWARDED]


if __name__ == "__main__":
    uvicorn.run(app(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
