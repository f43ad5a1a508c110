// Signatures: what the simulator and the inbox say, and what the official validator says.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import twilio from "twilio";
import { HELD, HOOK, PATIENT, Program, SUB, TOKEN, call, check, form, sid } from "./harness.mjs";

const FORM = "application/x-www-form-urlencoded";
const PARAMS = [["From", PATIENT], ["To", "+14185551234"], ["Body", "Hello"]];
const sign = (url, params, token = TOKEN) => twilio.getExpectedTwilioSignature(token, url, params);
const encode = (pairs) => new URLSearchParams(pairs).toString();

/** The official validator takes this signature, and none that was made for something else. */
function validated(what, token, url, params, signature) {
  const valid = (secret, signedUrl, pairs, shown) => {
    try {
      return twilio.validateRequest(secret, shown, signedUrl, pairs);
    } catch {
      return false; // no URL that it can read
    }
  };
  const changed = (value) => [value].flat().map((one, index) => (index === 0 ? `${one}x` : one));
  check(`${what}: accepted`, valid(token, url, params, signature));
  const [name] = Object.keys(params).filter((one) => one !== "");
  const { [name]: _, ...rest } = params;
  const others = {
    token: [sid("", 99), url, params, signature],
    URL: [token, `${url}0`, params, signature],
    host: [token, url.replace(/\/\/[^/?]+/, "//other.example"), params, signature],
    signature: [token, url, params, ""],
    "another parameter": [token, url, { ...params, Extra: "1" }, signature],
    ...(name !== undefined && {
      "parameter changed": [token, url, { ...params, [name]: changed(params[name]) }, signature],
      "parameter missing": [token, url, rest, signature],
    }),
  };
  for (const [change, other] of Object.entries(others)) {
    check(`${what}: refused with ${change}`, valid(...other), false);
  }
}

export async function deliveries({ sim, hooks, operator }) {
  const client = sim.client();
  const [phoneNumber] = HELD;
  const [{ sid: held }] = await client.incomingPhoneNumbers.list({ phoneNumber });
  const number = client.incomingPhoneNumbers(held);
  const urls = [HOOK, `${HOOK}?clinic=1&name=a%20b+c`, "https://clinic.example:8443/sms", "http://clinic.example",
    "https://user:secret@clinic.example/sms?x", "https://clinic.example/a%2Fb/it's?m=d@e:1", `${HOOK}/broken`];
  const bodies = ["Hello", "", "  a b+c & d=e %20 ", "Ça va ? 漢字 😀", "line\r\nline\n\ttab", "x".repeat(1600)];

  async function deliver(what, signed, method, { body = "Hello", token = TOKEN, to = phoneNumber, more = [] } = {}) {
    hooks.received.length = 0;
    await sim.control("POST", "messages", { from: PATIENT, to, body });
    check(`${what}: deliveries`, hooks.received.length, 1 + more.length);
    [signed, ...more].slice(0, hooks.received.length).forEach((url, index) => {
      const got = hooks.received[index];
      const told = form(new URLSearchParams(got.text));
      check(`${what}: method`, got.method, method);
      const sent = method === "POST" ? told : form(new URLSearchParams(got.url.slice(url.length + 1)));
      check(`${what}: URL`, method === "POST" ? got.url : got.url.slice(0, url.length), url);
      const error = more.includes(url) ? "11200" : undefined;
      check(`${what}: body`, [sent.To, sent.Body, sent.ErrorCode], [to, body, error]);
      validated(what, token, got.url, told, got.signature);
    });
  }

  for (const method of ["POST", "GET"]) {
    for (const url of urls) {
      const fallback = `${HOOK}/fallback`;
      await number.update({ smsUrl: url, smsMethod: method, smsFallbackUrl: fallback, smsFallbackMethod: method });
      await deliver(`${method} ${url}`, url, method, { more: url.includes("broken") ? [fallback] : [] });
    }
    await number.update({ smsUrl: HOOK, smsMethod: method });
    for (const body of bodies) await deliver(`${method} ${JSON.stringify(body)}`.slice(0, 30), HOOK, method, { body });
  }
  await number.update({ smsUrl: `${HOOK}#rc=3`, smsMethod: "POST" });
  await deliver("without its fragment", HOOK, "POST");
  const asked = { friendlyName: "Signed", inboundRequestUrl: `${HOOK}/service` };
  const service = await client.messaging.v1.services.create(asked);
  await client.messaging.v1.services(service.sid).phoneNumbers.create({ phoneNumberSid: held });
  await deliver("to a service", `${HOOK}/service`, "POST");
  const theirs = await client.api.v2010.accounts(SUB).incomingPhoneNumbers.create({ areaCode: "581", smsUrl: HOOK });
  await deliver("to a subaccount", HOOK, "POST", { token: sid("", 4), to: theirs.phoneNumber });
  await sim.control("PATCH", `accounts/${SUB}`, { authToken: sid("", 44) });
  await deliver("with a new token", HOOK, "POST", { token: sid("", 44), to: theirs.phoneNumber });
  await directly(hooks, operator);
}

