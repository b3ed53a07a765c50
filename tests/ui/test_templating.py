"""What all pages share."""

from llm_proxy.ui.templating import fragment, page, problem


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
