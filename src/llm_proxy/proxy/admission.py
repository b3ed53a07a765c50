"""Whose a call is, and whether it may go on: from the proxy keys in it to a pass, or a refusal.

Knows the keys of key_file.py and nothing else; never waits. Without a key a call is nobody's, and goes on unless keys
are required. What cannot be checked is refused or goes on as configured: a key as long as no snapshot of the keys was
seen, a limit on spending when the snapshot is old, a rate that has no room to be counted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypedDict
from uuid import UUID

from llm_proxy.errors import Refused
from llm_proxy.model.account import secret_hash
from llm_proxy.model.key_snapshot import SnapshotKey, day_and_month
from llm_proxy.model.key_terms import NO_TERMS, Terms
from llm_proxy.proxy.asked_model import asked_model
from llm_proxy.proxy.key_file import KeyFile
from llm_proxy.proxy.rates import Rates

#: A snapshot is made every few seconds; what was spent by an older one is not known.
FRESH_S = 60.0
#: Hashes of keys that are remembered, so that a key is hashed once.
_REMEMBERED = 4096
_NO_KEY = (
    "this proxy relays calls with one of its keys only: send it where the provider's key would be,"
    " or as `X-LLM-Key: llmp_…` beside that"
)
_BAD_KEY = "the proxy key is unknown or no longer valid"
_UNKNOWN = "the proxy keys are not known yet, and the call is therefore refused; is the store running?"


class Owner(TypedDict, total=False):
    """Whose a call is, in an Opening."""

    organization_id: str
    project_id: str | None
    key_id: str
    tags: tuple[str, ...]


Unchecked = Literal["refuse", "continue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRules:
    """See the section ``auth`` of the configuration."""

    #: Whether calls need a key.
    required: bool = False
    keys_unknown: Unchecked = "refuse"
    limits_unknown: Unchecked = "continue"


class Pass:
    """Whose a call is and on which terms; nobody's, on none, unless made of a key."""

    __slots__ = ("_rates", "_unchecked", "key")

    def __init__(self, key: SnapshotKey | None = None, *, unchecked: Unchecked = "continue") -> None:
        self.key = key
        self._unchecked = unchecked
        self._rates: Rates | None = None

    @property
    def terms(self) -> Terms:
        """On which the call may go on."""
        return NO_TERMS if self.key is None else self.key.terms

    @property
    def limits_models(self) -> bool:
        """Whether it depends on the model whether the call may go on."""
        return self.key is not None and bool(self.key.terms.models)

    @property
    def owner(self) -> Owner:
        """What the record says of it."""
        key = self.key
        if key is None:
            return {}
        return {
            "organization_id": key.organization_id,
            "project_id": key.project_id,
            "key_id": key.id,
            "tags": key.terms.tags,
        }

    def check_upstream(self, name: str) -> None:
        """Raise Refused if the upstream of this name may not be called."""
        if not self.terms.allows_upstream(name):
            allowed = ", ".join(self.terms.upstreams)
            message = f"the proxy key may not call the upstream {name}, but {allowed}"
            raise Refused(message, status=403, code="upstream_not_allowed")

    def check_record(self, *, answer_is_kept: bool) -> None:
        """Raise Refused if nobody would know what the call has cost, and that matters."""
        if self.terms.limits_spending and not answer_is_kept:
            message = (
                "the proxy key has a limit on spending, so that its calls are to be on record: leave X-LLM-Log out"
            )
            raise Refused(message, status=403, code="record_needed")

    def check_model(self, method: bytes, path: bytes, body: object) -> None:
        """Raise Refused if the model that is asked for may not be; ``body`` is None-like unless it was read whole."""
        terms = self.terms
        if not terms.models or method in (b"GET", b"HEAD", b"OPTIONS", b"DELETE"):
            return
        if not isinstance(body, bytes):
            if self._unchecked == "refuse":
                message = "the body is too long to find the model in it, which the proxy key is limited to"
                raise Refused(message, status=403, code="model_not_checked")
            return
        self.check_named(asked_model(path, body))

    def check_named(self, model: str | None) -> None:
        """Raise Refused if the key is for some models, and this is none of them."""
        terms = self.terms
        if terms.models and (model is None or not terms.allows_model(model)):
            said = "a call that names no model" if model is None else f"the model {model}"
            message = f"the proxy key is not for {said}, but for {', '.join(terms.models)}"
            raise Refused(message, status=403, code="model_not_allowed")

    def begin(self, rates: Rates) -> bool:
        """Count the call as one that runs; False if it cannot be counted."""
        assert self.key is not None
        if not rates.begin(_rate_id(self.key)):
            return False
        self._rates = rates
        return True

    def end(self) -> None:
        """Let the call run no longer. Idempotent."""
        if self._rates is not None and self.key is not None:
            self._rates.end(_rate_id(self.key))
            self._rates = None


#: Of all calls without a key.
NOBODY = Pass()


