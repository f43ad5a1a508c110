// What the checks in clients.mjs stand on: counting, the programs under test, the official client on a leash.

import { spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { createInterface } from "node:readline";
import { isDeepStrictEqual, inspect } from "node:util";
import twilio from "twilio";

export const sid = (prefix, number) => prefix + String(number).padStart(32, "0");
export const [FULL, TRIAL, SUSPENDED, SUB, CLOSED] = [1, 2, 3, 4, 5].map((n) => sid("AC", n));
export const [MAIN, STANDARD, RESTRICTED] = [1, 2, 3].map((n) => sid("SK", n));
export const TOKEN = sid("", 1);
export const HELD = Array.from({ length: 54 }, (_, n) => `+1581555${String(100 + n).padStart(4, "0")}`);
export const PATIENT = "+15145550000";
export const HOOK = "https://clinic.example/sms";
export const tally = { calls: 0, checks: 0, failures: 0 };

export function check(what, got, expected = true) {
  tally.checks += 1;
  if (isDeepStrictEqual(got, expected)) return;
  tally.failures += 1;
  const shown = (value) => inspect(value, { depth: 6, breakLength: Infinity });
  console.log(`FAILED ${what}\n  expected: ${shown(expected)}\n  got:      ${shown(got)}`);
}

export function fields(what, resource, expected) {
  for (const [name, value] of Object.entries(expected)) check(`${what}: ${name}`, resource[name], value);
}

/** What is answered, or what goes wrong: for what must not stop the checks after it. */
export const attempt = async (ask) => {
  try {
    return await ask();
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
};

export async function refused(what, status, code, call) {
  let got;
  try {
    got = { noError: await call() };
  } catch (error) {
    got = error.code === undefined ? error : [error.status, error.code, error.moreInfo];
  }
  check(`${what} is refused`, got, [status, code, `https://www.twilio.com/docs/errors/${code}`]);
}

/** The official HTTP client, counted and kept on one address: page URLs come from the server. */
class CountingHttp extends twilio.RequestClient {
  constructor(base, options) {
    super(options);
    this.base = base;
  }

  request(options) {
    if (!options.uri.startsWith(`${this.base}/`)) {
      throw new Error(`the client was sent to ${options.uri}, which is not the simulator`);
    }
    tally.calls += 1;
    return super.request(options);
  }
}

/** One request as it is, to where no client library may normalise anything. */
export async function call(method, url, body = "", headers = {}) {
  const { hostname, port } = new URL(url);
  const path = url.slice(url.indexOf("/", "http://".length));
  // Headers are bytes; Node writes them as Latin-1.
  const bytes = Object.fromEntries(Object.entries(headers).map(([n, v]) => [n, Buffer.from(v).toString("latin1")]));
  const sized = { ...bytes, "Content-Length": Buffer.byteLength(body) };
  const request = http.request({ hostname, port, method, path, agent: false, headers: sized });
  // As bytes: a text would be joined to the headers and take them along into UTF-8.
  request.end(Buffer.from(body));
  const [answer] = await once(request, "response");
  let text = "";
  for await (const chunk of answer.setEncoding("utf8")) text += chunk;
  return { status: answer.statusCode, text };
}

/** `simulate` or `inbox` in a process of its own. */
export class Program {
  static async start(...command) {
    const program = new Program();
    program.process = spawn(command[0], command.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface({ input: program.process.stdout });
    const [line] = await Promise.race([once(lines, "line"), once(program.process, "exit")]);
    const address = /http:\/\/127\.0\.0\.1:\d+/.exec(line);
    if (!address) throw new Error(`${command[1]} did not name its address: ${line}`);
    program.base = address[0];
    return program;
  }

  async control(method, path, body) {
    const sent = body === undefined ? "" : JSON.stringify(body);
    const { status, text } = await call(method, `${this.base}/_simulator/${path}`, sent);
    const told = JSON.parse(text);
    return Array.isArray(told) ? { status, rows: told } : { status, told };
  }

  fault(operation, fault, more = {}) {
    return this.control("PUT", "faults", [{ operation, fault, ...more }]);
  }

  client(user = FULL, password = TOKEN, accountSid = user, options = {}) {
    const httpClient = new CountingHttp(this.base, options);
    const client = twilio(user, password, { accountSid, httpClient });
    for (const product of ["api", "messaging", "numbers", "pricing", "monitor"]) client[product].baseUrl = this.base;
    return client;
  }

  async stop() {
    const gone = once(this.process, "exit");
    if (this.process.exitCode === null && this.process.kill()) await gone;
  }
}

/** Receives what the simulator delivers. A webhook whose URL says `broken` fails. */
export async function hooks() {
  const received = [];
  const server = http.createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    const forwarded = request.headers["x-forwarded-url"];
    const called = `http://${request.headers.host}${request.url}`;
    const url = forwarded ? Buffer.from(forwarded, "latin1").toString() : called;
    received.push({ method: request.method, url, text, signature: request.headers["x-twilio-signature"] });
    response.writeHead(url.includes("broken") ? 500 : 200).end();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return { received, server, base: `http://127.0.0.1:${server.address().port}` };
}

/** Parameters as web frameworks hand them over: a list where a name comes more than once. */
export function form(pairs) {
  const params = {};
  for (const [name, value] of pairs) params[name] = name in params ? [params[name], value].flat() : value;
  return params;
}

/** A number in 418 that is able to text, or unable. */
export async function offer(client, able = true) {
  const found = await client.availablePhoneNumbers("CA").local.list({ areaCode: 418, pageSize: 200, limit: 200 });
  return found.find((o) => o.capabilities.SMS === able).phoneNumber;
}
