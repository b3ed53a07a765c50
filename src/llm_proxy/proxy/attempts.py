"""Send a call to one target after the other until one answers, each with as many attempts as its route allows.

Invariants
- Nothing has gone to the client before this is through, and nothing is tried again after it is.
- An answer is only given up for another attempt that will be made: the last one is relayed as it came.
- Each attempt is noted before the next one begins; of a call with one attempt, none is.
- Second attempts at a target draw on a budget that all calls of the process fill; a target after it does not.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from llm_proxy.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from llm_proxy.journal.format import Tried
from llm_proxy.metrics import Ledger
from llm_proxy.model.exchange import Ending
from llm_proxy.proxy.breaker import Breakers, Passage
from llm_proxy.proxy.capture import Capture
from llm_proxy.proxy.headers import HeaderPolicy
from llm_proxy.proxy.routes import Retry
from llm_proxy.proxy.routing import Target
from llm_proxy.proxy.transport.base import RawHeaders, Sending, Transport, UpstreamRequest, UpstreamResponse

#: Kept of the body of an answer that is given up: an error says what it is at its beginning.
_ERROR_BYTES = 16 * 1024
#: How long that may take to come, in seconds.
_ERROR_WAIT_S = 1.0
#: No backoff is longer, in seconds.
_MAX_BACKOFF_S = 8.0
#: Second attempts that can be saved up, so that the first calls of a process have some.
_SAVED = 10.0
#: Statuses that tell that an upstream is ill; others are about the call.
_ILL = 500
_ONCE = Retry(attempts=1, statuses=frozenset())
_LEFT_ALONE = "left_alone"


class RetryBudget:
    """Second attempts, of which there are so many per call."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._left = _SAVED if ratio else 0.0

    def fill(self) -> None:
        """A call has come."""
        self._left = min(self._left + self._ratio, _SAVED)

    def take(self) -> bool:
        """Whether there is one; it is taken."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a call is sent."""

    targets: Sequence[Target]
    retry: Retry = _ONCE


@dataclass(slots=True, kw_only=True)
class _Outcome:
    """What came of one attempt: an answer or an error, never both."""

    started_us: int
    response: UpstreamResponse | None = None
    error: UpstreamError | None = None
    left_alone: bool = False
    sending: Sending = field(default_factory=Sending)


