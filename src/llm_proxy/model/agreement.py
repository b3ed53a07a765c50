"""How far people agree who answered the same question about the same calls.

Two numbers for each question: the share of pairs of answers to one call that are equal, and what is left of it beyond
chance (Scott's pi, https://doi.org/10.1086/266577: (observed - expected) / (1 - expected), where expected is what
answers drawn at random from all that were given would have in common).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from llm_proxy.model.completion import JsonValue
from llm_proxy.model.feedback import Feedback
from llm_proxy.model.json_text import encode_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Of one question."""

    question: str
    #: Calls that more than one person answered it about.
    calls: int
    #: From 0 to 1.
    agreed: float
    #: 1 is always, 0 is as often as by chance, less is less; None if everybody gave the one answer, always.
    beyond_chance: float | None


def agreement(given: Iterable[Feedback]) -> tuple[Agreement, ...]:
    """Of each question of one task that several people answered about the same call; in the order of their names."""
    answers: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for one in given:
        for call in one.completion_ids:
            for question, value in one.json_values.items():
                # Who answers twice has changed his mind; the newest comes first. What nobody signed is somebody's.
                answers[question][call].setdefault(one.given_by or one.id, _comparable(value))
    found = (_of(question, list(calls.values())) for question, calls in sorted(answers.items()))
    return tuple(one for one in found if one is not None)


def _of(question: str, calls: list[dict[str, str]]) -> Agreement | None:
    shared = [list(by_person.values()) for by_person in calls if len(by_person) > 1]
    if not shared:
        return None
    # Every call counts as much as any other, however many answered.
    agreed = sum(map(_equal_pairs, shared)) / len(shared)
    counts = Counter(value for values in shared for value in values)
    total = counts.total()
    expected = sum((count / total) ** 2 for count in counts.values())
    beyond = None if len(counts) == 1 else (agreed - expected) / (1 - expected)
    return Agreement(question=question, calls=len(shared), agreed=agreed, beyond_chance=beyond)


def _equal_pairs(values: list[str]) -> float:
    pairs = len(values) * (len(values) - 1)
    return sum(count * (count - 1) for count in Counter(values).values()) / pairs


def _comparable(value: JsonValue) -> str:
    return encode_json(value).decode()
