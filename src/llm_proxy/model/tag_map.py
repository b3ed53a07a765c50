"""Tags as a list of words, as Log10 and our own headers have them, and as a map, as Maxim has them: one rule for both.

``key:value`` stands for a member of the map, and a word without a colon for one whose value is empty. A colon in a
key is written ``%3A``. A word that stands for no member, or for one whose key is taken, becomes a key as a whole, with
``%:`` in front. So nothing is lost on the way there and back, either way round, unless a key of a map begins with that.
"""

import re
from collections.abc import Iterable, Mapping

_COLON = ":"
_LOOKS_ESCAPED = re.compile("%(?=3A|25)")
_ESCAPED = re.compile("%(3A|25)")
_WHOLE_WORD = "%:"


def tags_of(members: Mapping[str, str]) -> tuple[str, ...]:
    """The words that stand for ``members``, in their order."""
    words = (
        key.removeprefix(_WHOLE_WORD) if key.startswith(_WHOLE_WORD) and not value else _word(key, value)
        for key, value in members.items()
    )
    return tuple(dict.fromkeys(words))


def map_of(tags: Iterable[str]) -> dict[str, str]:
    """The map that these words stand for, each of which counts once."""
    members: dict[str, str] = {}
    for word in dict.fromkeys(tags):
        key, value = _member(word)
        if _word(key, value) != word or key in members or key.startswith(_WHOLE_WORD):
            key, value = _WHOLE_WORD + word, ""
        members[key] = value
    return members


def _word(key: str, value: str) -> str:
    if not value and _COLON not in key:
        return key
    return f"{_LOOKS_ESCAPED.sub('%25', key).replace(_COLON, '%3A')}{_COLON}{value}"


def _member(word: str) -> tuple[str, str]:
    key, colon, value = word.partition(_COLON)
    return _ESCAPED.sub(lambda escape: _COLON if escape[1] == "3A" else "%", key) if colon else key, value
