"""A context that is being put together from what was said in different places, the most important first.

Invariants: nothing that is fed in raises; everything that comes out can be stored as UTF-8 without NUL; whatever is
left out or cut is noted in a sentence that names where it stood, never with its value.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping

from llm_proxy.attribution.vocabulary import Tells
from llm_proxy.model.completion import Context, JsonObject, JsonValue

#: Tags of one call, and characters of one. More of either is of no use for finding calls again.
MAX_TAGS = 200
MAX_TAG_CHARACTERS = 256
#: Characters of a session, user or trace id. A longer one is dropped: cut, it could be somebody else's.
MAX_ID_CHARACTERS = 512
MAX_NAME_CHARACTERS = 512
#: Bytes of the metadata that one header or body may have, as JSON.
MAX_METADATA_BYTES = 16 * 1024
#: Metadata keys of one call, and characters of one key and of one value that is text.
MAX_METADATA_KEYS = 64
MAX_METADATA_KEY_CHARACTERS = 128
MAX_METADATA_VALUE_CHARACTERS = 2048
#: Objects and arrays inside each other, in a metadata value.
MAX_METADATA_DEPTH = 16
#: Notes of one call: whoever sends more mistakes has seen enough of them.
MAX_NOTES = 50

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
#: NUL cannot be stored in PostgreSQL, half a surrogate pair nowhere.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
#: Numbers beyond are no JSON numbers to many readers.
_INTEGERS = range(-(2**63), 2**64)
_JSON_TOO_LONG = f"its JSON is longer than {MAX_METADATA_BYTES} bytes"


class Draft:
    """What is known so far; what was said earlier is not overwritten."""

    def __init__(self) -> None:
        self._texts: dict[Tells, str] = {}
        self._tags: dict[str, None] = {}
        self._metadata: JsonObject = {}
        self._notes: dict[str, None] = {}

    def text(self, tells: Tells, source: str, text: str) -> None:
        """Take the session id or name, user id or trace id that ``source`` says, unless it is known already."""
        text = text.strip()
        if tells in self._texts or not text:
            return
        cuttable = tells is Tells.SESSION_NAME
        limit = MAX_NAME_CHARACTERS if cuttable else MAX_ID_CHARACTERS
        flaw = _text_flaw(text)
        if flaw is None and len(text) > limit:
            flaw = f"it is longer than {limit} characters"
            if cuttable:
                self.note(f"{source} was cut: {flaw}")
                text, flaw = text[:limit], None
        if flaw is None:
            self._texts[tells] = text
        else:
            self.dropped(source, flaw)

    def tags(self, source: str, tags: Iterable[str]) -> None:
        """Add the tags that ``source`` says."""
        for tag in map(str.strip, tags):
            flaw = _text_flaw(tag)
            if flaw is not None:
                self.note(f"a tag of {source} was dropped: {flaw}")
                continue
            if len(tag) > MAX_TAG_CHARACTERS:
                self.note(f"a tag of {source} was cut: it is longer than {MAX_TAG_CHARACTERS} characters")
            if len(self._tags) == MAX_TAGS and tag[:MAX_TAG_CHARACTERS] not in self._tags:
                self.note(f"tags of {source} were dropped: a call has at most {MAX_TAGS}")
                return
            if tag:
                self._tags[tag[:MAX_TAG_CHARACTERS]] = None

    def metadata(self, source: str, members: Mapping[str, JsonValue]) -> None:
        """Add the metadata that ``source`` says, except for keys that are known already."""
        sound = {
            key: self._shortened(source, key, value)
            for key, value in members.items()
            if self._is_sound(source, key, value)
        }
        if len(json.dumps(sound, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
            self.dropped(source, _JSON_TOO_LONG)
            return
        for key, value in sound.items():
            if len(self._metadata) == MAX_METADATA_KEYS and key not in self._metadata:
                self.note(f"metadata of {source} was dropped: a call has at most {MAX_METADATA_KEYS} keys")
                return
            self._metadata.setdefault(key, value)

    def json(self, source: str, text: str) -> JsonValue:
        """The value that ``text`` is the JSON of; None, with a note, if it is not or is too long."""
        if len(text.encode("utf-8", "replace")) > MAX_METADATA_BYTES:
            self.dropped(source, _JSON_TOO_LONG)
            return None
        try:
            value: JsonValue = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            self.dropped(source, "it is no valid JSON")
            return None
        return value

    def dropped(self, source: str, why: str) -> None:
        """Note that ``source`` was left out."""
        self.note(f"{source} was dropped: {why}")

    def note(self, sentence: str) -> None:
        """Note ``sentence`` once."""
        if len(self._notes) < MAX_NOTES:
            self._notes[sentence] = None
        else:
            self._notes["there was more of the kind"] = None

    def context(self) -> Context:
        """What came out."""
        return Context(
            tags=tuple(self._tags),
            session_id=self._texts.get(Tells.SESSION_ID),
            session_name=self._texts.get(Tells.SESSION_NAME),
            user_id=self._texts.get(Tells.USER_ID),
            trace_id=self._texts.get(Tells.TRACE_ID),
            metadata=self._metadata,
            notes=tuple(self._notes),
        )

    def _is_sound(self, source: str, key: str, value: JsonValue) -> bool:
        flaw = _text_flaw(key)
        if flaw is None and not 0 < len(key) <= MAX_METADATA_KEY_CHARACTERS:
            flaw = f"its key must have 1 to {MAX_METADATA_KEY_CHARACTERS} characters"
        flaw = flaw or _json_flaw(value, MAX_METADATA_DEPTH)
        if flaw is not None:
            self.note(f"metadata {shown(key)} of {source} was dropped: {flaw}")
        return flaw is None

    def _shortened(self, source: str, key: str, value: JsonValue) -> JsonValue:
        if not isinstance(value, str) or len(value) <= MAX_METADATA_VALUE_CHARACTERS:
            return value
        flaw = f"it is longer than {MAX_METADATA_VALUE_CHARACTERS} characters"
        self.note(f"metadata {shown(key)} of {source} was cut: {flaw}")
        return value[:MAX_METADATA_VALUE_CHARACTERS]


def shown(name: str) -> str:
    """A name that somebody made up, as it can stand in a note."""
    return ascii(name[:60])


def _text_flaw(text: str) -> str | None:
    if _UNSTORABLE.search(text):
        return "it holds NUL or half a surrogate pair"
    return "it holds control characters" if _CONTROL.search(text) else None


def _json_flaw(value: JsonValue, depth: int) -> str | None:
    match value:
        case None | bool():
            return None
        case str():
            return "it holds NUL or half a surrogate pair" if _UNSTORABLE.search(value) else None
        case int():
            return None if value in _INTEGERS else "it holds a number beyond 64 bits"
        case float():
            return None if math.isfinite(value) else "it holds a number that is not finite"
    if depth == 0:
        return f"it is nested more than {MAX_METADATA_DEPTH} deep"
    parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    flaws = (_json_flaw(part, depth - 1) for part in parts)
    return next((flaw for flaw in flaws if flaw is not None), None)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
