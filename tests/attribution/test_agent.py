import pytest

from llm_proxy.attribution.agent import app_of


@pytest.mark.parametrize(
    ("user_agent", "app"),
    [
        ("claude-cli/1.0.83 (external, cli)", "claude-cli"),
        ("codex_cli_rs/0.36.0 (Mac OS 15.6.1; arm64) iTerm.app/3.6.1", "codex_cli_rs"),
        ("opencode/0.6.3", "opencode"),
        ("MyBatchJob", "MyBatchJob"),
        ("OpenAI/Python 1.99.1", None),
        ("AsyncOpenAI/Python 1.99.1", None),
        ("Anthropic/JS 0.60.0", None),
        ("python-httpx/0.28.1", None),
        ("curl/8.5.0", None),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", None),
        ("node", None),
        ("", None),
        ("(comment only)", None),
        ("\x00", None),
        ("x" * 1000, "x" * 64),
    ],
)
def test_a_program_is_told_from_the_library_that_it_is_written_with(user_agent, app):
    assert app_of(user_agent) == app
