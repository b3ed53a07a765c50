"""A streaming reverse proxy on aiohttp, server and client. It records nothing."""

import asyncio
import sys
from collections.abc import Iterable

import aiohttp
import uvloop
from aiohttp import web

_NOT_FORWARDED = {"host", "connection", "keep-alive", "transfer-encoding"}


def app(upstream: str) -> web.Application:
    """The proxy before the base URL ``upstream``."""
    session: aiohttp.ClientSession

    async def open_session(_: web.Application):
        nonlocal session
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            yield

    async def relay(request: web.Request) -> web.StreamResponse:
        url = f"{upstream}{request.path_qs}"
        headers = _forwarded(request.headers.items())
        async with session.request(request.method, url, headers=headers, data=await request.read()) as answer:
            response = web.StreamResponse(status=answer.status, headers=_forwarded(answer.headers.items()))
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
        return response

    application = web.Application(client_max_size=2**30)
    application.cleanup_ctx.append(open_session)
    application.router.add_route("*", "/{path:.*}", relay)
    return application


def _forwarded(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in _NOT_FORWARDED}


if __name__ == "__main__":
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    web.run_app(app(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, loop=loop)