class Attempts:
    """Sends the calls of a process."""

    def __init__(
        self,
        transport: Transport,
        policy: HeaderPolicy,
        *,
        ledger: Ledger,
        breakers: Breakers | None = None,
        retry_ratio: float = 0.2,
        draw: random.Random | None = None,
    ) -> None:
        """Without ``breakers`` no upstream is left alone."""
        self._transport = transport
        self._policy = policy
        self._ledger = ledger
        self.breakers = breakers
        self._budget = RetryBudget(retry_ratio)
        self._draw = draw or random.Random()  # noqa: S311 - spreads load, keeps no secret

    async def send(
        self, plan: Plan, request: Callable[[Target], UpstreamRequest], capture: Capture
    ) -> UpstreamResponse:
        """The answer to relay. Raises what the last attempt raised, if it had none."""
        self._budget.fill()
        retry, deadline = plan.retry, time.monotonic() + plan.retry.budget_s
        was_several = False
        for place, target in enumerate(plan.targets):
            behind, number = plan.targets[place + 1 :], 0
            while True:
                number += 1
                outcome = await self._try(target, request, retry, capture)
                response = outcome.response
                if response is not None and response.status not in retry.statuses:
                    if was_several:
                        self._note(target, outcome, capture)
                    return response
                wait_s = self._wait_s(outcome, retry, number, deadline)
                if wait_s is None and not self._goes_on(behind, deadline):
                    if was_several:
                        self._note(target, outcome, capture)
                    if response is not None:
                        return response
                    assert outcome.error is not None
                    raise outcome.error
                was_several = True
                await self._give_up(target, outcome, capture, wait_s)
                if wait_s is None:
                    break
                self._ledger.add("retries")
                await asyncio.sleep(wait_s)
            if not outcome.left_alone:
                self._ledger.add("retries")
        raise AssertionError("a plan has a target")

    async def _try(
        self, target: Target, request: Callable[[Target], UpstreamRequest], retry: Retry, capture: Capture
    ) -> _Outcome:
        name = target.upstream.name
        outcome = _Outcome(started_us=capture.now_us())
        passage: Passage | None = None
        if self.breakers is not None:
            passage = self.breakers.of(name).begin(time.monotonic())
            if passage is None:
                outcome.left_alone = True
                outcome.error = UpstreamUnreachable(f"{name} has failed too often and is left alone for a while")
                return outcome
        capture.sent_to(name, target.upstream.provider, target.model)
        try:
            made = request(target)
            outcome.sending = made.sending
            capture.sends(made.sending, attempt_us=outcome.started_us)
            outcome.response = await self._send(made, retry)
        except UpstreamError as exc:
            outcome.error = exc
            if passage is not None:
                passage.fail(time.monotonic())
            return outcome
        except BaseException:
            if passage is not None:
                passage.let_go()
            raise
        if passage is not None:
            if outcome.response.status >= _ILL:
                passage.fail(time.monotonic())
            else:
                passage.succeed()
        return outcome

    async def _send(self, request: UpstreamRequest, retry: Retry) -> UpstreamResponse:
        if retry.first_byte_s is None:
            return await self._transport.send(request)
        try:
            async with asyncio.timeout(retry.first_byte_s):
                return await self._transport.send(request)
        except TimeoutError as exc:
            raise UpstreamTimeout(f"no answer began within {retry.first_byte_s:g} s") from exc

    def _wait_s(self, outcome: _Outcome, retry: Retry, number: int, deadline: float) -> float | None:
        """How long to wait for another attempt at the same target; None if there is to be none."""
        if outcome.left_alone or number >= retry.attempts:
            return None
        asked = None if outcome.response is None else retry_after_s(outcome.response.headers, datetime.now(UTC))
        longest = min(retry.backoff_s * 2 ** (number - 1), _MAX_BACKOFF_S)
        wait_s = asked if asked is not None else self._draw.uniform(longest / 2, longest)
        if time.monotonic() + wait_s > deadline or not self._budget.take():
            return None
        return wait_s

    def _goes_on(self, behind: Sequence[Target], deadline: float) -> bool:
        now = time.monotonic()
        if now > deadline:
            return False
        breakers = self.breakers
        return any(breakers is None or breakers.of(target.upstream.name).admits(now) for target in behind)

    async def _give_up(self, target: Target, outcome: _Outcome, capture: Capture, wait_s: float | None) -> None:
        """Note an attempt after which another will be made."""
        body = b""
        if outcome.response is not None:
            try:
                body = await _beginning(outcome.response)
            finally:
                outcome.response.close()
        self._note(target, outcome, capture, body=body or None, wait_s=wait_s)
        capture.commit()

    def _note(
        self,
        target: Target,
        outcome: _Outcome,
        capture: Capture,
        *,
        body: bytes | None = None,
        wait_s: float | None = None,
    ) -> None:
        response, error = outcome.response, outcome.error
        failure = None if error is None else _LEFT_ALONE if outcome.left_alone else ending_of(error).value
        capture.attempt(
            Tried(
                upstream=target.upstream.name,
                provider=target.upstream.provider,
                model=target.model,
                started_us=outcome.started_us,
                status=None if response is None else response.status,
                failure=failure,
                reason=None if error is None else str(error),
                headers=[] if response is None else self._policy.response(response.headers)[1],
                body=body,
                wait_us=None if wait_s is None else int(wait_s * 1e6),
                timing=capture.timing_of(outcome.sending, since_us=outcome.started_us),
            )
        )


def ending_of(error: UpstreamError) -> Ending:
    """The ending of a call that failed so."""
    if isinstance(error, UpstreamUnreachable):
        return Ending.UPSTREAM_UNREACHABLE
    return Ending.UPSTREAM_TIMEOUT if isinstance(error, UpstreamTimeout) else Ending.UPSTREAM_BROKE_OFF


def retry_after_s(headers: RawHeaders, now: datetime) -> float | None:
    """How long the answer asks to be waited for; None if it does not say.

    ``Retry-After`` in seconds or as a date (RFC 9110 section 10.2.3), and ``retry-after-ms``, which is finer, as
    https://github.com/openai/openai-python/blob/main/src/openai/_base_client.py reads it.
    """
    values = {name.lower(): value.strip().decode("latin-1") for name, value in headers}
    milliseconds, seconds = _number(values.get(b"retry-after-ms")), values.get(b"retry-after")
    if milliseconds is not None:
        return milliseconds / 1000
    if seconds is None or (number := _number(seconds)) is not None:
        return None if seconds is None else number
    try:
        date = parsedate_to_datetime(seconds)
    except ValueError:
        return None
    return max((date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds(), 0.0)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


async def _beginning(response: UpstreamResponse) -> bytes:
    """What there is of its body, if it comes soon; the connection can be used again if that is all of it."""
    pieces = [response.available()]
    with contextlib.suppress(TimeoutError, UpstreamError):  # what came is what is kept
        async with asyncio.timeout(_ERROR_WAIT_S):
            while not response.complete and sum(map(len, pieces)) < _ERROR_BYTES:
                pieces.append(await response.read())
    return b"".join(pieces)[:_ERROR_BYTES]
