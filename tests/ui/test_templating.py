"""What all pages share."""

import re
from pathlib import Path

from llm_proxy.ui import templating
from llm_proxy.ui.templating import ROOMS, fragment, page, problem
from test_documentation import rows_of

TEMPLATES = Path(templating.__file__).parent / "templates"
PAGES = Path(__file__).parents[2] / "docs" / "pages.md"


def test_everything_is_escaped():
    html = fragment("problem.html", title="<b>", reason="<script>'\"&").decode()

    assert "&lt;b&gt;" in html
    assert "<script>'" not in html


def test_what_utf_8_cannot_say_is_a_question_mark():
    assert "a?b" in fragment("problem.html", title="a\ud800b", reason="").decode()


def test_a_problem_is_a_page_with_its_status():
    response = problem(404, "Not found", "why")

    assert (response.status_code, response.media_type) == (404, "text/html")
    assert page("problem.html", title="", reason="").status_code == 200


def test_every_key_is_documented_as_the_help_has_it_and_the_other_way_round():
    help_ = fragment("problem.html", title="", reason="").decode().partition("<dialog")[2]
    rows = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", help_)

    shown = [[", ".join(re.findall(r"<kbd>(.*?)</kbd>", keys)), meaning] for keys, meaning in rows]

    assert shown == list(rows_of(PAGES, "| Key | What it does |"))


def test_the_keys_of_grading_are_documented_as_its_help_has_them():
    help_ = (TEMPLATES / "grade.html").read_text(encoding="utf-8").partition("{% block more_keys %}")[2]
    rows = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", help_)

    shown = [[re.sub(r"</?kbd>", "", cell) for cell in row] for row in rows]

    documented = rows_of(PAGES, "| Key beside a call | What it does |")
    assert shown == [[keys.replace(",", ""), meaning] for keys, meaning in documented]


def test_no_two_pages_have_the_same_key():
    assert len({room.key for room in ROOMS}) == len(ROOMS)
