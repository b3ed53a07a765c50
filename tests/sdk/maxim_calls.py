"""What a program does with maxim-py: one of everything. Run by the interpreter that has it.

``maxim_calls.py URL KEY REPOSITORY PREFIX DIRECTORY`` tells it to the store at URL, with ids that begin with PREFIX.
"""

import sys
import tempfile
from pathlib import Path

from maxim import Maxim
from maxim.logger import FileAttachment, FileDataAttachment, UrlAttachment
from maxim.logger.openai import MaximOpenAIClient
from openai import OpenAI

URL, KEY, REPOSITORY, PREFIX, DIRECTORY = sys.argv[1:]
RESULT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1764000000,
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Paris, of course."},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9},
}


def named(what):
    return f"{PREFIX}-{what}"


def main():
    # Batches that could not be sent would be kept there, and sent by the next run.
    tempfile.tempdir = DIRECTORY
    maxim = Maxim({"api_key": KEY, "base_url": URL, "raise_exceptions": True})
    logger = maxim.logger({"id": REPOSITORY, "flush_interval": 600})

    session = logger.session({"id": named("session"), "name": "chat", "tags": {"env": "test"}})
    session.feedback({"score": 2, "comment": "so so"})
    trace = session.trace({"id": named("trace"), "name": "turn", "tags": {"a": "1"}})
    tell_of_trace(trace)
    tell_of_span(trace)
    tell_of_failures(logger, trace)
    add_files(trace)
    # The trace goes on by its id alone, and its end is told before its session's.
    logger.trace_add_metric(named("trace"), "words", 6)
    logger.trace_add_metadata(named("trace"), {"any": {"deep": [1, None]}})
    trace.end()
    session.end()
    call_through_the_proxy(logger)
    logger.flush()
    maxim.cleanup()


def tell_of_trace(trace):
    trace.set_input("What is the capital of France?")
    trace.set_output("first")
    trace.set_output("Paris, of course.")
    trace.add_tag("b", "2")
    trace.feedback({"score": 1, "comment": "good"})
    trace.event(named("event"), "asked", {"k": "v"}, {"m": 1})
    trace.evaluate().with_evaluators("bias", "toxicity").with_variables({"input": "x"})
    generation = trace.generation(
        {
            "id": named("generation"),
            "name": "answer",
            "provider": "OpenAI",
            "model": "gpt-4o",
            "messages": [{"role": "system", "content": "Be brief."}],
            "model_parameters": {"temperature": 0.5, "stop": ["x"]},
            "tags": {"g": "1"},
        }
    )
    generation.add_message({"role": "user", "content": "What is the capital of France?"})
    generation.add_metric("score", 0.25)
    generation.add_cost({"input": 0.1, "output": 0.2, "total": 0.3})
    generation.add_metadata({"m": "x"})
    generation.result(RESULT)


def tell_of_span(trace):
    span = trace.span({"id": named("span"), "name": "look up"})
    inner = span.span({"id": named("inner"), "name": "deeper"})
    retrieval = inner.retrieval({"id": named("retrieval"), "name": "atlas"})
    retrieval.input("France")
    retrieval.add_metric("recall", 0.5)
    retrieval.output(["Paris is its capital.", "So it is."])
    tool = span.tool_call({"id": named("tool"), "name": "map", "description": "shows it", "args": '{"of": "France"}'})
    tool.result("shown")
    inner.end()
    span.end()


def tell_of_failures(logger, trace):
    failed = trace.generation(
        {"id": named("failed"), "provider": "anthropic", "model": "claude", "messages": [], "model_parameters": {}}
    )
    failed.error({"message": "too many requests", "code": "429", "type": "rate_limit"})
    logger.trace_add_error(named("trace"), {"message": "slow", "code": "504", "type": "timeout"})
    tool = trace.tool_call({"id": named("broken"), "name": "map", "description": "d", "args": "{}"})
    tool.error({"message": "down", "code": "503", "type": "net"})


def add_files(trace):
    path = Path(DIRECTORY) / "notes.txt"
    path.write_text("some notes")
    trace.add_attachment(FileAttachment(path=str(path), id=named("file"), name="notes.txt", mime_type="text/plain"))
    trace.add_attachment(FileDataAttachment(data=b"<svg/>", id=named("data"), mime_type="image/svg+xml"))
    trace.add_attachment(UrlAttachment(url="https://example.test/a.png", id=named("url"), mime_type="image/png"))
    # More than 900 KiB: it does not go with the others, but as a file of its own.
    trace.add_metadata({"large": "x" * 1_000_000})


def call_through_the_proxy(logger):
    client = MaximOpenAIClient(OpenAI(base_url=f"{URL}/v1", api_key="sk-test"), logger=logger)
    client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "Hi"}],
        extra_headers={
            "x-maxim-trace-id": named("called"),
            "X-LLM-Session-Id": named("session"),
            "x-maxim-trace-tags": '{"env": "test"}',
        },
    )


main()
