"""On which terms a key relays calls, as fields of a form and in words."""

from collections.abc import Mapping

from llm_proxy.model.account import Scope
from llm_proxy.model.completion import JsonValue
from llm_proxy.model.key_terms import NO_TERMS, TERMS, Terms, parse_terms
from llm_proxy.ui.room import first
from llm_proxy.ui.written_tags import read_tags

_NAMES = ("tags", "models", "upstreams")
_COUNTS = ("requests_per_minute", "concurrent")


def terms_of(fields: Mapping[str, list[str]], scopes: frozenset[Scope]) -> Terms:
    """The terms that were filled in. Raises ValueError, with a message for whoever did."""
    written = {name: first(fields, name) for name in TERMS}
    terms = parse_terms({name: _read(name, text) for name, text in written.items() if text})
    if terms != NO_TERMS and Scope.PROXY not in scopes:
        raise ValueError("only a key of the scope proxy has terms to relay calls on")
    return terms


def terms_in_words(terms: Terms) -> str:
    """``terms`` in one line; empty if nothing is limited."""
    parts = (
        ("tags", ", ".join(terms.tags)),
        ("models", ", ".join(terms.models)),
        ("upstreams", ", ".join(terms.upstreams)),
        ("calls a minute", terms.requests_per_minute),
        ("calls at a time", terms.concurrent),
        ("USD a day", terms.usd_per_day),
        ("USD a month", terms.usd_per_month),
    )
    said = ((name, str(value)) for name, value in parts if value is not None and value != "")
    return " · ".join(f"{value} {name}" if name[:3] in ("cal", "USD") else f"{name} {value}" for name, value in said)


def _read(name: str, text: str) -> JsonValue:
    if name in _NAMES:
        return [*read_tags(text)]
    return int(text) if name in _COUNTS and text.isascii() and text.isdecimal() and len(text) < 20 else text