class Admission:
    """Lets calls in."""

    def __init__(self, keys: KeyFile | None = None, rates: Rates | None = None, *, rules: AdmissionRules) -> None:
        """Without ``keys`` none is known."""
        self._keys = keys
        self._rates = rates
        self._rules = rules
        self._hashes: dict[bytes, bytes] = {}

    def identify(self, secrets: Sequence[bytes]) -> Pass:
        """Whose the call is that came with these proxy keys, of which the first counts.

        Raises Refused: 401 without a valid key, 403 if it is not for calls, 503 if that cannot be found out.
        """
        if not secrets:
            if self._rules.required:
                raise Refused(_NO_KEY, status=401, code="missing_key")
            return NOBODY
        if self._keys is None or not self._keys.is_known:
            if self._rules.keys_unknown == "continue":
                return NOBODY
            raise Refused(_UNKNOWN, status=503, code="keys_unknown")
        key = self._keys.find(self._hash(secrets[0]))
        if key is None:
            raise Refused(_BAD_KEY, status=401, code="invalid_key")
        if not key.relays:
            raise Refused("the key is not for calls: it has no scope proxy", status=403, code="insufficient_scope")
        return Pass(key, unchecked=self._rules.limits_unknown)

    def begin(self, admitted: Pass) -> None:
        """Let the call begin; ``Pass.end`` must be called when it has ended. Raises Refused, 429 beyond a limit."""
        key = admitted.key
        if key is None:
            return
        if key.terms.limits_spending:
            self._check_spending(key)
        if key.terms.requests_per_minute is not None or key.terms.concurrent is not None:
            self._check_rate(key, admitted)

    def _hash(self, secret: bytes) -> bytes:
        known = self._hashes.get(secret)
        if known is None:
            if len(self._hashes) >= _REMEMBERED:
                self._hashes.clear()
            known = self._hashes[secret] = secret_hash(secret.decode("latin-1"))
        return known

    def _check_spending(self, key: SnapshotKey) -> None:
        age_s = math.inf if self._keys is None else self._keys.age_s
        if age_s > FRESH_S:
            self._unchecked("what was spent by the proxy key is not known at the moment")
            return
        now = datetime.now(UTC)
        made = now - timedelta(seconds=max(age_s, 0))
        (day, month), (made_day, made_month) = day_and_month(now), day_and_month(made)
        spent = (
            (key.terms.usd_per_day, key.spent.day if day == made_day else 0, "day", day + timedelta(days=1)),
            (key.terms.usd_per_month, key.spent.month if month == made_month else 0, "month", _next_month(month)),
        )
        for limit, amount, period, ends in spent:
            if limit is not None and amount >= limit:
                message = (
                    f"the proxy key has spent its {limit} USD of this {period} ({amount:f} USD);"
                    f" the next {period} begins at {ends:%Y-%m-%dT%H:%M:%SZ}"
                )
                wait_s = max(math.ceil((ends - now).total_seconds()), 1)
                headers = ((b"Retry-After", b"%d" % wait_s), (b"x-should-retry", b"false"))
                raise Refused(message, status=429, code="spend_limit_exceeded", answer_headers=headers)

    def _check_rate(self, key: SnapshotKey, admitted: Pass) -> None:
        terms = key.terms
        rate = None if self._rates is None else self._rates.look(_rate_id(key))
        if rate is not None and terms.concurrent is not None and rate.running >= terms.concurrent:
            message = f"the proxy key may run {terms.concurrent} calls at the same time, and {rate.running} run"
            soon = ((b"Retry-After", b"1"),)
            raise Refused(message, status=429, code="concurrency_limit_exceeded", answer_headers=soon)
        if rate is not None and terms.requests_per_minute is not None and rate.calls + 1 > terms.requests_per_minute:
            message = f"the proxy key may begin {terms.requests_per_minute} calls a minute, and has"
            raise Refused(
                message,
                status=429,
                code="rate_limit_exceeded",
                answer_headers=_rate_headers(terms.requests_per_minute, rate.eases_in_s),
            )
        if self._rates is None or not admitted.begin(self._rates):
            self._unchecked("the calls of the proxy key cannot be counted at the moment")

    def _unchecked(self, message: str) -> None:
        if self._rules.limits_unknown == "refuse":
            raise Refused(f"{message}, and the call is therefore refused", status=503, code="limit_unknown")


def _rate_id(key: SnapshotKey) -> bytes:
    return UUID(key.id).bytes


def _rate_headers(limit: int, wait_s: float) -> tuple[tuple[bytes, bytes], ...]:
    """As OpenAI has them: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers."""
    seconds = max(math.ceil(wait_s), 1)
    return (
        (b"Retry-After", b"%d" % seconds),
        (b"x-ratelimit-limit-requests", b"%d" % limit),
        (b"x-ratelimit-remaining-requests", b"0"),
        (b"x-ratelimit-reset-requests", b"%ds" % seconds),
    )


def _next_month(month: datetime) -> datetime:
    return (month + timedelta(days=32)).replace(day=1)
