"""What is known of one call while it runs."""

import msgspec

from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.addresses import Address
from llm_proxy.proxy.admission import NOBODY, Pass
from llm_proxy.proxy.asked_model import asked_of_socket
from llm_proxy.proxy.capture import Capture
from llm_proxy.proxy.choosing import check_target
from llm_proxy.proxy.cycle import WireCycle
from llm_proxy.proxy.headers import RequestHead
from llm_proxy.proxy.routing import Target
from llm_proxy.proxy.server_timing import server_timing
from llm_proxy.proxy.transport.base import RawHeaders, UpstreamResponse


class Call(msgspec.Struct, kw_only=True):
    """One call."""

    id: str
    wire: WireCycle
    path_context: str | None
    #: None if the path is no call.
    address: Address | None
    #: Without keys of ours, which are beside it.
    query: bytes
    keys_in_query: list[bytes]
    wall_ns: int
    capture: Capture
    endpoint: Endpoint = Endpoint.OTHER
    #: Whether it asks for a WebSocket.
    switches: bool = False
    admitted: Pass = NOBODY
    response: UpstreamResponse | None = None
    #: Not by the client: what that causes is not for it.
    asked_for_usage: bool = False
    #: Whether the client wants to know where the time went.
    tells_timing: bool = False

    def switch_if_asked(self, head: RequestHead, target: Target) -> Target:
        """``target``, of whose endpoint nobody needs to know more if a WebSocket is asked for."""
        self.switches = head.wants_websocket and self.wire.switches and self.wire.method == b"GET"
        target = target._replace(endpoint=Endpoint.REALTIME) if self.switches else target
        self.endpoint = target.endpoint
        return target

    def server_timing(self) -> RawHeaders:
        """What the answer says of the time until now, if the client wants to know."""
        if not self.tells_timing:
            return []
        return server_timing(self.capture.timing(), now_us=self.capture.now_us())

    def check_target(self, head: RequestHead, target: Target) -> None:
        """Raise Refused if it may not go there, or would come there without a key since ours never goes on."""
        has_proxy_key = bool(head.proxy_keys or self.keys_in_query)
        if self.admitted.key is None and not has_proxy_key:  # on no terms, and with what the client has sent
            return
        check_target(self.admitted, target, head, has_proxy_key=has_proxy_key)

    def check_model(self, target: Target, body: object) -> None:
        """Raise Refused if the model that is asked for may not be."""
        if self.admitted.key is None:
            return
        if self.switches:
            self.admitted.check_named(asked_of_socket(self.query))
        else:
            self.admitted.check_model(self.wire.method, target.target.partition(b"?")[0], body)
