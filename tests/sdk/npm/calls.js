// Calls through the npm package `openai`: node calls.js BASE_URL DIRECT_URL SESSION prints what it understood, as JSON.

import OpenAI, { toFile } from "openai";

const [baseURL, directURL, session] = process.argv.slice(2);
const client = new OpenAI({
  baseURL,
  apiKey: "sk-test",
  maxRetries: 0,
  defaultHeaders: { "X-LLM-Session-Id": session, "X-LLM-Tags": "npm,sdk" },
});
const messages = [{ role: "user", content: "Hi" }];
const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }];
const chat = (more) => client.chat.completions.create({ model: "m", messages, ...more });

async function events(stream) {
  const all = [];
  for await (const event of await stream) all.push(event);
  return all;
}

// The upstream says the rest only when it is told to: a proxy that waited for it would wait for ever.
async function inPieces() {
  const seen = [];
  for await (const event of await chat({ model: `stepwise:${session}`, stream: true })) {
    if (seen.length === 0) await fetch(`${directURL}/go-on/${session}`);
    seen.push(event.choices[0].delta.content);
  }
  return seen;
}

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return { class: error.constructor.name, status: error.status, code: error.code, message: error.message };
  }
  return "no failure";
}

const wav = await toFile(Buffer.concat([Buffer.from("RIFF"), Buffer.alloc(100_000)]), "hello.wav");
const understood = {
  chat: await chat(),
  chatStreamed: await events(chat({ stream: true })),
  tools: await chat({ model: "tools", tools }),
  toolsStreamed: await events(chat({ model: "tools", tools, stream: true })),
  embeddings: await client.embeddings.create({ model: "m", input: ["Hi", "Ho"] }),
  responses: await client.responses.create({ model: "m", input: "Hi" }),
  responsesStreamed: await events(client.responses.create({ model: "m", input: "Hi", stream: true })),
  models: (await client.models.list()).data,
  transcription: await client.audio.transcriptions.create({ model: "whisper-1", file: wav }),
  inPieces: await inPieces(),
  badRequest: await failure(() => chat({ model: "error:400" })),
  unauthorized: await failure(() => chat({ model: "error:401" })),
  notFound: await failure(() => chat({ model: "error:404" })),
  rateLimited: await failure(() => chat({ model: "error:429" })),
  serverError: await failure(() => chat({ model: "error:500" })),
  cutOff: await failure(() => events(chat({ model: "cut", stream: true }))),
};
process.stdout.write(JSON.stringify(understood));