/** Without --deliver-to, the URL is the one that was really called. */
async function directly(hooks, operator) {
  const direct = await Program.start(operator, "simulate", "--listen", "127.0.0.1:0", "--latency", "0ms");
  try {
    for (const smsMethod of ["POST", "GET"]) {
      const asked = { areaCode: "418", smsUrl: `${hooks.base}/a?b=c`, smsMethod };
      const called = await direct.client().incomingPhoneNumbers.create(asked);
      hooks.received.length = 0;
      await direct.control("POST", "messages", { from: PATIENT, to: called.phoneNumber, body: "é +" });
      const [{ url, text, signature }] = hooks.received;
      validated(`${smsMethod} without --deliver-to`, TOKEN, url, form(new URLSearchParams(text)), signature);
    }
  } finally {
    await direct.stop();
  }
}

export async function vectors({ vectors: file }) {
  const all = file ? JSON.parse(readFileSync(file, "utf8")) : [];
  for (const { what, token, url, params, signature } of all) validated(what, token, url, params, signature);
}

const PORTS = ["", ":443", ":8443", ":80"];
const same = (what, url, params = PARAMS) => [what, url, url, params];
// What, the URL that the inbox sees, the URL that was signed, parameters.
const TABLE = [
  same("spaces", HOOK, [["Body", "  a b  "]]), same("plus signs", HOOK, [["From", "+1 + 2"]]),
  same("Unicode", HOOK, [["Body", "é 漢 😀"], ["é", "name"]]), same("empty values", HOOK, [["A", ""], ["B", ""]]),
  same("an empty name", HOOK, [["", "x"], ["A", "1"]]), same("no parameters", HOOK, []),
  same("repeated keys", HOOK, [["D", "5678"], ["D", "1234"], ["D", "1234"]]),
  same("names that begin alike", HOOK, [["ReasonX", "1"], ["Reason", "2"]]),
  same("both cases", HOOK, [["a", "1"], ["B", "2"], ["A", "3"]]),
  same("separators", HOOK, [["A=B&C", "a=b&c;d%20"]]), same("control characters", HOOK, [["A", "x\r\n\0"]]),
  same("a query", `${HOOK}?a=1&b=%20+'|`), ["another query", `${HOOK}?a=1`, `${HOOK}?a=2`, PARAMS],
  same("an empty query", `${HOOK}?`), ["query lost", HOOK, `${HOOK}?a=1`, PARAMS],
  ["a slash more", `${HOOK}/`, HOOK, PARAMS],
  same("no path", "https://clinic.example"), same("dots in the path", "https://clinic.example/a/../b//c;d=1"),
  same("user info", "https://u:p@clinic.example/sms"),
  ["user info, port signed", "https://u:p@clinic.example/sms", "https://u:p@clinic.example:443/sms", PARAMS],
  ["user info, port seen", "https://u:p@clinic.example:8443/sms", "https://u:p@clinic.example/sms", PARAMS],
  same("capitals in the host", "https://Clinic.Example/sms"),
  same("capitals in the scheme", "HTTPS://clinic.example/sms"),
  same("IPv6", "https://[::1]:8443/sms"), ["IPv6, port signed", "https://[::1]/sms", "https://[::1]:443/sms", PARAMS],
  ["IPv6, port seen", "https://[::1]:8443/sms", "https://[::1]/sms", PARAMS],
  same("not ASCII", "https://clinic.example/é"),
  ...PORTS.flatMap((seen) => PORTS.map((signed) => [`port ${seen}, signed ${signed}`,
    `https://clinic.example${seen}/sms`, `https://clinic.example${signed}/sms`, PARAMS])),
  ["port 80", "http://clinic.example/sms", "http://clinic.example:80/sms", PARAMS],
  // Where the inbox is meant to differ: nobody signs a fragment, so it is no part of the URL.
  ["a fragment", `${HOOK}#rc=3`, HOOK, PARAMS], same("a signed fragment", `${HOOK}#rc=3`),
  // This library also tries the URL as browsers normalise it, which the one for Python does not.
  ["an apostrophe signed as %27", `${HOOK}?a=it's`, `${HOOK}?a=it%27s`, PARAMS],
  ["a slash signed", "https://clinic.example", "https://clinic.example/", PARAMS],
  // It sorts by UTF-16 units; the one for Python sorts by characters, as the inbox does.
  same("an emoji beside U+FFEE", HOOK, [["D", "😀"], ["D", "\uffee"]]),
];
const ON_PURPOSE = new Map([["a fragment", true], ["a signed fragment", false], ["an apostrophe signed as %27", false],
  ["a slash signed", false], ["an emoji beside U+FFEE", false]]);

