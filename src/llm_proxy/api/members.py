"""Members of a JSON object that a caller has sent, each of the type that it must have. What is null was not sent.

Every function raises Fault and names the member: ``tags[3] must be a string``.
"""

import math
from collections.abc import Sequence
from typing import NoReturn

from llm_proxy.api.resource import Fault
from llm_proxy.model.completion import JsonObject, JsonValue


def wrong(param: str, message: str) -> NoReturn:
    """Raise the Fault that says what is wrong with a member."""
    raise Fault(f"{param} {message}", param=param)


def text(given: JsonObject, name: str, *, needed: bool = False, most: int | None = None) -> str | None:
    """A string of at most ``most`` characters."""
    value = given.get(name)
    if value is None and not needed:
        return None
    if not isinstance(value, str):
        wrong(name, "must be a string" if value is not None else "is required and must be a string")
    if most is not None and len(value) > most:
        wrong(name, f"must not be longer than {most} characters")
    return value


def choice(given: JsonObject, name: str, known: Sequence[str]) -> str | None:
    """One of some words."""
    value = text(given, name)
    if value is not None and value not in known:
        wrong(name, f"must be one of {', '.join(known)}")
    return value


def number(given: JsonObject, name: str) -> float | None:
    """A finite number from 0 on."""
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        wrong(name, "must be a number")
    if not 0 <= value <= 1e15 or not math.isfinite(value):
        wrong(name, "must be a number from 0 on, and not beyond reason")
    return float(value)


def whole(given: JsonObject, name: str, *, least: int = 0, most: int) -> int | None:
    """A whole number between two others."""
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        wrong(name, f"must be a whole number from {least} to {most}")
    return value


def truth(given: JsonObject, name: str) -> bool | None:
    """True or false."""
    value = given.get(name)
    if value is not None and not isinstance(value, bool):
        wrong(name, "must be true or false")
    return value


def object_(given: JsonObject, name: str, *, needed: bool = False) -> JsonObject | None:
    """An object."""
    value = given.get(name)
    if value is None and not needed:
        return None
    if not isinstance(value, dict):
        wrong(name, "must be an object" if value is not None else "is required and must be an object")
    return value


def texts(value: JsonValue, name: str, *, most: int, most_characters: int) -> tuple[str, ...]:
    """A list of strings, each of which counts once."""
    if not isinstance(value, list):
        wrong(name, "must be a list of strings")
    if len(value) > most:
        wrong(name, f"must not have more than {most} members")
    for index, member in enumerate(value):
        if not isinstance(member, str):
            wrong(f"{name}[{index}]", "must be a string")
        if len(member) > most_characters:
            wrong(f"{name}[{index}]", f"must not be longer than {most_characters} characters")
    return tuple(dict.fromkeys(str(member) for member in value))
