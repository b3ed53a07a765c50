"""What was recorded, as HTML: rendered, and harmless."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.ui.rendering import MARKDOWN_CHARACTERS, code, json_or_text, markdown, plain

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](data:text/html;base64,PHNjcmlwdD4=)",
    "[click](vbscript:x)",
    "![x](https://evil.example/pixel.png)",
    '[x](https://a.example "onmouseover=alert(1)")',
    '[x](https://a.example/"onmouseover="alert(1))',
    "<javascript:alert(1)>",
    "```html\n<script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "<style>*{display:none}</style>",
    "<a href='x' style='position:fixed'>x</a>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<div data-hx-get='/'>x</div>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "| a |\n|---|\n| <script>alert(1)</script> |",
    "<!--><script>alert(1)</script>-->",
]
BARE = "br hr em strong s code pre li thead tbody tr th td"
ALLOWED = {
    **{tag: {"dir"} for tag in ("ul", "ol", "blockquote", "table")},
    "a": {"href", "rel"},
    "span": {"class"},
    "p": {"class", "dir"},
    "div": {"class"},
    **{tag: set() for tag in BARE.split()},
}


class Elements(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def harmless(html):
    for tag, attributes in Elements(html).found:
        assert set(attributes) <= ALLOWED[tag], (tag, attributes)
        assert re.match(r"https?:|mailto:|[^:]*$", attributes.get("href") or "")
    return True


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_comes_through(text):
    for html in (markdown(text), plain(text), json_or_text(text), json_or_text(f'{{"a": {text!r}}}')):
        assert harmless(html)


@given(st.text(max_size=200), st.sampled_from(HOSTILE))
def test_neither_does_it_within_any_text(text, hostile):
    assert harmless(markdown(text + hostile + text))


def test_markdown_is_rendered():
    html = markdown("# Title\n\nSome **bold** `code`, [a link](https://a.example)\n\n- one\n\n| a |\n|---|\n| b |")

    for part in (
        '<p class="md-heading" dir="auto">Title</p>',
        "<strong>bold</strong>",
        "<code>code</code>",
        '<a href="https://a.example" rel="noopener noreferrer nofollow">a link</a>',
        "<li>one</li>",
        "<td>b</td>",
    ):
        assert part in html


def test_code_is_coloured_by_its_language():
    assert '<span class="hl-k">def</span>' in markdown("```python\ndef f(): pass\n```")
    assert code("a < b", "") == "a &lt; b"
    assert "hl-" not in code("def f(): pass", "../../etc/passwd")


def test_json_is_coloured_and_other_text_is_not():
    assert '<span class="hl-nt">"city"</span>' in json_or_text('{"city": "Rome"}')
    assert json_or_text("sunny") == "<pre><code>sunny</code></pre>"


def test_what_is_too_long_to_render_is_shown_as_it_is():
    assert "<pre>*a*" in markdown("*a*" * MARKDOWN_CHARACTERS)


@pytest.mark.parametrize("line", ["x" * 99 + "\n", "x" * 50_000 + "\n", "\n", "x"])
def test_a_long_text_is_whole_in_pieces_that_end_with_lines(line):
    text = line * (200_000 // len(line))

    pieces = re.findall(r"<pre>([^<]*)</pre>", plain(text))

    assert max(map(len, pieces)) <= 20_000
    assert "".join(pieces).count("x") == text.count("x")
    if len(line) == 100:
        assert "\n".join(pieces) == text


def test_what_steers_is_made_visible():
    assert "\u202e" not in markdown("a\u202eb")
    assert "\x1b" not in plain("\x1b[2J")
    assert "\x1b" not in json_or_text('{"a": "\x1b"}')


@pytest.mark.parametrize("mark", ["> ", "- ", "1. > "])
def test_what_stands_deep_within_lists_and_quotations_is_shown(mark):
    for depth in range(60):
        assert "innermost" in markdown(mark * depth + "innermost")

    assert "<ul" in markdown("- " * 15 + "innermost")


def test_paragraphs_lists_and_tables_are_read_the_way_that_their_text_begins():
    html = markdown("שלום\n\n1. א\n\n> ב\n\n| ג |\n|---|\n| ד |")

    for tag in ("p", "ol", "blockquote", "table"):
        assert f'<{tag} dir="auto">' in html
