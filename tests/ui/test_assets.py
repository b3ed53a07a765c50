"""What is served to browsers is what it is said to be."""

import tomllib

from llm_proxy.ui.assets import STATIC, VENDOR, integrity, scripts, vendored


def test_every_vendored_file_is_listed_with_its_hash_and_the_other_way_round():
    there = {
        path.relative_to(VENDOR).as_posix(): integrity(path.read_bytes())
        for path in VENDOR.rglob("*")
        if path.is_file() and path != VENDOR / "vendor.toml"
    }

    assert vendored() == there


def test_every_vendored_package_says_where_it_is_from_and_under_which_licence():
    packages = tomllib.loads((VENDOR / "vendor.toml").read_text())["package"]

    for package in packages:
        folder = f"{package['name']}-{package['version']}"
        assert package["source"].endswith(f"@{package['version']}")
        assert package["licence"]
        assert any(file["path"] == f"{folder}/LICENSE" for file in package["file"])
        assert all(file["path"].startswith(f"{folder}/") for file in package["file"])


def test_no_folder_of_the_vendored_is_left_over_from_another_version():
    packages = tomllib.loads((VENDOR / "vendor.toml").read_text())["package"]

    assert {path.name for path in VENDOR.iterdir() if path.is_dir()} == {
        f"{package['name']}-{package['version']}" for package in packages
    }


def test_the_scripts_of_a_page_are_there_with_the_hash_that_it_states():
    for script in scripts():
        path = STATIC / script.url.removeprefix("/static/").partition("?")[0]

        assert integrity(path.read_bytes()) == script.integrity
