"""A call as a command or a program that makes it once more, through this proxy, with a key from the environment.

Every value is quoted for its language: what was recorded stays data there, too.
"""

import json
import re
import shlex
from dataclasses import dataclass

from llm_proxy.model.completion import Completion, JsonObject, JsonValue
from llm_proxy.model.exchange import Endpoint
from llm_proxy.ui.present import visible

#: Characters of a request body that are put into a snippet; a longer one is read from the file that can be downloaded.
BODY_CHARACTERS = 20_000
_FILE = "request.json"
_SDK = {
    Endpoint.CHAT: "chat.completions.create",
    Endpoint.TEXT: "completions.create",
    Endpoint.EMBEDDINGS: "embeddings.create",
    Endpoint.RESPONSES: "responses.create",
}
_VERSION_HEADERS = frozenset({"anthropic-version", "anthropic-beta", "openai-beta"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A way to make a call again."""

    title: str
    text: str


def snippets(completion: Completion, request: JsonValue, base_url: str) -> tuple[Snippet, ...]:
    """The ways to make a call again, at ``base_url``, which has no slash at its end; none if nothing is known of it."""
    if not isinstance(request, dict) or completion.endpoint is Endpoint.REALTIME:
        return ()  # a session is no request that could be made again
    found = [
        Snippet(title="curl", text=_curl(completion, request, base_url)),
        Snippet(title="Python", text=_python(completion, request, base_url)),
    ]
    if completion.endpoint in _SDK and completion.method == "POST":
        found.append(Snippet(title="OpenAI SDK", text=_sdk(_SDK[completion.endpoint], request, base_url)))
    return tuple(found)


def _curl(completion: Completion, request: JsonObject, base_url: str) -> str:
    written = json.dumps(request, ensure_ascii=False)
    lines = [f"curl {shlex.quote(base_url + _path(completion))}"]
    if completion.method != "POST":
        lines.append(f"-X {shlex.quote(visible(completion.method))}")
    lines += [f'-H "{name}: {value}"' for name, value in _key(completion, "$").items()]
    lines += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in _headers(completion).items()]
    body = f"@{_FILE}" if len(written) > BODY_CHARACTERS else visible(written)
    lines.append(f"--data-binary {shlex.quote(body)}")
    return " \\\n  ".join(lines)


def _python(completion: Completion, request: JsonObject, base_url: str) -> str:
    headers = _literal(_headers(completion), 1)
    key = "".join(f'headers["{name}"] = f"{value}"\n' for name, value in _key(completion, "os.environ").items())
    return (
        "import json\nimport os\n\nimport httpx\n\n"
        f"headers = {headers}\n{key}"
        f"request = {_body(request)}\n"
        f"answer = httpx.request(\n    {_literal(completion.method, 1)},\n"
        f"    {_literal(base_url + _path(completion), 1)},\n"
        "    headers=headers,\n    content=json.dumps(request),\n    timeout=600,\n)\nprint(answer.text)\n"
    )


def _sdk(method: str, request: JsonObject, base_url: str) -> str:
    answer = (
        "for event in answer:\n    print(event)\n" if request.get("stream") is True else "print(answer.to_json())\n"
    )
    return (
        "import json\n\nfrom openai import OpenAI\n\n"
        f"client = OpenAI(base_url={_literal(base_url + '/v1', 0)})\n"
        f"request = {_body(request)}\nanswer = client.{method}(**request)\n{answer}"
    )


def _body(request: JsonObject) -> str:
    written = _literal(request, 0)
    return written if len(written) <= BODY_CHARACTERS else f'json.load(open("{_FILE}", encoding="utf-8"))'


def _path(completion: Completion) -> str:
    return visible(completion.path)


def _key(completion: Completion, environment: str) -> dict[str, str]:
    """The header of the credential, from a variable, as the provider asks for it."""
    name = "ANTHROPIC_API_KEY" if _is_anthropic(completion) else "OPENAI_API_KEY"
    variable = f"${name}" if environment == "$" else f"{{os.environ['{name}']}}"
    return {"x-api-key": variable} if _is_anthropic(completion) else {"Authorization": f"Bearer {variable}"}


def _headers(completion: Completion) -> dict[str, str]:
    recorded = completion.bodies.request_headers if completion.bodies else ()
    versions = {name.lower(): visible(value) for name, value in recorded if value and name.lower() in _VERSION_HEADERS}
    return {"Content-Type": "application/json", **versions}


def _is_anthropic(completion: Completion) -> bool:
    return bool(re.search(r"/messages(?:/count_tokens)?(?:\?|$)", completion.path))


def _literal(value: object, depth: int) -> str:
    """``value`` as Python writes it, one member a line; ASCII, so that nothing in it steers."""
    inside, end = "    " * (depth + 1), "    " * depth
    if isinstance(value, dict) and value:
        members = (f"{inside}{name!a}: {_literal(member, depth + 1)},\n" for name, member in value.items())
        return "{\n" + "".join(members) + end + "}"
    if isinstance(value, list) and value:
        return "[\n" + "".join(f"{inside}{_literal(member, depth + 1)},\n" for member in value) + end + "]"
    # Letters of any language stay readable, which ascii() would not leave.
    written = repr(value)
    return written if visible(written) == written else ascii(value)
