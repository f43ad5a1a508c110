// Everything that is refused or goes wrong, and what the official client makes of it.

import {
  CLOSED, FULL, HELD, HOOK, MAIN, PATIENT, RESTRICTED, STANDARD, SUB, SUSPENDED, TOKEN, TRIAL, check, fields, offer,
  refused, sid,
} from "./harness.mjs";

export async function credentials({ sim }) {
  const client = sim.client();
  const wrong = { token: [FULL, sid("", 9)], account: [sid("AC", 9), TOKEN], key: [MAIN, "wrong"] };
  for (const [what, [user, password]] of Object.entries(wrong)) {
    const bad = sim.client(user, password, FULL);
    await refused(`a wrong ${what}`, 401, 20003, () => bad.balance.fetch());
    await refused(`a list with a wrong ${what}`, 401, 20003, () => bad.incomingPhoneNumbers.list());
    await refused(`prices with a wrong ${what}`, 401, 20003, () => bad.pricing.v1.phoneNumbers.countries("CA").fetch());
  }
  await refused("another account", 401, 20003, () => client.api.v2010.accounts(TRIAL).incomingPhoneNumbers.list());
  await refused("a key on a subaccount", 401, 20003, () => sim.client(MAIN, "example", SUB).balance.fetch());
  const standard = sim.client(STANDARD, "example", FULL);
  await refused("a standard key", 401, 20003, () => standard.api.v2010.accounts(FULL).fetch());
  await refused("no permission", 403, 70051, () => sim.client(RESTRICTED, "example", FULL).balance.fetch());
  fields("with a main key", await sim.client(MAIN, "example", FULL).balance.fetch(), { accountSid: FULL });
  for (const account of [SUSPENDED, CLOSED]) {
    const stopped = sim.client(account);
    await refused("an account that is stopped", 403, 20403, () => stopped.api.v2010.accounts(account).fetch());
    await refused("a purchase of one", 403, 20403, () => stopped.incomingPhoneNumbers.create({ areaCode: "418" }));
  }
}

export async function purchases({ sim }) {
  const client = sim.client();
  const trial = sim.client(TRIAL);
  const numbers = client.incomingPhoneNumbers;
  const { phoneNumber: taken } = await trial.incomingPhoneNumbers.create({ phoneNumber: await offer(trial) });
  const phoneNumber = await offer(client);
  await refused("a second number on trial", 400, 21404, () => trial.incomingPhoneNumbers.create({ phoneNumber }));
  await refused("a message on trial", 400, 21608, () => trial.messages.create({ to: PATIENT, from: taken, body: "x" }));
  const first = async (country, type) => {
    const [found] = await client.availablePhoneNumbers(country)[type].list({ limit: 1 });
    return found.phoneNumber;
  };
  const britain = await first("GB", "local");
  for (const [what, code, asked] of [
    ["no number", 21421, { phoneNumber: "12" }], ["neither", 21421, {}],
    ["one that is taken", 21422, { phoneNumber: taken }],
    ["one that does not exist", 21422, { phoneNumber: "+14180005555" }],
    ["no area code", 21451, { areaCode: "4x8" }], ["a short area code", 21451, { areaCode: "41" }],
    ["no URL", 21402, { phoneNumber, smsUrl: "clinic" }], ["no method", 21403, { phoneNumber, smsMethod: "PUT" }],
    ["a fallback alone", 21406, { phoneNumber, smsFallbackUrl: HOOK }],
    ["a voice fallback alone", 21405, { phoneNumber, voiceFallbackUrl: HOOK }],
    ["no application", 21420, { phoneNumber, smsApplicationSid: "AP1" }],
    ["a long name", 20002, { phoneNumber, friendlyName: "x".repeat(65) }],
    ["without an address", 21631, { phoneNumber: britain }],
    ["without a bundle", 21649, { phoneNumber: await first("DE", "local") }],
    ["a mobile without a bundle", 21649, { phoneNumber: await first("GB", "mobile") }],
  ]) {
    await refused(`buying ${what}`, 400, code, () => numbers.create(asked));
  }
  const addressSid = sid("AD", 1);
  const addressed = await numbers.create({ phoneNumber: britain, addressSid });
  fields("with its address", addressed, { addressSid, addressRequirements: "any" });
  await refused("buying the wrong type", 400, 21458, () => numbers.tollFree.create({ phoneNumber }));
  await sim.control("PUT", "stock", [{ country: "CA", type: "Local", areaCode: "873", count: 0 }]);
  await refused("an empty area code", 400, 21452, () => numbers.create({ areaCode: "873" }));
  await sim.control("PUT", "stock", []);
  const { sid: boughtSid } = await numbers.create({ phoneNumber });
  const bought = numbers(boughtSid);
  await sim.control("PUT", "settings", { buyOwned: "refuse" });
  await refused("buying twice", 400, 21422, () => numbers.create({ phoneNumber }));
  await sim.control("PUT", "settings", { buyOwned: "upsert" });
  for (const [code, accountSid] of [[21470, "AC1"], [21474, TRIAL]]) {
    await refused(`moving to ${accountSid}`, 400, code, () => bought.update({ accountSid }));
  }
  fields("moved", await bought.update({ accountSid: SUB }), { accountSid: SUB, sid: boughtSid });
  const theirs = await client.api.v2010.accounts(SUB).incomingPhoneNumbers.list();
  check("listed where it went", theirs.map((n) => n.sid), [boughtSid]);
  await refused("fetching what has moved", 404, 20404, () => bought.fetch());
  const [from] = HELD;
  for (const [what, code, asked] of [
    ["to nobody", 21604, { to: "", from, body: "x" }], ["to nonsense", 21211, { to: "1", from, body: "x" }],
    ["from nobody", 21603, { to: PATIENT, body: "x" }], ["from nonsense", 21212, { to: PATIENT, from: "1", body: "x" }],
    ["from another's", 21606, { to: PATIENT, from: taken, body: "x" }], ["nothing", 21602, { to: PATIENT, from }],
  ]) {
    await refused(`sending ${what}`, 400, code, () => client.messages.create(asked));
  }
  await refused("an unknown message", 404, 20404, () => client.messages(sid("SM", 9)).fetch());
}

