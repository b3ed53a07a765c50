"""On which terms a key of the scope ``proxy`` relays calls, and the same as JSON, for files, tables and APIs.

What is not said is not limited. Amounts of money are decimal text in JSON, and may be numbers where people write them.
"""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fnmatch import translate
from functools import lru_cache
from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import Meta

from llm_proxy.model.completion import JsonObject

#: Of tags, models and upstreams each.
MAX_NAMES = 100
MAX_NAME_CHARACTERS = 200
MAX_NUMBER = 1_000_000_000
_NAMES = ("tags", "models", "upstreams")
_COUNTS = ("requests_per_minute", "concurrent")
_AMOUNTS = ("usd_per_day", "usd_per_month")
_MAX_AMOUNT_CHARACTERS = 30

_Name = Annotated[str, Meta(pattern="^[!-~]+$", max_length=MAX_NAME_CHARACTERS)]
_Names = Annotated[list[_Name], Meta(max_length=MAX_NAMES)]
_Count = Annotated[int, Meta(ge=1, le=MAX_NUMBER)] | None
_Amount = Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,12})?$")] | None


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a key of the scope ``proxy`` is bound to."""

    #: Every call gets them, besides its own.
    tags: tuple[str, ...] = ()
    #: Patterns with ``*``, ``?`` and ``[...]`` of the models that may be asked for; empty is all.
    models: tuple[str, ...] = ()
    #: Names of the upstreams that may be called; empty is all.
    upstreams: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    #: Calls that run at the same time.
    concurrent: int | None = None
    #: In USD, by days and months of UTC.
    usd_per_day: Decimal | None = None
    usd_per_month: Decimal | None = None

    @property
    def limits_spending(self) -> bool:
        """Whether it matters what its calls have cost."""
        return self.usd_per_day is not None or self.usd_per_month is not None

    def allows_model(self, model: str) -> bool:
        """Whether a model of this name may be asked for."""
        return not self.models or any(_pattern(one).fullmatch(model) for one in self.models)

    def allows_upstream(self, name: str) -> bool:
        """Whether the upstream of this name may be called."""
        return not self.upstreams or name in self.upstreams


#: Of a key that is bound to nothing.
NO_TERMS = Terms()


class TermsFields(TypedDict, total=False):
    """On which terms a key of the scope ``proxy`` relays calls; what is not said is not limited."""

    tags: _Names
    models: _Names
    upstreams: _Names
    requests_per_minute: _Count
    concurrent: _Count
    usd_per_day: _Amount
    usd_per_month: _Amount


#: Members of ``TermsFields``.
TERMS = (*_NAMES, *_COUNTS, *_AMOUNTS)


def terms_json(terms: Terms) -> TermsFields:
    """``terms`` as JSON, without what is not said."""
    fields: TermsFields = msgspec.json.decode(msgspec.json.encode(terms))
    return fields


def terms_text(terms: Terms) -> str | None:
    """``terms`` as compact JSON; None if nothing is said."""
    return None if terms == NO_TERMS else msgspec.json.encode(terms).decode()


def terms_from_text(text: str | None) -> Terms:
    """The terms that ``terms_text`` made ``text`` of."""
    return NO_TERMS if text is None else msgspec.json.decode(text, type=Terms)


def parse_terms(given: JsonObject) -> Terms:
    """The terms that an object of somebody says. Raises ValueError, with the name of the member."""
    unknown = next((name for name in given if name not in TERMS), None)
    if unknown is not None:
        raise ValueError(f"{unknown} is no member; there are {', '.join(TERMS)}")
    said: dict[str, Any] = {name: _names(name, given[name]) for name in _NAMES if given.get(name) is not None}
    said |= {name: _count(name, given[name]) for name in _COUNTS if given.get(name) is not None}
    said |= {name: _amount(name, given[name]) for name in _AMOUNTS if given.get(name) is not None}
    return Terms(**said)


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


def _names(member: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{member} must be a list of strings")
    names = tuple(dict.fromkeys(one.strip() for one in value))
    if not all(0 < len(one) <= MAX_NAME_CHARACTERS and one.isprintable() for one in names):
        raise ValueError(f"{member} must be visible texts of at most {MAX_NAME_CHARACTERS} characters")
    if len(names) > MAX_NAMES:
        raise ValueError(f"{member} must not be more than {MAX_NAMES}")
    return names


def _count(member: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_NUMBER:
        raise ValueError(f"{member} must be a whole number from 1 to {MAX_NUMBER}")
    return value


def _amount(member: str, value: object) -> Decimal:
    message = f"{member} must be an amount of USD, at most {MAX_NUMBER}: 5, or 12.50"
    text = str(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or len(text) > _MAX_AMOUNT_CHARACTERS:
        raise ValueError(message)
    try:
        amount = Decimal(text)
    except InvalidOperation as exc:
        raise ValueError(message) from exc
    if not amount.is_finite() or not 0 <= amount <= MAX_NUMBER or amount.as_tuple().exponent < -12:  # type: ignore[operator]
        raise ValueError(message)
    return Decimal(format(amount, "f"))
