"""Schemas that somebody else wrote, and values checked against them, without doing what a schema may ask for.

Nothing is fetched, patterns match in linear time, and a schema whose references multiply without end is refused: what
is small to write may take longer to check than the sun will shine.
"""

from typing import Any

from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.json_text import encode_json

MAX_SCHEMA_BYTES = 64 * 2**10
#: Of a schema in which every reference is replaced by what it refers to.
MAX_PARTS = 10_000
#: Faults that are told; who has more of them has seen enough.
MAX_FAULTS = 20


def check_schema(schema: JsonObject) -> None:
    """Raise ValueError if ``schema`` is no JSON Schema, or one that is not checked here."""
    if len(encode_json(schema)) > MAX_SCHEMA_BYTES:
        raise ValueError(f"is longer than {MAX_SCHEMA_BYTES} bytes")
    try:
        _Size(schema).check()
    except RecursionError:
        raise ValueError("refers from part to part too often") from None
    _validator(schema)


def faults_of(schema: JsonObject, value: JsonObject) -> list[tuple[str, str]]:
    """What is wrong with ``value``: the path and the reason of each fault. Raises ValueError as ``check_schema``."""
    found = []
    for error in _validator(schema).iter_errors(value):
        found.append(("".join(map(_step, error.instance_path)), error.message))
        if len(found) == MAX_FAULTS:
            break
    return found


def _validator(schema: JsonObject) -> Any:
    # Here, since it takes 5 MB, and only those who grade have schemas.
    import jsonschema_rs  # noqa: PLC0415

    try:
        return jsonschema_rs.validator_for(schema, offline=True, pattern_options=jsonschema_rs.RegexOptions())
    except jsonschema_rs.ValidationError as exc:
        place = "".join(map(_step, exc.instance_path))
        raise ValueError(f"{exc.message} (at {place})" if place else exc.message) from exc
    except (ValueError, TypeError) as exc:  # lone surrogates, for one
        raise ValueError("is no JSON Schema that can be read") from exc


def _step(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else f".{step}"


class _Size:
    """How large a schema is with every reference replaced."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._known: dict[str, int] = {}

    def check(self) -> None:
        self._parts(self._root, ())

    def _parts(self, node: JsonValue, within: tuple[str, ...]) -> int:
        members = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
        count = 1 + sum(self._parts(member, within) for member in members)
        if isinstance(node, dict):
            if "$dynamicRef" in node or "$recursiveRef" in node:
                raise ValueError("must not use $dynamicRef or $recursiveRef")
            if isinstance(reference := node.get("$ref"), str):
                count += self._referred(reference, within)
        if count > MAX_PARTS:
            raise ValueError(f"is too large: more than {MAX_PARTS} parts with its references replaced")
        return count

    def _referred(self, reference: str, within: tuple[str, ...]) -> int:
        if reference in within or reference == "#":
            raise ValueError(f"must not refer to itself ({reference})")
        if reference not in self._known:
            self._known[reference] = self._parts(self._at(reference), (*within, reference))
        return self._known[reference]

    def _at(self, reference: str) -> JsonValue:
        if not reference.startswith("#/"):
            raise ValueError(f"may only refer to its own parts (#/...), not to {reference}")
        node: JsonValue = self._root
        for step in reference[2:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and name.isdecimal() and int(name) < len(node):
                node = node[int(name)]
            elif isinstance(node, dict) and name in node:
                node = node[name]
            else:
                raise ValueError(f"refers to {reference}, which is not there")
        return node
