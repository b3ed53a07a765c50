"""Requests that ask for another protocol go over a transport that can switch, all others over one that cannot."""

from llm_proxy.proxy.transport.base import Transport, UpstreamRequest, UpstreamResponse


class WithSwitching:
    """Two transports as one."""

    def __init__(self, transport: Transport, switching: Transport) -> None:
        self._transport = transport
        self._switching = switching

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send the request and wait for the head of the response."""
        return await (self._switching if request.switches else self._transport).send(request)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()
        await self._switching.close()
