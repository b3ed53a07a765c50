"""A running product for tests of SDKs, before an upstream whose answer is chosen by path and model.

The SDKs block or bring event loops of their own, so product and upstream live in a thread with theirs.
"""

import asyncio
import contextlib
import json
import re
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import httpx

from running import Product, serve
from upstreams import CLOSE, LAST_CHUNK, RESET, SSE_HEAD, Upstream, chat_chunk, chunk, json_response, response

SAMPLES = Path(__file__).parents[1] / "samples"
REQUEST_ID = ("x-request-id", "req_0123456789")
#: What the upstream answers with whole, and streamed, by the end of the path.
WHOLE = {
    "/chat/completions": "chat_text.json",
    "/completions": "text.json",
    "/embeddings": "embeddings_base64.json",
    "/responses": "responses.json",
}
STREAMED = {
    "/chat/completions": "chat_text.sse",
    "/completions": "text_two_choices.sse",
    "/responses": "responses_text.sse",
}
ERRORS = {
    400: ("Bad Request", "invalid_request_error", "context_length_exceeded"),
    401: ("Unauthorized", "invalid_request_error", "invalid_api_key"),
    403: ("Forbidden", "invalid_request_error", "unsupported_country_region_territory"),
    404: ("Not Found", "invalid_request_error", "model_not_found"),
    409: ("Conflict", "invalid_request_error", None),
    422: ("Unprocessable Entity", "invalid_request_error", None),
    429: ("Too Many Requests", "insufficient_quota", "insufficient_quota"),
    500: ("Internal Server Error", "server_error", None),
}
TOOLS = {False: "chat_tools.json", True: "chat_parallel_tools.sse"}


@dataclass(frozen=True)
class Stand:
    """Where the SDKs can be pointed to."""

    product: Product
    direct_url: str

    @property
    def proxied_url(self):
        return self.product.base_url

    def ended(self, session, count):
        """The records of a session, newest first, once so many of its calls have ended."""
        while True:
            asked = {"session": session, "fields": "bodies"}
            answer = httpx.get(f"{self.product.url}/api/v1/completions", params=asked, trust_env=False)
            ended = [record for record in answer.json()["completions"] if record["ending"] is not None]
            if len(ended) >= count:
                return ended
            time.sleep(0.02)


@contextlib.contextmanager
def standing(there, env=None):
    """A running product, before an upstream, in a thread of their own."""
    ready, done = threading.Event(), threading.Event()
    running = []

    async def run():
        upstream = Upstream()
        upstream.choose = Answers().choose
        await upstream.start()
        async with serve(there, upstream.url, env=env) as product:
            running.append(Stand(product, upstream.url))
            ready.set()
            await asyncio.to_thread(done.wait)
        await upstream.stop()

    def work():
        try:
            asyncio.run(run())
        finally:
            ready.set()

    thread = threading.Thread(target=work, name="product")
    thread.start()
    ready.wait()
    assert running, "the product did not start"
    try:
        yield running[0]
    finally:
        done.set()
        thread.join()


def read_trace(stand, trace_id):
    """A trace as Maxim's API shows it."""
    path = f"{stand.product.url}/v1/log-repositories/logs/traces"
    answer = httpx.get(path, params={"id": trace_id}, trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def nodes(trace):
    """Everything in a trace by its id."""
    found = {}
    for node in trace.get("timeline", []):
        found |= {node["id"]: node, **nodes(node)}
    return found


class Answers:
    """The scripts of the upstream."""

    def __init__(self):
        self._go_on = defaultdict(asyncio.Event)

    def choose(self, request):
        method, target, _ = request.request_line.decode().split(" ")
        path = target.partition("?")[0].removeprefix("/v1")
        if path.startswith("/go-on/"):
            self._go_on[path.removeprefix("/go-on/")].set()
            return [json_response({})]
        if method != "POST" or path.startswith("/audio"):
            return [json_response(self._other(method, path, request), headers=[REQUEST_ID])]
        asked = json.loads(request.body)
        return self._answer(path, asked["model"], asked.get("stream", False), request)

    def _answer(self, path, model, stream, request):
        name, _, detail = model.partition(":")
        match name:
            case "error":
                return [error(int(detail))]
            case "flaky" if request.header("x-stainless-retry-count") == b"0":
                return [error(429, headers=[("retry-after-ms", "1")])]
            case "reset" | "cut":
                return [SSE_HEAD, chunk(chat_chunk("partial")), {"reset": RESET, "cut": CLOSE}[name]]
            case "silent":
                return [asyncio.Event()]
            case "stepwise":
                rest = [chunk(chat_chunk("second")), chunk(b"data: [DONE]\n\n"), LAST_CHUNK]
                return [SSE_HEAD, chunk(chat_chunk("first")), self._go_on[detail], *rest]
            case "tools":
                return said(TOOLS[stream], stream)
        return said((STREAMED if stream else WHOLE)[path], stream)

    def _other(self, method, path, request):
        match method, path:
            case "POST", "/audio/transcriptions":
                size = len(re.search(rb"\r\n\r\n(RIFF.*?)\r\n--", request.body, re.DOTALL)[1])
                return {"text": f"I heard {size} bytes."}
            case "DELETE", _:
                return {"id": path.rpartition("/")[2], "object": "file", "deleted": True}
            case _:
                return {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "me"}]}


def said(sample, stream):
    content = (SAMPLES / sample).read_bytes()
    if not stream:
        return [response(content, headers=[("Content-Type", "application/json"), REQUEST_ID])]
    events = re.split(rb"(?<=\n\n)", content)
    return [SSE_HEAD, *(chunk(event) for event in events if event), LAST_CHUNK]


def error(status, *, headers=()):
    reason, kind, code = ERRORS[status]
    body = {"error": {"message": f"{reason}.", "type": kind, "param": None, "code": code}}
    return json_response(body, status=f"{status} {reason}", headers=[REQUEST_ID, *headers])
