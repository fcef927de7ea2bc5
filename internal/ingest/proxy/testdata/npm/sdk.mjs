// Drives the provider SDKs with nothing but a base URL, and prints what a program gets, one JSON value a call.
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI, { toFile } from "openai";

const base = Object.fromEntries(["openai", "anthropic", "gemini"].map((name) => [name, process.argv[2].replace("NAME", name)]));
const KEY = "sk-MARKED-of-the-sdk";
const IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const TOOL = { type: "object", properties: { city: { type: "string" } } };

async function show(name, call) {
  let got;
  try {
    got = await call();
  } catch (e) {
    got = { error: e.constructor.name, status: e.status ?? null, text: String(e.message).slice(0, 500) };
  }
  console.log(JSON.stringify([name, got], (key, value) => (key === "sdkHttpResponse" || key === "_request_id" ? undefined : value)));
}

async function all(stream) {
  const list = [];
  for await (const event of await stream) list.push(event);
  return list;
}

// Reads the first event, and leaves: what comes next finds the call ended.
async function leave(stream, abort) {
  let first;
  for await (const event of await stream) {
    first = event;
    break;
  }
  abort?.abort();
  await new Promise((done) => setTimeout(done, 500));
  return first;
}

const o = new OpenAI({ baseURL: base.openai + "/v1", apiKey: KEY });
const user = [{ role: "user", content: "héllo \u2028 \u{1F600}" }];
const chat = (model, more) => o.chat.completions.create({ model, messages: user, ...more });
await show("openai plain", () => chat("plain"));
await show("openai stream", () => all(chat("stream", { stream: true, stream_options: { include_usage: true } })));
await show("openai tools", () => chat("tools", { tools: [{ type: "function", function: { name: "w", parameters: TOOL } }] }));
await show("openai image", () =>
  chat("plain", { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64," + IMAGE } }] }] }),
);
await show("openai error", () => chat("error"));
await show("openai retry", () => chat("retry"));
await show("openai cut", () => all(chat("cut", { stream: true })));
await show("openai left", () => leave(chat("left", { stream: true })));
await show("openai responses", () => o.responses.create({ model: "plain", input: "x" }));
await show("openai responses stream", () => all(o.responses.create({ model: "stream", input: "x", stream: true })));
await show("openai embeddings", () => o.embeddings.create({ model: "plain", input: ["a"] }));
await show("openai file", async () => o.files.create({ file: await toFile(Buffer.alloc(1280000, 7), "a.bin"), purpose: "user_data" }));
await show("openai models", async () => (await o.models.list()).data);

const a = new Anthropic({ baseURL: base.anthropic, apiKey: KEY });
const message = (model, more) => a.messages.create({ model, max_tokens: 9, messages: user, ...more });
await show("anthropic plain", () => message("plain"));
await show("anthropic stream", () => all(message("stream", { stream: true })));
await show("anthropic tools", () => message("tools", { tools: [{ name: "w", input_schema: TOOL }] }));
await show("anthropic image", () =>
  message("plain", { messages: [{ role: "user", content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: IMAGE } }] }] }),
);
await show("anthropic stream helper", () => a.messages.stream({ model: "stream", max_tokens: 9, messages: user }).finalMessage());
await show("anthropic error", () => message("error"));
await show("anthropic retry", () => message("retry"));
await show("anthropic cut", () => all(message("cut", { stream: true })));
await show("anthropic left", () => leave(message("left", { stream: true })));

const g = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: base.gemini } }).models;
await show("gemini plain", () => g.generateContent({ model: "plain", contents: "héllo" }));
await show("gemini stream", () => all(g.generateContentStream({ model: "stream", contents: "x" })));
await show("gemini image", () =>
  g.generateContent({ model: "plain", contents: [{ inlineData: { data: "AP8=", mimeType: "image/png" } }, { text: "x" }] }),
);
await show("gemini tools", () =>
  g.generateContent({ model: "tools", contents: "x", config: { tools: [{ functionDeclarations: [{ name: "w", parametersJsonSchema: TOOL }] }] } }),
);
await show("gemini retry", () => g.generateContent({ model: "retry", contents: "x", config: { httpOptions: { retryOptions: { attempts: 3 } } } }));
await show("gemini error", () => g.generateContent({ model: "error", contents: "x" }));
await show("gemini cut", () => all(g.generateContentStream({ model: "cut", contents: "x" })));
const abort = new AbortController();
await show("gemini left", () => leave(g.generateContentStream({ model: "left", contents: "x", config: { abortSignal: abort.signal } }), abort));
