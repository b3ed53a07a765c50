"""Health and numbers of a process that has a port of its own; the proxy's port has its own (proxy/front.py)."""

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from llm_proxy.errors import LlmProxyError
from llm_proxy.metrics import exposition

_NO_STORE = {"cache-control": "no-store"}
#: The text format that Prometheus scrapes.
_METRICS = "text/plain; version=0.0.4; charset=utf-8"

Check = Callable[[], Awaitable[None]]


def routes(*, check: Check, numbers: Callable[[], Counter[str]]) -> list[Route]:
    """``/healthz``, ``/readyz``, ``/metrics``; ``check`` raises an error of ours if the process cannot do its work."""
    return [
        Route("/healthz", endpoint=_healthz),
        Route("/readyz", endpoint=partial(_readyz, check)),
        Route("/metrics", endpoint=partial(_metrics, numbers)),
    ]


async def _healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n", headers=_NO_STORE)


async def _readyz(check: Check, request: Request) -> Response:
    try:
        await check()
    except LlmProxyError as exc:
        return PlainTextResponse(f"{exc}\n", 503, headers=_NO_STORE)
    return PlainTextResponse("ok\n", headers=_NO_STORE)


async def _metrics(numbers: Callable[[], Counter[str]], request: Request) -> Response:
    return Response(exposition(numbers()), headers=_NO_STORE, media_type=_METRICS)
