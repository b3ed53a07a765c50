"""Costs that were computed by hand from the providers' public price lists, in dollars per million tokens.

Where a provider changes a price the case keeps its time: what a call cost then does not change.

- OPENAI: https://platform.openai.com/docs/pricing (2025-06 to 2026-11)
- ANTHROPIC: https://platform.claude.com/docs/en/about-claude/pricing (2025-10 to 2026-11)
- GOOGLE: https://ai.google.dev/gemini-api/docs/pricing (2025-10 to 2026-11)
- GROQ: https://groq.com/pricing
- BEDROCK: https://aws.amazon.com/bedrock/pricing/
- AZURE: https://azure.microsoft.com/pricing/details/cognitive-services/openai-service/
- MISTRAL: https://mistral.ai/pricing, XAI: https://docs.x.ai/docs/models, TOGETHER: https://www.together.ai/pricing,
  FIREWORKS: https://fireworks.ai/pricing, CEREBRAS: https://www.cerebras.ai/pricing
"""

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from llm_proxy.model.completion import Cost, CostSource, Usage
from llm_proxy.pricing.litellm_prices import parse_overrides
from llm_proxy.pricing.price import price
from pricing.purchases import purchase_of, usage_of

CACHE_5M = {"cache_creation": {"ephemeral_5m_input_tokens": 2000, "ephemeral_1h_input_tokens": 0}}
CACHE_1H = {"cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 2000}}
CACHE_BOTH = {"cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 1500}}
IMAGE = {"input_tokens_details": {"image_tokens": 200, "text_tokens": 50}}
IMAGE_OUT = {"candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}]}
AUDIO_CACHED = {
    "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 800}, {"modality": "TEXT", "tokenCount": 200}]
}
MAY_2025 = datetime(2025, 5, 31, tzinfo=UTC)
MINUTE_AND_A_HALF = Usage(raw={"type": "duration", "seconds": 90})

#: As response.done tells it, added up over a session.
REALTIME_CACHED = {"input_token_details": {"cached_tokens_details": {"text_tokens": 100, "audio_tokens": 400}}}
REALTIME_CACHED_TEXT = {"input_token_details": {"cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0}}}

# fmt: off
KNOWN = [
    # REALTIME: gpt-realtime 4, cached 0.40, 16; audio 32, cached 0.40, 64; mini 0.60, 2.40; audio 10, 20
    ("openai", "gpt-realtime-2025-08-28",  # 55*4 + 64*0.4 + 13*32 + 30*16 + 91*64
     usage_of(132, 121, cached_input_tokens=64, audio_input_tokens=13, audio_output_tokens=91,
              raw=REALTIME_CACHED_TEXT), {}, "0.0069656"),
    ("openai", "gpt-realtime",  # 100*4 + 100*0.4 + 400*32 + 400*0.4 + 50*16 + 150*64
     usage_of(1000, 200, cached_input_tokens=500, audio_input_tokens=800, audio_output_tokens=150,
              raw=REALTIME_CACHED), {}, "0.0238"),
    ("openai", "gpt-realtime-mini",  # 200*0.6 + 800*10 + 50*2.4 + 150*20
     usage_of(1000, 200, audio_input_tokens=800, audio_output_tokens=150), {}, "0.01124"),
    ("openai", "gpt-realtime", usage_of(100, 20), {}, "0.00072"),                 # all of it text
    # LIVE: gemini-live-2.5-flash 0.50, 2; audio 3, 12
    ("google", "models/gemini-live-2.5-flash",  # 20*0.5 + 80*3 + 50*12
     usage_of(100, 50, audio_input_tokens=80, audio_output_tokens=50), {}, "0.00085"),
    # OPENAI: gpt-4o 2.50, cached 1.25, out 10
    ("openai", "gpt-4o-2024-08-06", usage_of(1000, 500), {}, "0.0075"),           # 2500 + 5000
    ("openai", "gpt-4o", usage_of(2000, 300, cached_input_tokens=1024), {}, "0.00672"),  # 976*2.5 + 1024*1.25 + 3000
    ("openai", "gpt-4o", usage_of(1000, 500), {"tier": "batch"}, "0.00375"),      # half of each
    ("openai", "gpt-4o-mini", usage_of(10000, 2000), {}, "0.0027"),               # 0.15, 0.60
    ("openai", "gpt-4.1", usage_of(100000, 1000), {}, "0.208"),                   # 2, 8
    ("openai", "gpt-4.1-mini-2025-04-14", usage_of(8000, 400, cached_input_tokens=5000), {}, "0.00234"),  # .4 .1 1.6
    ("openai", "gpt-4.1-nano", usage_of(1000, 1000), {}, "0.0005"),               # 0.10, 0.40
    # reasoning is output: o3 2, 8; before 2025-06-10 10, 40
    ("openai", "o3-2025-04-16", usage_of(1200, 3400, reasoning_output_tokens=3000), {}, "0.0296"),
    ("openai", "o3", usage_of(1200, 3400, reasoning_output_tokens=3000), {"at": MAY_2025}, "0.148"),
    ("openai", "o4-mini",
     usage_of(4000, 1500, cached_input_tokens=2048, reasoning_output_tokens=1000), {}, "0.0093104"),  # 1.10 0.275 4.40
    # gpt-5 1.25, 0.125, 10; flex half, priority double
    ("openai", "gpt-5-2025-08-07", usage_of(1000, 100, cached_input_tokens=500), {}, "0.0016875"),
    ("openai", "gpt-5", usage_of(1000, 100, cached_input_tokens=500), {"tier": "default"}, "0.0016875"),
    ("openai", "gpt-5", usage_of(1000, 100, cached_input_tokens=500), {"tier": "flex"}, "0.00084375"),
    ("openai", "gpt-5", usage_of(1000, 100, cached_input_tokens=500), {"tier": "priority"}, "0.003375"),
    ("openai", "gpt-5", usage_of(10000, 2000), {"tier": "batch"}, "0.01625"),
    ("openai", "gpt-5-mini", usage_of(2000, 1000), {}, "0.0025"),                 # 0.25, 2
    ("openai", "gpt-5-nano", usage_of(1000, 1000), {}, "0.00045"),                # 0.05, 0.40
    # gpt-5.4 2.50, 0.25, 15; above 272k 5, 0.50, 22.50 for every token
    ("openai", "gpt-5.4", usage_of(272000, 1000), {}, "0.695"),
    ("openai", "gpt-5.4", usage_of(300000, 1000, cached_input_tokens=100000), {}, "1.0725"),
    ("openai", "text-embedding-3-small", usage_of(8000, None, total_tokens=8000), {}, "0.00016"),  # 0.02
    ("openai", "text-embedding-3-large", usage_of(1000, None, total_tokens=1000), {}, "0.00013"),  # 0.13
    # audio: whisper 0.006 a minute; gpt-4o-transcribe 2.50 text, 6 audio, 10 out; gpt-audio 2.50, 32, 10, 64
    ("openai", "whisper-1", MINUTE_AND_A_HALF, {}, "0.009"),
    ("openai", "whisper-1", None, {"audio_s": Decimal(90)}, "0.009"),
    ("openai", "gpt-4o-transcribe", usage_of(150, 40, audio_input_tokens=140), {"audio_s": Decimal(14)}, "0.001265"),
    ("openai", "gpt-audio", usage_of(500, 300, audio_input_tokens=400, audio_output_tokens=250), {}, "0.02955"),
    ("openai", "gpt-4o-audio-preview", usage_of(100, 100), {}, "0.00125"),
    ("openai", "tts-1", None, {"characters": 1000}, "0.015"),                     # 15 per million characters
    # gpt-image-1: text 5, image 10, out 40
    ("openai", "gpt-image-1", usage_of(250, 1056, raw=IMAGE), {"images": 1}, "0.04449"),
    ("openai", "ft:gpt-4o-mini-2024-07-18:acme::abc", usage_of(1000, 1000), {}, "0.0015"),  # 0.30, 1.20
    # ANTHROPIC: Sonnet 4.5 3, 5 min 3.75, 1 h 6, read 0.30, out 15; above 200k 6, 7.50, 12, 0.60, 22.50
    ("anthropic", "claude-sonnet-4-5-20250929", usage_of(1000, 500), {}, "0.0105"),
    ("anthropic", "claude-sonnet-4-5",
     usage_of(7100, 300, cached_input_tokens=5000, cache_write_input_tokens=2000, raw=CACHE_5M), {}, "0.0138"),
    ("anthropic", "claude-sonnet-4-5", usage_of(2100, 300, cache_write_input_tokens=2000, raw=CACHE_1H), {}, "0.0168"),
    ("anthropic", "claude-sonnet-4-5",
     usage_of(2100, 300, cache_write_input_tokens=2000, raw=CACHE_BOTH), {}, "0.015675"),
    ("anthropic", "claude-sonnet-4-5", usage_of(250000, 1000, cached_input_tokens=100000), {}, "0.9825"),
    ("anthropic", "claude-sonnet-4-5", usage_of(1000, 2000, reasoning_output_tokens=1500), {}, "0.033"),
    ("anthropic", "claude-sonnet-4-5",
     usage_of(1000, 500, raw={"server_tool_use": {"web_search_requests": 3}}), {}, "0.0405"),  # 10 per 1000 searches
    ("anthropic", "claude-haiku-4-5", usage_of(1000, 1000, raw={"service_tier": "batch"}), {}, "0.003"),  # half of 1, 5
    ("anthropic", "claude-haiku-4-5", usage_of(1000, 1000, raw={"service_tier": "standard"}), {}, "0.006"),
    ("anthropic", "claude-opus-4-1-20250805", usage_of(1000, 1000), {}, "0.09"),  # 15, 75
    ("anthropic", "claude-opus-4-5", usage_of(10100, 200, cached_input_tokens=10000), {}, "0.0105"),  # 5, 0.50, 25
    ("anthropic", "claude-opus-5", usage_of(1000, 1000, raw={"speed": "fast"}), {}, "0.06"),  # 10, 50
    ("anthropic", "claude-opus-4-6", usage_of(1000, 1000, raw={"inference_geo": "us"}), {}, "0.033"),  # 1.1 * (5 + 25)
    ("anthropic", "claude-3-5-haiku-20241022", usage_of(1000, 1000), {}, "0.0048"),  # 0.80, 4
    # GOOGLE: 2.5 Pro 1.25, 0.125, 10; above 200k 2.50, 0.25, 15; 2.5 Flash 0.30, audio 1, cached 0.03 and 0.10, 2.50
    ("google", "gemini-2.5-pro", usage_of(1000, 500), {}, "0.00625"),
    ("google", "models/gemini-2.5-pro", usage_of(250000, 2000, cached_input_tokens=50000), {}, "0.5425"),
    ("google", "gemini-2.5-flash", usage_of(1000, 1200, reasoning_output_tokens=1000), {}, "0.0033"),
    ("google", "gemini-2.5-flash", usage_of(2000, 100, audio_input_tokens=1500), {}, "0.0019"),
    ("google", "gemini-2.5-flash",
     usage_of(2000, 100, audio_input_tokens=1500, cached_input_tokens=1000, raw=AUDIO_CACHED), {}, "0.001126"),
    ("google", "gemini-2.5-pro", usage_of(2000, 100, audio_input_tokens=1500), {}, "0.0035"),  # audio as text
    ("google", "gemini-2.5-flash-image", usage_of(10, 1290, raw=IMAGE_OUT), {}, "0.038703"),  # 0.30, images 30
    # the others
    ("groq", "llama-3.3-70b-versatile", usage_of(1000, 1000), {}, "0.00138"),     # 0.59, 0.79
    ("groq", "openai/gpt-oss-120b", usage_of(1000, 100, cached_input_tokens=500), {}, "0.0001725"),  # .15 .075 .60
    ("groq", "whisper-large-v3", None, {"audio_s": Decimal(120)}, "0.0037"),      # 0.111 an hour
    ("groq", "whisper-large-v3-turbo", None, {"audio_s": Decimal(3)}, "0.000111111111"),  # 0.04 an hour, 10 s at least
    ("mistral", "mistral-large-2512", usage_of(1000, 1000), {}, "0.002"),         # 0.50, 1.50
    ("xai", "grok-4", usage_of(1000, 132, cached_input_tokens=200), {}, "0.00453"),  # 3, 0.75, 15
    ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", usage_of(1000, 1000), {}, "0.00176"),  # 0.88
    ("fireworks", "accounts/fireworks/models/deepseek-v3p2",
     usage_of(1000, 100, cached_input_tokens=400), {}, "0.000616"),               # 0.56, 0.28, 1.68
    ("cerebras", "llama3.1-8b", usage_of(1000, 1000), {}, "0.0002"),              # 0.10
    ("azure", "gpt-4o-2024-11-20", usage_of(1000, 500), {}, "0.0075"),            # global deployments: as OpenAI
    # BEDROCK: a geographic profile costs 10 % more than the global one, and so does a bare id
    ("bedrock", "amazon.nova-pro-v1:0", usage_of(1000, 1000), {}, "0.004"),       # 0.80, 3.20
    ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", usage_of(1000, 1000), {}, "0.0198"),  # 3.30, 16.50
    ("bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", usage_of(1000, 1000), {}, "0.018"),
    ("bedrock", "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0",
     usage_of(1000, 1000), {}, "0.0066"),                                         # 1.10, 5.50
]
UNKNOWN = [
    # Sessions that were heard or spoken by a model whose entry prices text only, and cached audio of unknown length.
    ("google", "gemini-2.5-pro", usage_of(100, 50, audio_output_tokens=50), {}, "no_price_for:output_audio"),
    ("openai", "gpt-realtime",
     usage_of(1000, 200, audio_input_tokens=800, cached_input_tokens=500), {}, "no_split_of_cache:input_audio"),
    # The package's entry has no price for audio, and would charge it as text: a sixteenth of the real one.
    ("openai", "gpt-4o-audio-preview", usage_of(500, 300, audio_input_tokens=400), {}, "no_price_for:input_audio"),
    ("openai", "gpt-4o-audio-preview", usage_of(100, 300, audio_output_tokens=250), {}, "no_price_for:output_audio"),
    # The package answers 0 for tokens of a model that is sold by the minute, or for a speech without its length.
    ("openai", "whisper-1", usage_of(100, 20), {}, "no_price_for:input"),
    ("openai", "whisper-1", None, {}, "no_usage"),
    ("openai", "tts-1", None, {}, "no_usage"),
    # The package charges an unknown tier at the price of the ordinary one.
    ("openai", "gpt-4o", usage_of(1000, 500), {"tier": "flex"}, "no_price_for_tier:flex"),
    ("openai", "gpt-4o", usage_of(1000, 500), {"tier": "scale"}, "no_price_for_tier:scale"),
    ("azure", "gpt-4o", usage_of(1000, 500), {"tier": "batch"}, "no_price_for_tier:batch"),
    ("anthropic", "claude-sonnet-4-5",
     usage_of(1, 1, raw={"service_tier": "priority"}), {}, "no_price_for_tier:priority"),
    # The package charges a cache write without a price of its own as input.
    ("bedrock", "anthropic.claude-3-haiku-20240307-v1:0",
     usage_of(2000, 10, cache_write_input_tokens=1000), {}, "no_price_for:cache_write"),
    ("bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0",
     usage_of(2100, 10, cache_write_input_tokens=2000, raw=CACHE_1H), {}, "no_price_for:cache_write_1h"),
    # The package has entries without any price, which it takes for free.
    ("cerebras", "qwen-3-coder-480b", usage_of(1000, 1000), {}, "entry_without_prices"),
    # The package knows only the largest of the fees that a request can cost.
    ("perplexity", "sonar", usage_of(10, 100), {}, "price_depends_on_request"),
    ("google", "gemini-2.5-flash",
     usage_of(2000, 100, audio_input_tokens=1500, cached_input_tokens=1000), {}, "no_split_of_cache:input_audio"),
    ("openai", "gpt-99", usage_of(1, 1), {}, "unknown_model"),
    ("openai", "ft:gpt-4.1-2025-04-14:acme::abc", usage_of(1, 1), {}, "unknown_model"),
    ("openai", "dall-e-3", None, {"images": 1}, "unknown_model"),
    ("azure", "my-deployment", usage_of(1, 1), {}, "unknown_model"),
    ("openai", None, usage_of(1, 1), {}, "no_model"),
    ("vllm", "gpt-4o", usage_of(1, 1), {}, "unknown_provider"),
    (None, "gpt-4o", usage_of(1, 1), {}, "unknown_provider"),
    ("huggingface", "meta-llama/Llama-3.3-70B-Instruct", usage_of(1, 1), {}, "unknown_provider"),
    ("openai", "gpt-4o", None, {}, "no_usage"),
    ("openai", "gpt-4o", Usage(), {}, "no_usage"),
    ("openai", "gpt-4o", usage_of(100, None), {}, "no_output_tokens"),
    ("openai", "gpt-4o", usage_of(100, 10, total_tokens=500), {}, "usage_does_not_add_up"),
    ("openai", "gpt-4o", usage_of(100, 10, cached_input_tokens=101), {}, "usage_does_not_add_up"),
    ("openai", "gpt-4o", usage_of(100, 10, reasoning_output_tokens=11), {}, "usage_does_not_add_up"),
]
# fmt: on


def name_of(case):
    return "-".join(map(str, (case[0], case[1], case[4])))


@pytest.mark.parametrize("case", KNOWN, ids=name_of)
def test_what_a_call_costs_is_what_the_price_list_says(case):
    provider, model, usage, members, dollars = case

    cost = price(purchase_of(provider, model, usage, **members))

    assert cost.usd is not None, cost.reason
    assert abs(cost.usd - Decimal(dollars)) < Decimal("1e-12")
    assert (cost.source, cost.reason) == (CostSource.LIST, None)
    assert sum(part.usd for part in cost.parts) == cost.usd


@pytest.mark.parametrize("case", UNKNOWN, ids=name_of)
def test_a_cost_that_cannot_be_known_is_none_with_the_reason(case):
    provider, model, usage, members, reason = case

    cost = price(purchase_of(provider, model, usage, **members))

    assert (cost.usd, cost.reason, cost.parts) == (None, reason, ())


def test_a_cost_tells_its_source_its_entry_and_its_parts():
    cost = price(purchase_of("openai", "gpt-4o-2024-08-06", usage_of(2000, 300, cached_input_tokens=1024)))

    assert cost.version.startswith("genai-prices 0.2.")
    assert cost.entry == "openai/gpt-4o"
    assert [(part.name, part.quantity, part.rate) for part in cost.parts] == [
        ("input", 976, Decimal("0.0000025")),
        ("cache_read", 1024, Decimal("0.00000125")),
        ("output", 300, Decimal("0.00001")),
    ]


def test_tokens_that_were_counted_as_none_cost_nothing():
    cost = price(purchase_of("openai", "gpt-4o", usage_of(0, 0)))

    assert (cost.usd, cost.source) == (0, CostSource.LIST)


def test_a_model_that_the_list_calls_free_costs_nothing():
    cost = price(purchase_of("openrouter", "deepseek/deepseek-chat:free", usage_of(10, 10)))

    assert cost.usd == 0


def test_the_model_that_was_asked_for_counts_if_the_one_of_the_answer_has_no_price():
    cost = price(purchase_of("openai", "a-snapshot-of-tomorrow", usage_of(1000, 500), model="gpt-4o"))

    assert (cost.usd, cost.entry) == (Decimal("0.0075"), "openai/gpt-4o")


def test_the_model_of_a_partner_of_hugging_face_has_the_price_of_that_partner():
    cost = price(purchase_of("huggingface", "meta-llama/Llama-3.3-70B-Instruct:together", usage_of(1000, 1000)))

    assert cost.entry == "huggingface_together/meta-llama/Llama-3.3-70B-Instruct"
    assert cost.usd > 0


OWN = parse_overrides(b'{"gpt-4o": {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}}', "prices.json")


def test_what_was_reported_comes_before_own_prices_and_those_before_the_list():
    purchase = purchase_of("openai", "gpt-4o", usage_of(1000, 500))

    own = price(purchase, overrides=OWN)
    reported = price(purchase, reported_usd=Decimal("0.5"), overrides=OWN)
    listed = price(purchase)

    assert (own.usd, own.source, own.entry) == (Decimal("0.002"), CostSource.OVERRIDE, "gpt-4o")
    assert own.version.startswith("sha256:")
    assert reported == Cost(usd=Decimal("0.5"), source=CostSource.REPORTED)
    assert (listed.usd, listed.source) == (Decimal("0.0075"), CostSource.LIST)


def test_an_own_entry_that_lacks_something_leaves_it_to_the_next_source():
    purchase = purchase_of("openai", "gpt-4o", usage_of(1000, 500), tier="batch")

    assert price(purchase, overrides=OWN).usd == Decimal("0.00375")


def test_what_an_own_entry_lacks_is_the_reason_if_nobody_else_knows():
    own = parse_overrides(b'{"my-model": {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}}', "prices.json")

    cost = price(purchase_of("vllm", "my-model", usage_of(10, 10, audio_input_tokens=5)), overrides=own)

    assert (cost.usd, cost.reason, cost.entry) == (None, "no_price_for:input_audio", "my-model")


def test_a_reported_cost_needs_no_usage():
    assert price(purchase_of("openrouter", None, None), reported_usd=Decimal("0.01")).usd == Decimal("0.01")


def test_the_table_of_prices_is_not_loaded_before_the_first_price():
    code = "import sys, llm_proxy.pricing.price; sys.exit('genai_prices' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
