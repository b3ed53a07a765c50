from llm_proxy.settings.retention import OrganizationRetention


def test_an_organisation_with_nothing_but_sizes_keeps_the_general_ages():
    assert not OrganizationRetention(max_bytes=1).sets_ages
    assert OrganizationRetention(max_bytes=1, max_age_days=2).sets_ages


def test_an_organisation_without_any_limit_keeps_everything():
    assert OrganizationRetention().sets_ages
