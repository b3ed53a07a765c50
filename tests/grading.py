"""Tasks and graders for tests, through the forms of the pages."""

import json

import httpx

SCHEMA = {
    "type": "object",
    "properties": {
        "quality": {"type": "integer", "minimum": 1, "maximum": 5, "title": "How good is it?"},
        "correct": {"type": "boolean", "title": "Is it correct?"},
    },
    "required": ["quality", "correct"],
}


async def post(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """Send a form as a browser does."""
    return await client.post(path, data=fields, headers={"origin": str(client.base_url).rstrip("/")})


async def new_task(client: httpx.AsyncClient, **different: str) -> str:
    """The address of a new task."""
    filled = {"name": "Quality", "tags": "grade", "answers": "1", "instruction": "", "schema": json.dumps(SCHEMA)}
    made = await post(client, "/grading/new", **(filled | different), act="create")
    assert made.status_code == 303, made.text
    return made.headers["location"]
