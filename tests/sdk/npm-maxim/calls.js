// What a program does with the npm package `@maximai/maxim-js`: node calls.js URL REPOSITORY PREFIX FILE

import { createRequire } from "node:module";

// The package is CommonJS, and finds some of what it needs only so.
const require = createRequire(import.meta.url);
const { Maxim } = require("@maximai/maxim-js");

const [baseUrl, repository, prefix, path] = process.argv.slice(2);
const named = (what) => `${prefix}-${what}`;
const result = {
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1764000000,
  model: "gpt-4o-2024-08-06",
  choices: [
    { index: 0, message: { role: "assistant", content: "Paris, bien sûr." }, finish_reason: "stop", logprobs: null },
  ],
  usage: { prompt_tokens: 5, completion_tokens: 4, total_tokens: 9 },
};

const maxim = new Maxim({ apiKey: "any", baseUrl });
const logger = await maxim.logger({ id: repository });

const session = logger.session({ id: named("session"), name: "chat" });
session.feedback({ score: 2, comment: "so so" });
const trace = session.trace({ id: named("trace"), name: "turn", tags: { a: "1" } });
trace.input("Quelle est la capitale de la France ?\u2028(une ligne)");
trace.output("Paris.");
trace.addTag("b", "2");
trace.addMetric("words", 6);
trace.addMetadata({ deep: [1, null] });
trace.feedback({ score: 1, comment: "good" });
trace.event(named("event"), "asked", { k: "v" }, { m: 1 });
trace.evaluate.withEvaluators("bias").withVariables({ input: "x" });
trace.error({ message: "slow", code: "504", type: "timeout" });

const generation = trace.generation({
  id: named("generation"),
  name: "answer",
  provider: "openai",
  model: "gpt-4o",
  messages: [{ role: "system", content: "Be brief." }],
  modelParameters: { temperature: 0.5 },
});
generation.addMessages([{ role: "user", content: "And the capital?" }]);
generation.result(result);

const span = trace.span({ id: named("span"), name: "look up" });
const retrieval = span.retrieval({ id: named("retrieval"), name: "atlas" });
retrieval.input("France");
retrieval.output("Paris is its capital.");
const tool = span.toolCall({ id: named("tool"), name: "map", description: "shows it", args: '{"of": "France"}' });
tool.result("shown");
span.end();

trace.addAttachment({ id: named("file"), type: "file", path, mimeType: "text/plain" });
trace.addAttachment({ id: named("data"), type: "fileData", data: Buffer.from("<svg/>"), mimeType: "image/svg+xml" });
// More than 900 KiB: it does not go with the others, but as a file of its own.
trace.addMetadata({ large: "é".repeat(500_000) });
trace.end();
session.end();

await logger.cleanup();
await maxim.cleanup();
