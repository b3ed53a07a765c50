"""Sends a call to the proxy's own port, as any client would: what it makes of it is recorded like all else.

A key that is sent along is kept nowhere. Whoever asked need not stay: the answer is read to its end in any case, so
that the record is whole.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from llm_proxy.errors import LlmProxyError

#: Until an answer begins, in seconds; reasoning takes its time.
_BEGIN_S = 600.0
_CONNECT_S = 5.0
#: Calls that are on their way at once.
_MAX_RUNNING = 16
_ID = "x-llm-proxy-id"


class NotSent(LlmProxyError):
    """The call could not be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A call that was made."""

    #: Of its record; None if the proxy does not name it.
    id: str | None
    status: int


class Sender:
    """Makes calls at ``base_url``, which has no slash at its end."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._running: set[asyncio.Task[None]] = set()

    async def send(self, path: str, headers: Mapping[str, str], body: bytes) -> Sent:
        """Post ``body``, and come back when the answer begins. Raises NotSent."""
        if len(self._running) >= _MAX_RUNNING:
            raise NotSent(f"{_MAX_RUNNING} calls that were sent from here still run; wait for one of them")
        begun: asyncio.Future[Sent] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._made(path, headers, body, begun))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(begun)

    def running(self) -> tuple[asyncio.Task[None], ...]:
        """The calls whose answers are still read."""
        return tuple(self._running)

    async def _made(self, path: str, headers: Mapping[str, str], body: bytes, begun: "asyncio.Future[Sent]") -> None:
        # Here, since few calls are sent from the pages, and it takes memory all the time.
        import httpx  # noqa: PLC0415

        timeout = httpx.Timeout(_BEGIN_S, connect=_CONNECT_S)
        try:
            async with (
                httpx.AsyncClient(trust_env=False, timeout=timeout) as client,
                client.stream("POST", self._base_url + path, headers=dict(headers), content=body) as response,
            ):
                if not begun.done():
                    begun.set_result(Sent(id=response.headers.get(_ID), status=response.status_code))
                async for _ in response.aiter_raw():
                    pass
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            # Once it has begun, how it ended is what its record says.
            if not begun.done():
                begun.set_exception(NotSent(f"the proxy did not answer: {exc}"))
