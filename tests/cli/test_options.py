import click
from click.testing import CliRunner

from llm_proxy.cli.options import FLAGS, PORT_FLAGS, having, settings_of


def test_options_come_in_the_order_in_which_they_are_named():
    @click.command()
    @having(PORT_FLAGS + FLAGS)
    def command(**flags):
        click.echo(flags)

    done = CliRunner().invoke(command, ["--port", "9", "--config", "c.toml"])

    assert done.output == "{'port': 9, 'config': 'c.toml', 'host': None, 'data_dir': None}\n"
    assert [option.opts[-1] for option in command.params] == ["--host", "--port", "--config", "--data-dir"]


def test_flags_lead_to_settings_and_those_that_are_not_given_change_nothing(tmp_path):
    settings = settings_of(data_dir=str(tmp_path), config=None, port=None)

    assert settings.data_dir == tmp_path
    assert settings.port == 8080
