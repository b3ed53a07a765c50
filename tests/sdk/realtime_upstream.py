"""Upstreams of live sessions: what OpenAI's and Google's say, event by event.

The events are those of https://platform.openai.com/docs/guides/realtime-conversations and the types of
https://github.com/openai/openai-python/tree/main/src/openai/types/realtime; Google's those of https://ai.google.dev/api/live.
"""

import base64
import itertools
import json
from typing import Any

from websockets.asyncio.server import ServerConnection

MODEL = "gpt-realtime-2025-08-28"
AUDIO = base64.b64encode(bytes(range(256)) * 8).decode()
USAGE = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
_SPOKEN = ("It is ", "sunny.")
_CALL = {"id": "item_call", "object": "realtime.item", "type": "function_call", "call_id": "call_1", "name": "weather"}
_SAID = {"id": "item_said", "object": "realtime.item", "type": "message", "role": "assistant"}


class OpenAiSession:
    """One connection: each event is answered as OpenAI answers it."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count()

    @classmethod
    async def talk(cls, connection: ServerConnection) -> None:
        """Answer until the client leaves."""
        session = cls(connection)
        config = {"type": "realtime", "object": "realtime.session", "id": "sess_1", "model": MODEL}
        await session._say("session.created", session=config)
        async for message in connection:
            event = json.loads(message)
            match event["type"]:
                case "session.update":
                    await session._say("session.updated", session=config | event["session"])
                case "conversation.item.create":
                    await session._add(event["item"] | {"id": "item_asked", "object": "realtime.item"})
                case "input_audio_buffer.append":
                    pass
                case "response.create" if "tools" in event.get("response", {}):
                    await session._call_tool()
                case "response.create":
                    await session._speak()
                case _:
                    await session._complain(event)

    async def _say(self, kind: str, **members: Any) -> None:
        event = {"type": kind, "event_id": f"event_{next(self._numbers)}", **members}
        await self._connection.send(json.dumps(event))

    async def _add(self, item: dict[str, Any]) -> None:
        await self._say("conversation.item.added", item=item | {"status": "in_progress"}, previous_item_id=None)
        await self._say("conversation.item.done", item=item | {"status": "completed"}, previous_item_id=None)

    async def _speak(self) -> None:
        where = {"response_id": "resp_2", "item_id": _SAID["id"], "output_index": 0, "content_index": 0}
        await self._say("response.created", response={"id": "resp_2", "status": "in_progress", "output": []})
        await self._say("conversation.item.added", item=_SAID | {"status": "in_progress", "content": []})
        for piece in _SPOKEN:
            await self._say("response.output_audio_transcript.delta", delta=piece, **where)
            await self._say("response.output_audio.delta", delta=AUDIO, **where)
        whole = [{"type": "output_audio", "transcript": "".join(_SPOKEN)}]
        await self._end("resp_2", [_SAID | {"status": "completed", "content": whole}])

    async def _call_tool(self) -> None:
        where = {"response_id": "resp_1", "item_id": _CALL["id"], "output_index": 0, "call_id": _CALL["call_id"]}
        await self._say("response.created", response={"id": "resp_1", "status": "in_progress", "output": []})
        for piece in ('{"city":', '"Rome"}'):
            await self._say("response.function_call_arguments.delta", delta=piece, **where)
        await self._end("resp_1", [_CALL | {"status": "completed", "arguments": '{"city":"Rome"}'}])

    async def _end(self, response_id: str, output: list[Any]) -> None:
        response = {"id": response_id, "object": "realtime.response", "status": "completed"}
        await self._say("response.done", response=response | {"output": output, "usage": USAGE})

    async def _complain(self, event: dict[str, Any]) -> None:
        error = {
            "type": "invalid_request_error",
            "code": "invalid_value",
            "message": f"Invalid value: '{event['type']}'.",
            "param": "type",
            "event_id": event.get("event_id"),
        }
        await self._say("error", error=error)


async def google_talk(connection: ServerConnection) -> None:
    """Answer as Google does: JSON in binary messages. What is asked is in the spelling of its SDK for Python."""

    async def say(message: dict[str, Any]) -> None:
        await connection.send(json.dumps(message).encode())

    async for raw in connection:
        asked = json.loads(raw)
        if "setup" in asked:
            await say({"setupComplete": {}})
        elif "client_content" in asked:
            await say({"toolCall": {"functionCalls": [{"id": "f1", "name": "weather", "args": {"city": "Rome"}}]}})
        elif "tool_response" in asked:
            sound = {"mimeType": "audio/pcm;rate=24000", "data": AUDIO}
            await say({"serverContent": {"modelTurn": {"role": "model", "parts": [{"inlineData": sound}]}}})
            for piece in _SPOKEN:
                await say({"serverContent": {"outputTranscription": {"text": piece}}})
            usage = {
                "promptTokenCount": 10,
                "responseTokenCount": 25,
                "totalTokenCount": 35,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}],
                "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 25}],
            }
            await say({"serverContent": {"generationComplete": True}})
            await say({"serverContent": {"turnComplete": True}, "usageMetadata": usage})
