import pytest
from pydantic import ValidationError

from llm_proxy.config import load_settings
from llm_proxy.settings.routes import Route
from llm_proxy.settings.table import Settings


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"targets": ["no name"]}, "must be the name of an upstream, or NAME/MODEL"),
        ({"targets": ["groq/"]}, "must be the name of an upstream, or NAME/MODEL"),
        ({"headers": ["X-Team"]}, "must be Name: value"),
        ({"targets": ["a", "b"], "weights": [1]}, "one number for each of targets"),
        ({"targets": ["a", "b"], "weights": [0, 0]}, "not all of them 0"),
        ({"statuses": [200]}, "greater than or equal to 400"),
        ({"attempts": 0}, "greater than or equal to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, reason):
    with pytest.raises(ValidationError, match=reason):
        Route.model_validate(wrong)


def test_nothing_is_tried_again_unless_it_is_asked_for():
    assert Settings().routes == {}
    assert Settings().breaker.failures is None


def test_a_route_can_be_written_in_variables(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('[routes.chat]\nmodels = ["gpt-*"]\n[routes.rest]\n')
    variables = {
        "LLM_PROXY_ROUTES__CHAT__TARGETS": "openai, azure/gpt-4o-eu",
        "LLM_PROXY_ROUTES__CHAT__WEIGHTS": "3, 1",
        "LLM_PROXY_ROUTES__CHAT__STATUSES": "429",
    }

    settings = load_settings(flags={"config": str(path)}, environ=variables)

    assert list(settings.routes) == ["chat", "rest"]
    assert settings.routes["chat"] == Route(
        models=("gpt-*",), targets=("openai", "azure/gpt-4o-eu"), weights=(3, 1), statuses=(429,)
    )
    assert Settings.from_json(settings.to_json()) == settings
