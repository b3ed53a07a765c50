"""The straight line of one call.

A coroutine that owns its loop and its one exit: whatever happens, the capture is ended exactly once. Nothing that
records can fail, delay or change the call; nothing is understood here beyond where the call goes.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import msgspec
import uuid_utils

from llm_proxy.attribution.path import split_path_context
from llm_proxy.errors import ClientDisconnected, Headers, Refused, UpstreamError
from llm_proxy.journal.format import Opening
from llm_proxy.journal.writer import Journal
from llm_proxy.metrics import Ledger
from llm_proxy.model.account import MARK
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.proxy.addresses import Addresses
from llm_proxy.proxy.admission import Admission, AdmissionRules
from llm_proxy.proxy.answers import ID_HEADER, error_body, error_headers
from llm_proxy.proxy.attempts import Attempts, ending_of
from llm_proxy.proxy.call import Call
from llm_proxy.proxy.capture import Capture
from llm_proxy.proxy.choosing import MODELS, Chooser, Intent
from llm_proxy.proxy.client import Client
from llm_proxy.proxy.credentials import blank_secrets, split_key, without_keys
from llm_proxy.proxy.cycle import WireCycle
from llm_proxy.proxy.headers import HeaderPolicy, RequestHead, with_length
from llm_proxy.proxy.model_edit import with_model
from llm_proxy.proxy.model_list import QUERIES, Asked, Naming, model_list, plain
from llm_proxy.proxy.relay import relay
from llm_proxy.proxy.routes import Routes
from llm_proxy.proxy.routing import Target, target_at
from llm_proxy.proxy.stream_usage import asking_for_usage, takes_question, uncoded
from llm_proxy.proxy.target_hosts import TargetHosts
from llm_proxy.proxy.transport.base import RawHeaders, Transport, UpstreamRequest, UpstreamResponse
from llm_proxy.proxy.upstreams import Upstream, Upstreams
from llm_proxy.proxy.websocket import UPGRADE, WebSocket, switching_headers
from llm_proxy.proxy.wishes import Wishes, wishes

KEY_MARK = MARK.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """See the sections ``limits``, ``capture`` and ``journal`` of the configuration."""

    #: Longer bodies are passed on piece by piece, and so are those of unknown length in which nothing is looked for.
    buffered_body_bytes: int
    max_body_bytes: int | None
    max_captured_body_bytes: int
    #: What to do with a call that cannot be recorded.
    unrecorded: Literal["continue", "refuse"]
    #: Whether streams are asked for their tokens; see stream_usage.py.
    asks_for_usage: bool = False
    #: How long both sides of a WebSocket may be silent, in seconds; None is for as long as they like.
    websocket_idle_s: float | None = None


class Proxy:
    """Every path that is a call; see addresses.py."""

    def __init__(
        self,
        *,
        transport: Transport,
        upstreams: Upstreams,
        policy: HeaderPolicy,
        journal: Journal,
        ledger: Ledger,
        limits: CallLimits,
        target_hosts: TargetHosts,
        model_prefix: bool = False,
        admission: Admission | None = None,
        routes: Routes | None = None,
        attempts: Attempts | None = None,
    ) -> None:
        """``model_prefix`` is whether ``NAME/model`` in a body chooses an upstream.

        Without ``attempts`` each call is sent once, to one target. Without ``admission`` no key is known, and none is
        needed.
        """
        self._transport = transport
        self._chooser = Chooser(upstreams, target_hosts, routes, model_prefix=model_prefix)
        self.addresses = Addresses(upstreams.names())
        self._policy = policy
        self._journal = journal
        self._ledger = ledger
        self._limits = limits
        self._attempts = attempts
        self._admission = admission or Admission(rules=AdmissionRules())

    async def __call__(self, wire: WireCycle) -> None:
        """Relay one call and have it on record, however it ends."""
        call = self._begin(wire)
        try:
            await self._forward(call)
        except ClientDisconnected as exc:
            call.capture.end(Ending.CLIENT_DISCONNECTED, str(exc))
        except Refused as exc:
            ended = Ending.REFUSED
            await self._answer(call, exc.status, exc.code, ending=ended, reason=str(exc), headers=exc.answer_headers)
        except UpstreamError as exc:
            await self._answer(call, exc.status, exc.code, ending=ending_of(exc), reason=str(exc))
        except asyncio.CancelledError:
            # Told to stop and out of patience. Swallowed: with its connection, the task ends anyway.
            call.capture.end(Ending.ABORTED, "the proxy was stopped while the call ran")
            call.wire.break_off()
        finally:
            call.capture.end(Ending.ABORTED, "an error in the proxy")
            call.admitted.end()
            if call.response is not None:
                call.response.close()

    def _begin(self, wire: WireCycle) -> Call:
        exchange_id = uuid_utils.uuid7()
        path_context, path = split_path_context(wire.raw_path)
        query, keys = without_keys(wire.query, KEY_MARK)
        capture = Capture(
            self._journal,
            self._ledger,
            exchange_id=exchange_id.bytes,
            started_ns=time.monotonic_ns(),
            max_body_bytes=self._limits.max_captured_body_bytes,
        )
        return Call(
            id=str(exchange_id),
            wire=wire,
            path_context=path_context,
            address=self.addresses.find(path, wire.query),
            query=query,
            keys_in_query=keys,
            wall_ns=time.time_ns(),
            capture=capture,
        )

    async def _forward(self, call: Call) -> None:
        said = wishes(call.wire.raw_headers, call.path_context, call.wire.names)
        intent = Intent(call.wire.method, call.address, call.query, call.wire.raw_headers, said)
        call.tells_timing = said.server_timing
        target, refusal = self._chooser.known(intent), None
        if target is None:
            target, refusal = await self._chooser.by_itself(intent)
        head = self._policy.request(call.wire.raw_headers, call.wire.names)
        target = call.switch_if_asked(head, target)
        refusal = self._admit(call, head, target, said) or refusal
        if said.log == "off":
            self._ledger.add("dropped.log_off")
        else:
            self._open(call, head, target, said)
        if refusal is not None:
            raise refusal
        with Client(call.wire, max_body_bytes=self._limits.max_body_bytes) as client:
            body = await self._body(call, client, head)
            call.capture.commit()
            call.check_model(target, body)
            if not call.capture.recording and self._limits.unrecorded == "refuse" and said.log != "off":
                raise Refused("the call cannot be recorded, and is therefore refused", status=503, code="unrecorded")
            if self._chooser.asks_for_all_models(intent):
                names = self._chooser.routes.names(call.wire.raw_headers)
                call.response = await model_list(self._transport, self._listings(call, head), names)
            else:
                call.response = await self._send(call, head, intent, target, body)
            own = [(ID_HEADER, call.id.encode()), *call.server_timing()]
            if call.response.switched is None:
                trim = call.asked_for_usage
                await relay(call.response, self._policy, call.capture, call.wire, own=own, trim=trim)
                return
        await self._relay_socket(call, call.response, own)

    async def _relay_socket(self, call: Call, response: UpstreamResponse, own: RawHeaders) -> None:
        _, recorded = self._policy.response(response.headers)
        call.capture.answer(response.status, recorded)
        socket = WebSocket(call.wire, response, call.capture, idle_s=self._limits.websocket_idle_s)
        await socket.relay(switching_headers(response.headers) + own)

    async def _send(
        self, call: Call, head: RequestHead, intent: Intent, target: Target, body: bytes | AsyncIterator[bytes]
    ) -> UpstreamResponse:
        chosen = self._chooser.by_model(intent, target, body) if self._chooser.model_prefix else target
        if chosen is not target:
            call.capture.sent_to(chosen.upstream.name, chosen.upstream.provider, chosen.model)
        if self._attempts is None:
            call.check_target(head, chosen)
            request = self._request(call, head, chosen, body if chosen.upstream.signer is None else await _whole(body))
            call.capture.sends(request.sending)
            return await self._transport.send(request)
        plan = self._chooser.plan(intent, chosen, body, lambda there: call.check_target(head, there))[0]
        if plan.targets[0].upstream.signer is not None:
            body = await _whole(body)
        return await self._attempts.send(plan, lambda there: self._request(call, head, there, body), call.capture)

    def _admit(self, call: Call, head: RequestHead, target: Target, said: Wishes) -> Refused | None:
        """Find out whose the call is and whether it may go there; why not, if not."""
        try:
            keys = [*head.proxy_keys, *call.keys_in_query]
            call.admitted = self._admission.identify(keys)
            if not keys:  # nobody's: neither is there a limit, nor can a key of ours be missed at the upstream
                return None
            call.admitted.check_record(answer_is_kept=said.log == "full" and said.response_body)
            if not self._chooser.routes.have_targets:
                call.check_target(head, target)  # of others it is judged where they are sent, once that is known
            self._admission.begin(call.admitted)
        except Refused as exc:
            return exc
        return None

    def _listings(self, call: Call, head: RequestHead) -> list[Asked]:
        """Those whose models are to be in the list; the client's own keys go to the default upstream only."""
        asked: list[Asked] = []
        for upstream in self._chooser.upstreams.configured:
            provider = upstream.row.name if upstream.row else None
            target = target_at(upstream, MODELS, call.wire.method, QUERIES.get(provider or "", b""))
            is_default = upstream is self._chooser.upstreams.default
            if not (is_default or self._chooser.model_prefix or self._chooser.routes.lead(upstream)):
                continue
            own = head if is_default else head.without_keys()
            try:
                call.check_target(own, target)
            except Refused:
                continue
            request = self._request(call, own, target, b"")
            headers = plain(request.headers, provider)
            request = msgspec.structs.replace(request, headers=headers, on_informational=None)
            asked.append(Asked(upstream.name, self._naming(call, upstream), request))
        if not asked:
            call.check_target(head, target_at(self._chooser.upstreams.default, MODELS, call.wire.method, b""))
        return asked

    def _naming(self, call: Call, upstream: Upstream) -> Naming:
        """By what name a client asks for a model of ``upstream``; None for one that it does not come to."""
        if upstream is self._chooser.upstreams.default:
            return lambda model: model
        if self._chooser.model_prefix:
            return lambda model: f"{upstream.name}/{model}"
        return lambda model: model if self._chooser.routes.lead_to(upstream, model, call.wire.raw_headers) else None

    def _request(
        self, call: Call, head: RequestHead, target: Target, body: bytes | AsyncIterator[bytes]
    ) -> UpstreamRequest:
        headers = head.forward(target.upstream.host, target.credential, strips_keys=target.strips_keys)
        if call.switches:
            headers += UPGRADE
        elif target.model is not None and isinstance(body, bytes):
            body = with_model(body, target.model)
            headers = with_length(headers, len(body))
        call.asked_for_usage = False
        if self._limits.asks_for_usage and takes_question(target) and isinstance(body, bytes):
            asking = asking_for_usage(body)
            call.asked_for_usage = asking is not None
            if asking is not None:
                body, headers = asking, with_length(uncoded(headers), len(asking))
        chunked = head.chunked
        if target.upstream.signer is not None and isinstance(body, bytes):
            headers += [(b"Content-Length", b"%d" % len(body))] if chunked else []
            chunked = False  # AWS asks for a length
            now = datetime.now(UTC)
            headers = target.upstream.signer.sign(call.wire.method, target.target, headers, body, at=now)
        return UpstreamRequest(
            origin=target.upstream.origin,
            method=call.wire.method,
            target=target.target,
            headers=headers,
            body=body,
            chunked=chunked,
            switches=call.switches,
            on_informational=lambda status, headers: call.wire.inform(status, self._policy.response(headers)[0]),
        )

    def _open(self, call: Call, head: RequestHead, target: Target, said: Wishes) -> None:
        query = call.wire.query
        if query and head.key_fingerprint is None and (key := split_key(query)[1]):
            head.key_fingerprint = self._policy.fingerprints.of(key)
        query = blank_secrets(query)
        path = call.wire.raw_path
        opening = Opening(
            method=call.wire.method.decode("ascii"),
            target=b"%b?%b" % (path, query) if query else path,
            endpoint=target.endpoint,
            headers=head.recorded,
            path_context=call.path_context,
            upstream=target.upstream.name,
            provider=target.upstream.provider,
            client=call.wire.client,
            key_fingerprint=head.key_fingerprint,
            bodies=said.log == "full" and target.endpoint is not Endpoint.OTHER,
            request_body=said.request_body,
            response_body=said.response_body,
            **({} if call.admitted.key is None else call.admitted.owner),
        )
        call.capture.open(opening, wall_ns=call.wall_ns)

    async def _body(self, call: Call, client: Client, head: RequestHead) -> bytes | AsyncIterator[bytes]:
        """The whole body if it is short, else its pieces as they come.

        One of unknown length is waited for only where something depends on what is in it.
        """
        is_read = self._chooser.needs_body or self._limits.asks_for_usage or call.admitted.limits_models
        return await client.body(
            head.content_length,
            whole_bytes=self._limits.buffered_body_bytes,
            waits=bool(is_read),
            note=call.capture.request_piece,
            settle=call.capture.commit,
        )

    async def _answer(
        self, call: Call, status: int, code: str, *, ending: Ending, reason: str, headers: Headers = ()
    ) -> None:
        """Tell the client what happened, or break its answer off if that has begun."""
        if call.wire.response_started:
            call.capture.end(ending, reason)
            call.wire.break_off()
            return
        body = error_body(status=status, code=code, message=reason, call_id=call.id, endpoint=call.endpoint)
        all_headers = [*error_headers(body, call.id), *headers, *call.server_timing()]
        call.capture.answer(status, list(all_headers))
        call.capture.chunk(body)
        call.capture.end(ending, reason)
        await call.wire.begin(status, all_headers, body, more=False)


async def _whole(body: bytes | AsyncIterator[bytes]) -> bytes:
    """All of it: a signature is over the whole."""
    return body if isinstance(body, bytes) else b"".join([piece async for piece in body])
