"""Calls the proxy through the clients of the real log10-io, which log to the store, and prints what it made of it."""

import asyncio
import contextlib
import json
import os
import sys

import mistralai.client
import openai
from log10._httpx_utils import finalize
from log10.completions.completions import Completions
from log10.feedback.feedback import Feedback
from log10.feedback.feedback_task import FeedbackTask
from log10.load import Anthropic, AsyncAnthropic, OpenAI, log10, log10_session, log10_tags
from mistralai.models.chat_completion import ChatMessage

MESSAGES = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "object", "properties": {"stars": {"type": "integer"}}, "required": ["stars"]}
ANTHROPIC_URL = sys.argv[1]


def told(**facts):
    sys.stdout.write(json.dumps(facts) + "\n")


def synchronous():
    client = OpenAI(tags=["client"])
    with log10_session(tags=["io"]) as session, log10_tags(["sync"]):
        said = client.chat.completions.create(model="m", messages=MESSAGES).choices[0].message.content
        completion_id = session.last_completion_id()
    told(sync=said, id=completion_id)
    with log10_tags(["stream"]):
        stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        told(stream="".join(piece.choices[0].delta.content or "" for piece in stream))
    with log10_tags(["tools"]):
        calls = client.chat.completions.create(model="tools", messages=MESSAGES).choices[0].message.tool_calls
        told(tools=len(calls))
    with log10_tags(["error"]), contextlib.suppress(openai.BadRequestError):
        client.chat.completions.create(model="error:400", messages=MESSAGES)
    with log10_tags(["text"]):
        told(text=client.completions.create(model="m", prompt="Say hi").choices[0].text)


async def asynchronous():
    # It knows the end of a stream by the name of the host.
    client = openai.AsyncOpenAI(default_headers={"Host": "openai.test"})
    with log10_tags(["async"]):
        told(
            **{"async": (await client.chat.completions.create(model="m", messages=MESSAGES)).choices[0].message.content}
        )
    with log10_tags(["async-stream"]):
        stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        told(async_stream="".join([piece.choices[0].delta.content or "" async for piece in stream if piece.choices]))
    with log10_tags(["async-anthropic"]):
        claude = AsyncAnthropic(api_key="k", base_url=ANTHROPIC_URL)
        message = await claude.messages.create(model="claude", max_tokens=9, system="Be", messages=MESSAGES)
        told(async_anthropic=message.content[0].text)
    await finalize()


def anthropic():
    with log10_tags(["anthropic"]):
        client = Anthropic(api_key="k", base_url=ANTHROPIC_URL)
        message = client.messages.create(model="claude", max_tokens=9, system="Be", messages=MESSAGES)
        told(anthropic=message.content[0].text)


def mistral():
    log10(mistralai)
    client = mistralai.client.MistralClient(api_key="k", endpoint=os.environ["OPENAI_BASE_URL"].removesuffix("/v1"))
    asked = [ChatMessage(**message) for message in MESSAGES]
    with log10_tags(["mistral"]):
        told(mistral=client.chat(model="m", messages=asked).choices[0].message.content)


def fed_back():
    Completions().mock_chat_completions(model="gpt-4o", messages=MESSAGES, response_content="Mocked.", tags=["mocked"])
    task = FeedbackTask().create(name="stars", task_schema=SCHEMA, completion_tags_selector=["mocked"], instruction="?")
    task_id = task.json()["id"]
    feedback = Feedback().create(task_id=task_id, values={"stars": 5}, completion_tags_selector=["mocked"])
    told(
        task=task_id,
        tasks=[one["id"] for one in FeedbackTask().list().json()["data"]],
        feedback=feedback.json()["id"],
        matched=len(feedback.json()["matched_completion_ids"]),
        listed=Feedback().list(task_id=task_id).json()["total"],
        got=Feedback().get(feedback.json()["id"]).json()["json_values"],
    )


synchronous()
anthropic()
mistral()
asyncio.run(asynchronous())
fed_back()
