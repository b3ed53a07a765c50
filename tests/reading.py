"""Pages, read back with a parser."""

import re
from html.parser import HTMLParser

import httpx

from llm_proxy.model.completion import Bodies, Context, Status
from records import record

#: What must not become anything but text.
HOSTILE = "</title></pre><script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>&amp;{{ 7*7 }} \u202e\x1b[2J"

#: What has run elsewhere: each would call ``alert``, which a page is watched for, or load or send something.
ATTACKS = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</textarea></title></style></template><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    '"><svg/onload=alert(1)>',
    "' onfocus=alert(1) autofocus x='",
    '" onmouseover="alert(1)',
    "javascript:alert(1)",
    "[x](javascript:alert(1))",
    "![x](http://127.0.0.1:9/pixel.png)",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<link rel=stylesheet href=http://127.0.0.1:9/x.css>",
    "<style>@import 'http://127.0.0.1:9/x.css'</style>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<base href=http://127.0.0.1:9/>",
    "<form action=javascript:alert(1)><button>x",
    "<div hx-get='/' hx-trigger='load' hx-on:load='alert(1)'>x</div>",
    "<template hx type=partial hx-target='body'><script>alert(1)</script></template>",
    "<tr hx-swap-oob='true' id='rows'><td><script>alert(1)</script></td></tr>",
    "data: x\n\nevent: full\ndata: <script>alert(1)</script>\n\n",
    "{{ constructor.constructor('alert(1)')() }}",
    "${alert(1)}",
    "\u2028alert(1)\u2029",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=alert(1)&gt;'>",
    "```html\n<script>alert(1)</script>\n```",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "\x00<script>alert(1)</script>",
]


def attacked(number, attack):
    """A call that has ``attack`` in every field that is text."""
    part = {"type": "text", "text": attack}
    call = {"id": attack, "type": "function", "function": {"name": attack, "arguments": attack}}
    request = {
        "model": attack,
        attack: attack,
        "messages": [
            {"role": attack, "name": attack, "content": attack},
            {"role": "user", "content": [part, {"type": "image_url", "image_url": {"url": attack}}, {"type": attack}]},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": attack,
                "refusal": attack,
                "tool_calls": [call],
            },
            {"role": "tool", "tool_call_id": attack, "content": attack},
        ],
    }
    return record(
        id=f"attack {number} {' '.join(attack.split())}",
        status=Status.FAILED,
        failure_kind=attack,
        failure_reason=attack,
        provider=attack,
        upstream=attack,
        method=attack,
        path=attack,
        kind=attack,
        model=attack,
        response_model=attack,
        context=Context(
            tags=("attack", attack),
            session_id=f"s {attack}",
            session_name=attack,
            user_id=attack,
            trace_id=attack,
            metadata={attack: attack},
            notes=(attack,),
        ),
        client=attack,
        key_fingerprint=attack,
        finish_reasons=(attack,),
        preview=attack,
        decode_problem=attack,
        bodies=Bodies(
            request_headers=((attack, attack),),
            response_headers=((attack, attack),),
            request_body=attack.encode(),
            response_body=attack.encode(),
            request=request,
            response={"choices": [{"message": {"content": attack}, "finish_reason": attack}], attack: attack},
        ),
    )


class Page(HTMLParser):
    """Text and elements of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.pieces.append(" ")

    def handle_data(self, data):
        self.pieces.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.pieces))

    def attributes(self, tag: str, name: str) -> list[str]:
        return [value for element, attrs in self.elements if element == tag and (value := attrs.get(name))]


async def read(client: httpx.AsyncClient, path: str, *, status: int = 200, **headers: str) -> Page:
    """The page at ``path``."""
    response = await client.get(path, headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return Page(response.text)