export async function faults({ sim }) {
  const client = sim.client();
  const numbers = client.incomingPhoneNumbers;
  for (const [fault, status, code] of [["http_429", 429, 20429], ["http_503", 503, 20503],
    ["http_500_after", 500, 20500], ["not_found", 404, 20404], ["refuse", 400, 20422]]) {
    await sim.fault("FetchBalance", fault);
    await refused(fault, status, code, () => client.balance.fetch());
    fields(`after ${fault}`, await client.balance.fetch(), { currency: "USD" });
    await sim.fault("ListIncomingPhoneNumber", fault, { nth: 2 });
    await refused(`${fault} on the second page`, status, code, () => numbers.list({ pageSize: 40 }));
  }
  await retries(sim);
  // What the client says is not what happened: the number is bought each time.
  const raised = { reset_after: "ECONNRESET", timeout_after: "ECONNABORTED", garbage: "SyntaxError" };
  for (const [fault, name] of Object.entries(raised)) {
    const phoneNumber = await offer(client);
    await sim.fault("CreateIncomingPhoneNumber", fault, { match: { phoneNumber } });
    const impatient = sim.client(FULL, TOKEN, FULL, { timeout: 500 });
    const got = await impatient.incomingPhoneNumbers.create({ phoneNumber }).catch((error) => error.code ?? error.name);
    check(`${fault}: what the client raises`, got, name);
    check(`${fault}: bought all the same`, (await numbers.list({ phoneNumber })).length, 1);
  }
  await sim.control("PUT", "faults", []);
  await raw(sim, client);
}

/** The client repeats what was throttled when it is told to, and nothing else. */
async function retries(sim) {
  const asked = async () => {
    const { rows } = await sim.control("GET", "calls");
    return rows.filter((row) => row.operation === "FetchBalance").length;
  };
  const patient = sim.client(FULL, TOKEN, FULL, { autoRetry: true, maxRetryDelay: 20 });
  const cases = [["http_429", 2, 200, 3], ["http_429", 0, 429, 4], ["http_503", 1, 503, 1]];
  for (const [fault, times, status, expected] of cases) {
    const before = await asked();
    await sim.fault("FetchBalance", fault, { times });
    const fetch = () => patient.balance.fetch();
    if (status === 200) fields("after two refusals", await fetch(), { balance: "100.00" });
    else await refused(`${fault} with retries`, status, 20000 + status, fetch);
    check(`${fault}, ${times} times: requests`, (await asked()) - before, expected);
  }
}

async function raw(sim, client) {
  const path = `${sim.base}/2010-04-01/Accounts/${FULL}/IncomingPhoneNumbers`;
  for (const [what, method, url, asked, expected] of [
    ["a page that is too large", "get", ".json", { params: { PageSize: 1001 } }, [400, 20007]],
    ["an unknown parameter", "post", ".json", { data: { AreaCode: "418", SmsUrI: HOOK } }, [400, 20001]],
    ["an unknown filter", "get", ".json", { params: { Phonenumber: "1" } }, [400, 20001]],
    ["an unknown method", "put", ".json", {}, [405, 20004]], ["an unknown path", "get", "x.json", {}, [404, 20404]],
  ]) {
    const { statusCode, body } = await client.request({ method, uri: path + url, ...asked });
    check(what, [statusCode, body.code, body.status], [...expected, expected[0]]);
  }
  await sim.control("PUT", "settings", { strict: false });
  const unknown = { method: "get", uri: `${path}.json`, params: { Phonenumber: "1" } };
  check("not strict", (await client.request(unknown)).statusCode, 200);
  await sim.control("PUT", "settings", { strict: true });
}
