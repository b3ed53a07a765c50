"""A JSON Schema as questions of a form, and the filled in form as the values that it asks for.

What a form has no field for (objects in objects, lists of anything) is asked for as JSON. Whatever was filled in is
checked by the schema itself in the end; here it only gets its types. Pure functions.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.json_text import decode_json, encode_json
from llm_proxy.ui.present import visible

#: Whole numbers from here to there are a choice, not a number to type, if there are no more of them.
_MOST_CHOICES = 11
#: Longer texts than this, or ones without a limit, get more than a line.
_LINE_CHARACTERS = 80
#: Questions that a form has; what a schema has besides is asked for as JSON.
MAX_QUESTIONS = 50
#: Name of the question that asks for all values at once.
_WHOLE = ""


class Kind(StrEnum):
    """How a question is answered."""

    ONE = "one"
    MANY = "many"
    NUMBER = "number"
    LINE = "line"
    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of the answers that there are."""

    value: JsonValue
    label: str
    #: The digit that chooses it: the number that it is, or else its place; empty beyond nine.
    key: str
    chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One field of the form."""

    #: In the form.
    field: str
    #: Of the member of the values.
    name: str
    title: str
    about: str
    kind: Kind
    required: bool
    choices: tuple[Choice, ...] = ()
    #: Of a number.
    whole: bool = False
    least: str = ""
    most: str = ""
    #: What is filled in.
    filled: str = ""


def questions(schema: JsonObject, values: JsonObject | None = None) -> tuple[Question, ...]:
    """The questions of a schema in its order, with the answers of ``values``."""
    members = schema.get("properties")
    if not isinstance(members, dict) or not members or len(members) > MAX_QUESTIONS:
        filled = _json(values, indent=True) if values else ""
        return (
            Question(field="q0", name=_WHOLE, title="Values", about="", kind=Kind.JSON, required=True, filled=filled),
        )
    required = schema.get("required")
    needed = set(map(str, required)) if isinstance(required, list) else set()
    return tuple(
        _question(f"q{index}", name, _resolved(schema, part), needed=name in needed, values=values)
        for index, (name, part) in enumerate(members.items())
    )


def read_values(asked: tuple[Question, ...], fields: Mapping[str, list[str]]) -> JsonObject:
    """What was filled in. Raises ValueError, with a message for whoever did it, if it cannot be read."""
    values: JsonObject = {}
    for question in asked:
        given = fields.get(question.field) or []
        value, there = _value(question, given)
        if there and question.name == _WHOLE and len(asked) == 1:
            if not isinstance(value, dict):
                raise ValueError(f"{question.title}: must be a JSON object")
            return value
        if there:
            values[question.name] = value
        elif question.required:
            raise ValueError(f"{question.title}: is needed")
    return values


def _question(field: str, name: str, part: JsonObject, *, needed: bool, values: JsonObject | None) -> Question:
    answer = (values or {}).get(name, part.get("default"))
    kind, offered = _kind(part)
    chosen = answer if isinstance(answer, list) and kind is Kind.MANY else [answer]
    known = answer is not None or name in (values or {})
    are_digits = all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= 10 for one in offered)
    keys = [str(one) if are_digits else str(place) for place, one in enumerate(offered, 1)]
    choices = tuple(
        Choice(
            value=one,
            label=_label(one),
            key=key if len(key) == 1 else "",
            chosen=known and any(_json(one) == _json(each) for each in chosen),
        )
        for one, key in zip(offered, keys, strict=True)
    )
    return Question(
        field=field,
        name=name,
        title=visible(_text(part.get("title")) or name),
        about=visible(_text(part.get("description"))),
        kind=kind,
        required=needed,
        choices=choices,
        whole=part.get("type") == "integer",
        least=_number(part.get("minimum")),
        most=_number(part.get("maximum")),
        filled=_filled(kind, answer),
    )


def _kind(part: JsonObject) -> tuple[Kind, list[JsonValue]]:
    listed, kind = part.get("enum"), part.get("type")
    if isinstance(listed, list) or "const" in part or kind == "boolean":
        return Kind.ONE, listed if isinstance(listed, list) else [part["const"]] if "const" in part else [True, False]
    if kind in ("integer", "number"):
        return _number_kind(part)
    if kind == "array" and isinstance(items := part.get("items"), dict) and isinstance(items.get("enum"), list):
        offered = items["enum"]
        assert isinstance(offered, list)
        return Kind.MANY, offered
    if kind == "string":
        most = part.get("maxLength")
        return (Kind.LINE if isinstance(most, int) and most <= _LINE_CHARACTERS else Kind.TEXT), []
    return Kind.JSON, []


def _number_kind(part: JsonObject) -> tuple[Kind, list[JsonValue]]:
    least, most = part.get("minimum"), part.get("maximum")
    if (
        part.get("type") == "integer"
        and isinstance(least, int)
        and isinstance(most, int)
        and 0 <= most - least < _MOST_CHOICES
    ):
        return Kind.ONE, list(range(least, most + 1))
    return Kind.NUMBER, []


def _value(question: Question, given: list[str]) -> tuple[JsonValue, bool]:
    """The value, and whether there is one."""
    if question.kind is Kind.MANY:
        return [_choice(question, one) for one in given], bool(given) or question.required
    text = (given or [""])[0]
    if not text.strip():
        return None, False
    match question.kind:
        case Kind.ONE:
            return _choice(question, text), True
        case Kind.NUMBER | Kind.JSON:
            return _parsed(question, text), True
        case _:
            return text, True


def _choice(question: Question, text: str) -> JsonValue:
    if not text.isdecimal() or not text.isascii() or len(text) > 4 or int(text) >= len(question.choices):
        raise ValueError(f"{question.title}: there is no such answer")
    return question.choices[int(text)].value


def _parsed(question: Question, text: str) -> JsonValue:
    try:
        value = decode_json(text.strip().encode())
    except (ValueError, RecursionError) as exc:
        what = "a number" if question.kind is Kind.NUMBER else "JSON"
        raise ValueError(f"{question.title}: is not {what}") from exc
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if question.kind is Kind.NUMBER and not is_number:
        raise ValueError(f"{question.title}: is not a number")
    return value


def _resolved(schema: JsonObject, part: JsonValue) -> JsonObject:
    """``part``, or what it refers to; without null where that is one of two types."""
    for _ in range(10):  # more references one behind the other are nobody's
        if not isinstance(part, dict):
            return {}
        either = part.get("anyOf")
        if isinstance(either, list) and len(others := [one for one in either if one != {"type": "null"}]) == 1:
            only = others[0]
            part = {**part, **(only if isinstance(only, dict) else {}), "anyOf": None}
        elif isinstance(reference := part.get("$ref"), str) and reference.startswith("#/"):
            part = _at(schema, reference)
        else:
            return part
    return {}


def _at(schema: JsonObject, reference: str) -> JsonValue:
    node: JsonValue = schema
    for step in reference[2:].split("/"):
        node = node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
    return node


def _label(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return visible(value) if isinstance(value, str) and value else visible(_json(value))


def _filled(kind: Kind, answer: JsonValue) -> str:
    if answer is None or kind in (Kind.ONE, Kind.MANY):
        return ""
    if kind in (Kind.LINE, Kind.TEXT) and isinstance(answer, str):
        return visible(answer, lines=True)
    return visible(_json(answer, indent=kind is Kind.JSON), lines=True)


def _number(value: JsonValue) -> str:
    return "" if isinstance(value, bool) or not isinstance(value, int | float) else _json(value)


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""


def _json(value: JsonValue, *, indent: bool = False) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) if indent else encode_json(value).decode()
