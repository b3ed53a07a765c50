"""Statements for tests."""

from itertools import count

from llm_proxy.model.trace import Kind, Stage, Statement

START, END = "2026-11-24T12:00:00+00:00", "2026-11-24T12:00:02+00:00"
RESULT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1764000000,
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Paris."},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 5.0, "completion_tokens": 2, "total_tokens": 7},
}
ASKED = {
    "model": "gpt-4o",
    "provider": "openai",
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "modelParameters": {"temperature": "0.5"},
    "startTimestamp": START,
}
_times = count(1_764_000_000_000_000)


def said(kind: Kind, entity_id: str, *, stage: Stage = Stage.CHANGED, **members) -> Statement:
    """One piece, said after all that were made before it."""
    return Statement(kind=kind, id=entity_id, stage=stage, heard_at_us=next(_times), members=members)


def generation(entity_id: str = "g", **members) -> Statement:
    """A generation that has its answer."""
    return said(Kind.GENERATION, entity_id, **{**ASKED, "result": RESULT, "endTimestamp": END, **members})
