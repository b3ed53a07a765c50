import json
import subprocess
import sys
from decimal import Decimal

import pytest

from empty_stores import empty_store
from llm_proxy.decode.generation import completion_of
from llm_proxy.errors import ConfigError
from llm_proxy.model.completion import CostSource, Usage
from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.trace import Kind, Statement
from llm_proxy.pricing.litellm_prices import NO_OVERRIDES
from llm_proxy.settings.table import Settings
from llm_proxy.store.sql_traces import SqlTraces
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.pricing import make_pricer, priced, read_prices
from records import bare, record
from running import serve

USAGE = Usage(input_tokens=1000, output_tokens=500)
PRICES = {"gpt-4o": {"input_cost_per_token": 1e-3, "output_cost_per_token": "2e-3"}}


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(PRICES))
    return Settings.model_validate({"pricing": {"file": str(path)}})


def test_without_a_file_list_prices_count():
    cost = make_pricer(Settings())(record(usage=USAGE))

    assert cost is not None
    assert (cost.usd, cost.source) == (Decimal("0.0075"), CostSource.LIST)


def test_the_prices_of_the_file_go_before_list_prices(settings):
    cost = make_pricer(settings)(record(usage=USAGE))

    assert cost is not None
    assert (cost.usd, cost.source, cost.entry) == (2, CostSource.OVERRIDE, "gpt-4o")


def test_what_has_nothing_to_be_priced_has_no_cost(settings):
    assert make_pricer(settings)(bare()) is None


def test_a_file_that_cannot_be_read_is_an_error_in_a_line(tmp_path):
    settings = Settings.model_validate({"pricing": {"file": str(tmp_path / "none.json")}})

    with pytest.raises(ConfigError, match=r"pricing\.file: .*none\.json cannot be read: No such file"):
        make_pricer(settings)
    assert read_prices(Settings()) is NO_OVERRIDES


def test_no_table_of_list_prices_is_loaded_before_there_is_something_to_be_priced():
    program = (
        "import sys; from llm_proxy.settings.table import Settings; from llm_proxy.wiring.pricing import make_pricer;"
        "make_pricer(Settings()); print('genai_prices' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


async def test_a_call_is_on_record_with_what_it_cost(upstream, tmp_path, settings):
    async with serve(tmp_path, upstream.url, env={"LLM_PROXY_PRICING__FILE": str(settings.pricing.file)}) as product:
        await product.chat()
        (told,) = await product.ended(1)

    assert told["cost"]["source"] == "override"
    assert Decimal(told["cost"]["usd"]) == sum(Decimal(part["usd"]) for part in told["cost"]["parts"])


async def test_what_a_program_tells_of_its_calls_is_priced_like_what_the_proxy_sees(upstream, tmp_path):
    told = {
        "organization_id": "default",
        "status": "finished",
        "orig_module": "openai.resources.chat.completions",
        "request": {"model": "gpt-4o", "messages": []},
        "response": {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}},
    }
    async with serve(tmp_path, upstream.url) as product:
        made = await product.client.post(f"{product.url}/api/v1/completions", json={**told, "id": "1"})
        # A piece that says nothing of what was consumed changes nothing of what it cost.
        await product.client.post(f"{product.url}/api/completions/1", json={"tags": ["late"]})
        (completion,) = await product.completions()

    assert made.status_code == 201
    assert (completion.context.tags, completion.cost.usd) == (("late",), Decimal("0.0075"))


async def test_a_generation_that_a_program_tells_of_has_its_cost_from_the_beginning(settings, tmp_path):
    store = SqliteStore(empty_store(tmp_path / "store.sqlite3"))
    traces = SqlTraces(store, priced(completion_of, make_pricer(settings)))
    told = {"model": "gpt-4o", "provider": "openai", "messages": [{"role": "user", "content": "Hi"}]}
    answer = {"object": "chat.completion", "usage": {"prompt_tokens": 1000, "completion_tokens": 500}, "choices": []}

    await traces.put("default", "r", [Statement(kind=Kind.GENERATION, id="g", heard_at_us=1, members=told)])
    before = (await store.find(CompletionQuery())).completions[0].cost
    result = {"result": answer}
    await traces.put("default", "r", [Statement(kind=Kind.GENERATION, id="g", heard_at_us=2, members=result)])
    after = (await store.find(CompletionQuery())).completions[0].cost
    await store.close()

    assert before is None
    assert (after.usd, after.source) == (2, CostSource.OVERRIDE)