export async function inbox({ operator }) {
  const box = await Program.start(operator, "inbox", "--listen", "127.0.0.1:0", "--auth-token", TOKEN);
  try {
    const verdict = async (url, body, signature, how = {}) => {
      const { kind = FORM, method = "POST", query = "", name = "X-Forwarded-Url" } = how;
      const headers = { [name]: url, "X-Twilio-Signature": signature, "Content-Type": kind };
      const { status } = await call(method, `${box.base}/sms${query}`, body, headers);
      const last = JSON.parse((await call("GET", `${box.base}/messages`)).text).at(-1);
      check(`status and signatureValid agree: ${url}`, status, last.signatureValid ? 200 : 403);
      return last;
    };
    await refusals(verdict);
    await addresses(box, verdict);
    await table(verdict);
    await bodies(verdict);
    await queries(verdict);
  } finally {
    await box.stop();
  }
}

async function refusals(verdict) {
  const good = sign(HOOK, form(PARAMS));
  const { from, to, body, url, signatureValid } = await verdict(HOOK, encode(PARAMS), good);
  check("accepted", { from, to, body, url, signatureValid },
    { from: PATIENT, to: "+14185551234", body: "Hello", url: HOOK, signatureValid: true });
  for (const [what, seen, params, signature] of [
    ["changed", HOOK, [...PARAMS.slice(0, 2), ["Body", "Hullo"]], good],
    ["missing", HOOK, PARAMS.slice(0, 2), good], ["extra", HOOK, [...PARAMS, ["A", "1"]], good],
    ["no signature", HOOK, PARAMS, ""], ["URL", `${HOOK}2`, PARAMS, good],
    ["token", HOOK, PARAMS, sign(HOOK, form(PARAMS), sid("", 9))],
    ["half a signature", HOOK, PARAMS, good.slice(0, -1)],
    ["case", HOOK, PARAMS, good.toLowerCase()],
  ]) {
    check(`${what}: the validator`, twilio.validateRequest(TOKEN, signature, seen, form(params)), false);
    check(`${what}: the inbox`, (await verdict(seen, encode(params), signature)).signatureValid, false);
  }
}

