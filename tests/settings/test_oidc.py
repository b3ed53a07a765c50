"""Settings of logging in by a provider."""

import pytest
from pydantic import ValidationError

from llm_proxy.config import load_settings
from llm_proxy.settings.oidc import Oidc, Role
from llm_proxy.settings.table import Settings

WHOLE = {"issuer": "https://login.test", "client_id": "x"}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"issuer": "https://login.test"}, "issuer and client_id go together"),
        ({"client_id": "x"}, "issuer and client_id go together"),
        ({**WHOLE, "issuer": "http://login.test"}, "must begin with https://"),
        ({**WHOLE, "scopes": ["read", "proxy"]}, "'proxy' is no scope of a person"),
        ({**WHOLE, "role_claim": "groups"}, "role_claim and roles go together"),
        ({**WHOLE, "roles": {"a": {}}}, "role_claim and roles go together"),
        ({**WHOLE, "request_scopes": ["email"]}, "must hold openid"),
        ({**WHOLE, "name_claim": "name"}, "email"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, reason):
    with pytest.raises(ValidationError, match=reason):
        Oidc.model_validate(wrong)


def test_there_is_no_provider_by_default_and_one_on_this_machine_may_do_without_tls():
    assert Settings().oidc.issuer is None
    assert Oidc.model_validate({**WHOLE, "issuer": "http://localhost:8080/"}).issuer == "http://localhost:8080"


def test_roles_are_tables_and_the_secret_is_in_a_variable(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(
        '[oidc]\nissuer = "https://login.test"\nclient_id = "x"\nclient_secret_env = "S"\nrole_claim = "groups"\n'
        '[oidc.roles."LLM Admins"]\nscopes = ["read", "admin"]\n[oidc.roles.readers]\n'
    )

    settings = load_settings(flags={"config": str(path)}, environ={"S": "a-long-enough-secret"})

    assert settings.oidc.roles == {"LLM Admins": Role(scopes=("read", "admin")), "readers": Role()}
    assert settings.oidc.client_secret.get_secret_value() == "a-long-enough-secret"
    assert "long-enough" not in settings.model_dump_json()