/** Where nobody says what the URL was, the inbox puts it together. */
async function addresses(box, verdict) {
  for (const scheme of ["http", "https"]) {
    const seen = `${scheme}${box.base.slice("http".length)}/sms?a=b%20c`;
    const how = { query: "?a=b%20c", name: "X-Forwarded-Proto" };
    const { url, signatureValid } = await verdict(scheme, encode(PARAMS), sign(seen, form(PARAMS)), how);
    check(`${scheme}, without X-Forwarded-Url`, [url, signatureValid], [seen, true]);
  }
}

async function table(verdict) {
  for (const [what, seen, signed, params] of TABLE) {
    const signature = sign(signed, form(params));
    const official = twilio.validateRequest(TOKEN, signature, seen, form(params));
    const expected = ON_PURPOSE.has(what) ? ON_PURPOSE.get(what) : official;
    if (ON_PURPOSE.has(what)) check(`${what}: differs on purpose`, official, !expected);
    check(`${what}: as the validator`, (await verdict(seen, encode(params), signature)).signatureValid, expected);
  }
  for (const body of ["A&B=2", "A=1&&B=2", "A=1;B=2", "A=%zz&B=%", "&A==1&", "A=%ff", "A+B=+1"]) {
    const signature = sign(HOOK, form(new URLSearchParams(body)));
    check(`raw form ${body}`, (await verdict(HOOK, body, signature)).signatureValid);
  }
}

async function bodies(verdict) {
  const digest = (text) => createHash("sha256").update(text).digest("hex");
  const json = '{"a": "é"}';
  for (const [what, query, body] of [
    ["its body", `?bodySHA256=${digest(json)}`, json],
    ["with a query", `?a=1&bodySHA256=${digest("{}")}`, "{}"],
    ["another body", `?bodySHA256=${digest("{}")}`, json], ["no digest", "", "{}"],
    ["a body that was taken away", `?bodySHA256=${digest("{}")}`, ""],
    ["an empty body", `?bodySHA256=${digest("")}`, ""],
    ["capitals", `?bodySHA256=${digest("{}").toUpperCase()}`, "{}"],
    ["two digests", `?bodySHA256=${digest("")}&bodySHA256=${digest("{}")}`, "{}"],
  ]) {
    const signature = sign(HOOK + query, {});
    const official = twilio.validateRequestWithBody(TOKEN, signature, HOOK + query, body);
    const { signatureValid } = await verdict(HOOK + query, body, signature, { kind: "application/json" });
    check(`JSON, ${what}`, signatureValid, official);
  }
  // The validators decode the query first. Nobody writes a digest like that, and the inbox does not read it.
  const odd = `${HOOK}?bodySHA256=%${digest("{}").charCodeAt(0).toString(16)}${digest("{}").slice(1)}`;
  check("JSON, an encoded digest: the validator", twilio.validateRequestWithBody(TOKEN, sign(odd, {}), odd, "{}"));
  const { signatureValid } = await verdict(odd, "{}", sign(odd, {}), { kind: "application/json" });
  check("JSON, an encoded digest", signatureValid, false);
}

/** What is shown as valid must be what was signed, wherever the request itself went. */
async function queries(verdict) {
  const url = `${HOOK}?${encode(PARAMS)}`;
  const told = async (query) => {
    const { signatureValid, body } = await verdict(url, "", sign(url, {}), { method: "GET", query });
    return { signatureValid, body };
  };
  check("GET", await told(`?${encode(PARAMS)}`), { signatureValid: true, body: "Hello" });
  const { signatureValid, body } = await told("?Body=forged");
  check("GET with another query: a forged body passes as signed", signatureValid && body === "forged", false);
}
