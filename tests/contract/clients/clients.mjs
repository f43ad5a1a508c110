// Twilio's official Node client against the simulated Twilio, and its validator against our signatures.
//
//     node clients.mjs --operator PATH_TO_BINARY [--vectors FILE]
//
// Nothing here reaches the real Twilio: the client refuses every address but the simulator's.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { credentials, faults, purchases } from "./errors.mjs";
import {
  CLOSED, FULL, HELD, HOOK, MAIN, PATIENT, Program, RESTRICTED, STANDARD, SUB, SUSPENDED, TOKEN, TRIAL, attempt, check,
  fields, hooks, offer, refused, sid, tally,
} from "./harness.mjs";
import { deliveries, inbox, vectors } from "./signatures.mjs";

const APP = sid("AP", 1);
const TOLL_FREE = "+18005550199";
const TOLL_FREE_SID = sid("PN", 1);
const ACCOUNTS = [
  {
    accountSid: FULL,
    authToken: TOKEN,
    apiKeys: [
      { sid: MAIN, secret: "example", type: "Main" },
      { sid: STANDARD, secret: "example" },
      { sid: RESTRICTED, secret: "example", type: "Restricted", permissions: ["ListIncomingPhoneNumber"] },
    ],
    numbers: [...HELD.map((phoneNumber) => ({ phoneNumber })), { phoneNumber: TOLL_FREE, sid: TOLL_FREE_SID }],
  },
  { accountSid: TRIAL, authToken: TOKEN, type: "Trial" },
  { accountSid: SUSPENDED, authToken: TOKEN, status: "suspended" },
  { accountSid: SUB, authToken: sid("", 4), ownerAccountSid: FULL, currency: "CAD" },
  { accountSid: CLOSED, authToken: TOKEN, status: "closed" },
];
const distinct = (all) => new Set(all).size;
const starts = (all, length) => [...new Set(all.map((offer) => offer.phoneNumber.slice(0, length)))];

async function search({ sim }) {
  const offers = sim.client().availablePhoneNumbers;
  check("countries", (await offers.list()).map((c) => c.countryCode).sort(), ["AU", "CA", "DE", "FR", "GB", "US"]);
  const canada = await offers("CA").fetch();
  fields("Canada", canada, { countryCode: "CA", country: "Canada", beta: false });
  check("types in Canada", Object.keys(canada.subresourceUris).sort(), ["local", "toll_free"]);
  const found = await offers("CA").local.list({ areaCode: 418, pageSize: 5, limit: 5 });
  check("a page of five", distinct(found.map((offer) => offer.phoneNumber)), 5);
  check("area code", starts(found, 5), ["+1418"]);
  for (const offer of found) {
    fields("offer in 418", offer, { isoCountry: "CA", region: "QC", addressRequirements: "none", lata: "888" });
    check("locality", ["Québec", "Lévis", "Saguenay"].includes(offer.locality));
    const types = ["voice", "SMS", "MMS"].map((name) => typeof offer.capabilities[name]);
    check("capabilities", types, ["boolean", "boolean", "boolean"]);
    check("types", [typeof offer.latitude, typeof offer.beta], ["string", "boolean"]);
  }
  const able = await offers("CA").local.list({ smsEnabled: true, mmsEnabled: true, beta: false, limit: 50 });
  check("only able ones", able.every((o) => o.capabilities.SMS && o.capabilities.MMS && !o.beta));
  check("contains", starts(await offers("CA").local.list({ contains: "+1514555", limit: 9 }), 8), ["+1514555"]);
  const montreal = await offers("CA").local.list({ inLocality: "Montréal", limit: 9 });
  check("in a city", [...new Set(montreal.map((o) => o.locality))], ["Montréal"]);
  const near = { nearNumber: "+14155550100", distance: 10, limit: 3 };
  check("near a number", (await offers("US").local.list(near)).length, 3);
  const everything = {
    areaCode: 581, contains: "581", smsEnabled: true, mmsEnabled: true, voiceEnabled: true, faxEnabled: false,
    excludeAllAddressRequired: true, excludeLocalAddressRequired: true, excludeForeignAddressRequired: true, beta: true,
    inRegion: "QC", inPostalCode: "G1", inRateCenter: "QUEBEC", inLata: "888", inLocality: "Québec",
    distance: 50, limit: 2,
  };
  check("every filter at once", (await offers("CA").local.list(everything)).length, 2);
  const free = await offers("US").tollFree.list({ limit: 3 });
  check("toll-free", starts(free, 3), ["+18"]);
  for (const one of free) fields("toll-free", one, { isoCountry: "US", locality: null });
  const mobile = await offers("GB").mobile.list({ limit: 2 });
  check("mobiles in Britain", starts(mobile, 4), ["+447"]);
  for (const one of mobile) fields("a mobile", one, { addressRequirements: "any", region: null, latitude: null });
  check("no address in Britain", await offers("GB").local.list({ excludeAllAddressRequired: true, limit: 1 }), []);
  await refused("a type that a country lacks", 404, 20404, () => offers("US").mobile.list({ limit: 1 }));
  await refused("an unknown country", 404, 20404, () => offers("XX").fetch());
}

async function buy({ sim }) {
  const client = sim.client();
  const numbers = client.incomingPhoneNumbers;
  const phoneNumber = await offer(client);
  const bought = await numbers.create({ phoneNumber, smsUrl: HOOK, smsMethod: "GET", friendlyName: "Front desk" });
  check("a number's SID", /^PN[0-9a-f]{32}$/.test(bought.sid));
  fields("bought", bought, {
    accountSid: FULL, phoneNumber, friendlyName: "Front desk", smsUrl: HOOK, smsMethod: "GET", smsApplicationSid: "",
    smsFallbackUrl: "", voiceUrl: null, origin: "twilio", beta: false, status: "in-use", type: "local",
    addressRequirements: "none", emergencyStatus: "Inactive", bundleSid: null, apiVersion: "2010-04-01",
    voiceCallerIdLookup: false, voiceReceiveMode: "voice",
    uri: `/2010-04-01/Accounts/${FULL}/IncomingPhoneNumbers/${bought.sid}.json`,
  });
  check("can do", [bought.capabilities.sms, bought.capabilities.voice], [true, true]);
  check("date of purchase", bought.dateCreated instanceof Date && Math.abs(Date.now() - bought.dateCreated) < 60_000);
  const left = await client.availablePhoneNumbers("CA").local.list({ areaCode: 418, limit: 200 });
  check("sold", left.some((o) => o.phoneNumber === phoneNumber), false);
  check("fetched as bought", (await numbers(bought.sid).fetch()).toJSON(), bought.toJSON());
  for (const filter of [{ phoneNumber }, { friendlyName: "Front desk" }]) {
    check("listed", (await numbers.list(filter)).map((n) => n.sid), [bought.sid]);
  }
  const like = await numbers.list({ phoneNumber: "581555010*" });
  check("listed by pattern", like.map((n) => n.phoneNumber), HELD.slice(0, 10));
  const change = { smsUrl: `${HOOK}?v=2`, smsMethod: "POST", friendlyName: "Reception é" };
  fields("changed", await numbers(bought.sid).update(change), { ...change, sid: bought.sid });
  fields("application", await numbers(bought.sid).update({ smsApplicationSid: APP }), { smsApplicationSid: APP });
  const cleared = { smsApplicationSid: "" };
  fields("cleared", await numbers(bought.sid).update(cleared), { ...cleared, smsUrl: change.smsUrl });
  const again = await numbers.create({ phoneNumber, friendlyName: "Again" });
  fields("bought twice", again, { sid: bought.sid, friendlyName: "Again", dateCreated: bought.dateCreated });
  const every = {
    voiceUrl: HOOK, voiceMethod: "GET", voiceFallbackUrl: HOOK, voiceFallbackMethod: "GET", statusCallback: HOOK,
    statusCallbackMethod: "GET", smsFallbackUrl: HOOK, smsFallbackMethod: "GET", voiceCallerIdLookup: true,
    identitySid: sid("RI", 1), addressSid: sid("AD", 1), bundleSid: sid("BU", 1), smsUrl: HOOK, smsMethod: "POST",
    voiceReceiveMode: "voice",
  };
  const empty = { emergencyAddressSid: "", trunkSid: "", voiceApplicationSid: "", smsApplicationSid: "" };
  const other = { phoneNumber: await offer(client), apiVersion: "2010-04-01", emergencyStatus: "Inactive" };
  const full = await numbers.local.create({ ...other, ...every, ...empty });
  fields("every parameter", full, every);
  fields("every parameter, fetched", await numbers(full.sid).fetch(), every);
  check("by area code", (await numbers.create({ areaCode: "438" })).phoneNumber.slice(0, 5), "+1438");
  const [{ phoneNumber: free }] = await client.availablePhoneNumbers("CA").tollFree.list({ limit: 1 });
  const made = await numbers.tollFree.create({ phoneNumber: free, smsUrl: HOOK });
  fields("toll-free", made, { phoneNumber: free, smsUrl: HOOK });
  fields("toll-free", await numbers(made.sid).fetch(), { type: "toll-free" });
  check("toll-free ones", (await numbers.tollFree.list()).map((n) => n.phoneNumber).sort(), [free, TOLL_FREE].sort());
  check("mobile ones", await numbers.mobile.list(), []);
}

async function pages({ sim }) {
  // The restricted key may list and nothing else, as an audit would be given.
  const numbers = sim.client(RESTRICTED, "example", FULL).incomingPhoneNumbers;
  const { rows } = await sim.control("GET", "numbers");
  const held = rows.filter((row) => row.accountSid === FULL).map((row) => row.phoneNumber).sort();
  check("more than one default page", held.length > 50);
  const before = tally.calls;
  const streamed = [];
  await new Promise((resolve, reject) => {
    const done = (error) => (error ? reject(error) : resolve());
    numbers.each({ pageSize: 20, callback: (number) => streamed.push(number.phoneNumber), done });
  });
  check("each number once", streamed.sort(), held);
  check("pages asked for", tally.calls - before, Math.ceil(held.length / 20));
  const seen = [];
  for (let page = await numbers.page({ pageSize: 20 }); page; page = await page.nextPage()) {
    seen.push(page.instances.map((number) => number.phoneNumber));
  }
  check("sizes of pages", seen.slice(0, 2).map((page) => page.length), [20, 20]);
  check("each number once, page by page", seen.flat().sort(), held);
  check("a limit over pages", (await numbers.list({ limit: 30, pageSize: 20 })).length, 30);
  check("default page size", (await numbers.page()).instances.length, 50);
  check("a filter over pages", (await numbers.list({ phoneNumber: "+1581555", pageSize: 20 })).length, HELD.length);
}

async function messages({ sim }) {
  const client = sim.client();
  const [{ phoneNumber: from }] = await client.incomingPhoneNumbers.list({ friendlyName: "Again" });
  const ends = { to: PATIENT, from };
  const body = "Rendez-vous demain à 9 h 😀";
  const sent = await client.messages.create({ body, ...ends });
  fields("sent", sent, {
    body, direction: "outbound-api", status: "queued", numMedia: "0", numSegments: "1", errorCode: null, price: null,
    accountSid: FULL, messagingServiceSid: null, ...ends,
  });
  check("a message's SID", /^SM[0-9a-f]{32}$/.test(sent.sid));
  const later = await client.messages(sent.sid).fetch();
  fields("fetched", later, { sid: sent.sid, body, priceUnit: "USD", apiVersion: "2010-04-01" });
  check("a price below zero", Number(later.price) < 0);
  const { status, told } = await sim.control("POST", "messages", { from: PATIENT, to: from, body: "Oui" });
  check("delivered", [status, told.status], [200, 200]);
  for (const filter of [{ to: from }, { from: PATIENT, to: from }]) {
    const listed = await client.messages.list(filter);
    check("the inbound message", listed.map((m) => m.sid), [told.messageSid]);
    fields("inbound", listed[0], { direction: "inbound", status: "received", body: "Oui", from: PATIENT, to: from });
  }
  check("newest first", (await client.messages.list({ limit: 2 })).map((m) => m.sid), [told.messageSid, sent.sid]);
  check("pages of one", distinct((await client.messages.list({ pageSize: 1 })).map((m) => m.sid)), 2);
  const on = async (filter, days) => {
    const day = new Date(sent.dateSent);
    day.setUTCHours(days * 24, 0, 0, 0);
    return (await client.messages.list({ from, [filter]: day })).length;
  };
  check("sent on a day", [await on("dateSent", -1), await on("dateSent", 0), await on("dateSent", 1)], [0, 1, 0]);
  check("sent after a day", [await on("dateSentAfter", -1), await on("dateSentAfter", 1)], [1, 0]);
  check("sent before a day", [await on("dateSentBefore", -1), await on("dateSentBefore", 1)], [0, 1]);
  const newest = { body: "x", validityPeriod: 60, messageIntent: "notifications", ...ends };
  const send = async () => (await client.messages.create(newest)).status;
  check("the newest parameters are known", await attempt(send), "queued");
}

async function account({ sim }) {
  const client = sim.client();
  const uri = `/2010-04-01/Accounts/${FULL}.json`;
  fields("account", await client.api.v2010.accounts(FULL).fetch(), {
    sid: FULL, status: "active", type: "Full", authToken: TOKEN, ownerAccountSid: FULL, uri,
  });
  fields("a subaccount", await client.api.v2010.accounts(SUB).fetch(), { status: "active", ownerAccountSid: FULL });
  fields("balance", await client.balance.fetch(), { accountSid: FULL, balance: "100.00", currency: "USD" });
  const records = new Map((await client.usage.records.thisMonth.list()).map((record) => [record.category, record]));
  const today = new Date().toISOString().slice(0, 10);
  for (const [category, count] of [["phonenumbers", "4"], ["phonenumbers-tollfree", "1"], ["sms-inbound", "1"]]) {
    const [record] = await client.usage.records.thisMonth.list({ category, includeSubaccounts: false });
    const { price } = records.get(category);
    fields(category, record, { category, count, priceUnit: "usd", accountSid: FULL, price });
    const dates = [record.startDate, record.endDate].map((date) => date.toISOString().slice(0, 10));
    check(`${category}: dates`, dates, [`${today.slice(0, 8)}01`, today]);
    check(`${category}: types`, [typeof record.price, typeof record.usage], ["string", "string"]);
  }
  const price = (category) => Math.round(Number(records.get(category).price) * 1e6);
  check("total", price("totalprice"), price("phonenumbers") + price("sms"));
}

async function pricing({ sim }) {
  const prices = sim.client().pricing.v1;
  const canada = await prices.phoneNumbers.countries("CA").fetch();
  fields("Canada", canada, { country: "Canada", isoCountry: "CA", priceUnit: "USD" });
  check("types", canada.phoneNumberPrices.map((price) => price.numberType).sort(), ["local", "toll free"]);
  for (const price of canada.phoneNumberPrices) {
    check("a price", [typeof price.basePrice, typeof price.currentPrice], ["string", "string"]);
  }
  const texts = await prices.messaging.countries("GB").fetch();
  fields("Britain", texts, { country: "United Kingdom", isoCountry: "GB" });
  check("inbound", texts.inboundSmsPrices.map((price) => price.numberType).sort(), ["local", "mobile"]);
  for (const carrier of texts.outboundSmsPrices) {
    check("a carrier", Object.keys(carrier).sort(), ["carrier", "mcc", "mnc", "prices"]);
    check("its prices", carrier.prices.every((price) => Number(price.current_price) > 0));
  }
  await refused("an unknown country", 404, 20404, () => prices.phoneNumbers.countries("XX").fetch());
  for (const { countries } of [prices.phoneNumbers, prices.messaging]) {
    check("countries", (await countries.list()).length, 6);
    check("countries, two a page", await attempt(async () => (await countries.list({ pageSize: 2 })).length), 6);
  }
}

async function services({ sim }) {
  const client = sim.client();
  const { services: all, tollfreeVerifications: verifications } = client.messaging.v1;
  const service = await all.create({ friendlyName: "Clinic", inboundRequestUrl: HOOK, inboundMethod: "GET" });
  fields("service", service, {
    accountSid: FULL, friendlyName: "Clinic", inboundRequestUrl: HOOK, inboundMethod: "GET",
    useInboundWebhookOnNumber: false, usAppToPersonRegistered: false, validityPeriod: 14400,
  });
  check("dates", service.dateCreated instanceof Date);
  const one = all(service.sid);
  const more = {
    fallbackUrl: HOOK, fallbackMethod: "GET", statusCallback: HOOK, stickySender: false, mmsConverter: false,
    smartEncoding: false, fallbackToLongCode: false, areaCodeGeomatch: false, validityPeriod: 600,
    synchronousValidation: true, usecase: "notifications", scanMessageContent: "disable",
  };
  const asked = { friendlyName: "Clinics", useInboundWebhookOnNumber: true };
  for (const seen of [await one.update({ ...asked, inboundRequestUrl: "", ...more }), await one.fetch()]) {
    fields("service changed", seen, asked);
    check("service changed", Object.fromEntries(Object.keys(more).map((name) => [name, seen[name]])), more);
    check("no URL", seen.inboundRequestUrl || null, null);
  }
  const others = [await all.create({ friendlyName: "Other 1" }), await all.create({ friendlyName: "Other 2" })];
  const sids = [service, ...others].map((s) => s.sid).sort();
  check("services by page", (await all.list({ pageSize: 1 })).map((s) => s.sid).sort(), sids);
  const mine = await client.incomingPhoneNumbers.list({ phoneNumber: "+1581555", limit: 3 });
  for (const { sid: phoneNumberSid, phoneNumber } of mine) {
    const added = await one.phoneNumbers.create({ phoneNumberSid });
    fields("added", added, { sid: phoneNumberSid, serviceSid: service.sid, phoneNumber, countryCode: "CA" });
  }
  const listed = await one.phoneNumbers.list({ pageSize: 2 });
  check("numbers by page", listed.map((n) => n.sid).sort(), mine.map((n) => n.sid).sort());
  const [{ sid: first }] = mine;
  check("its capabilities", (await one.phoneNumbers(first).fetch()).capabilities, ["Voice", "SMS", "MMS"]);
  const sent = await client.messages.create({ to: PATIENT, messagingServiceSid: service.sid, body: "x" });
  fields("sent by a service", sent, { status: "accepted", numSegments: "0", messagingServiceSid: service.sid });
  const join = (of, phoneNumberSid) => () => of.phoneNumbers.create({ phoneNumberSid });
  await refused("in this service", 409, 21710, join(one, first));
  await refused("in another", 409, 21712, join(all(others[0].sid), first));
  const silent = await client.incomingPhoneNumbers.create({ phoneNumber: await offer(client, false) });
  await refused("without texts", 400, 21715, join(one, silent.sid));
  check("removed", await one.phoneNumbers(first).remove());
  await refused("removed already", 404, 21711, () => one.phoneNumbers(first).remove());
  await refused("not a member", 404, 20404, () => one.phoneNumbers(first).fetch());
  const decided = { campaigns: { [service.sid]: "VERIFIED" }, tollFree: { [TOLL_FREE_SID]: "IN_REVIEW" } };
  await sim.control("PUT", "compliance", decided);
  const [campaign] = await one.usAppToPerson.list();
  const { sid: messagingServiceSid } = service;
  fields("campaign", campaign, { campaignStatus: "VERIFIED", messagingServiceSid, errors: [], mock: false });
  check("registered", (await one.fetch()).usAppToPersonRegistered);
  check("no campaign", await all(others[0].sid).usAppToPerson.list(), []);
  const [review] = await verifications.list({ tollfreePhoneNumberSid: TOLL_FREE_SID });
  fields("verification", review, { status: "IN_REVIEW", tollfreePhoneNumberSid: TOLL_FREE_SID, accountSid: FULL });
  check("verified ones", await verifications.list({ status: "TWILIO_APPROVED" }), []);
  const newest = async () => (await verifications.list({ includeSubAccounts: true })).length;
  check("the newest filters are known", await attempt(newest), 1);
  for (const each of sids) check("service deleted", await all(each).remove());
  await refused("a deleted service", 404, 20404, () => one.fetch());
}

async function release({ sim }) {
  const numbers = sim.client().incomingPhoneNumbers;
  const [{ sid: held, phoneNumber }] = await numbers.list({ friendlyName: "Again" });
  const number = numbers(held);
  check("released", await number.remove());
  await refused("released already", 404, 20404, () => number.remove());
  await refused("a released number", 404, 20404, () => number.fetch());
  await refused("changing a released number", 404, 20404, () => number.update({ friendlyName: "x" }));
  check("not listed", await numbers.list({ phoneNumber }), []);
}

const OPERATIONS = `
CreateIncomingPhoneNumber CreateIncomingPhoneNumberLocal CreateIncomingPhoneNumberTollFree CreateMessage
CreatePhoneNumber CreateService DeleteIncomingPhoneNumber DeletePhoneNumber DeleteService FetchAccount
FetchAvailablePhoneNumberCountry FetchBalance FetchIncomingPhoneNumber FetchMessage FetchMessagingCountry
FetchPhoneNumber FetchPhoneNumberCountry FetchService ListAvailablePhoneNumberCountry ListAvailablePhoneNumberLocal
ListAvailablePhoneNumberMobile ListAvailablePhoneNumberTollFree ListIncomingPhoneNumber ListIncomingPhoneNumberMobile
ListIncomingPhoneNumberTollFree ListMessage ListMessagingCountry ListPhoneNumber ListPhoneNumberCountry ListService
ListTollfreeVerification ListUsAppToPerson ListUsageRecordThisMonth UpdateIncomingPhoneNumber UpdateService`;

async function coverage({ sim }) {
  const { rows } = await sim.control("GET", "calls");
  const answered = rows.filter((row) => [200, 201, 204].includes(row.status) && row.operation);
  const operations = [...new Set(answered.map((row) => row.operation))].sort();
  check("operations that were answered well", operations, OPERATIONS.trim().split(/\s+/));
}

const { values: asked } = parseArgs({ options: { operator: { type: "string" }, vectors: { type: "string" } } });
if (!asked.operator) throw new Error("--operator PATH_TO_BINARY is missing");
// Both the client and the programs read settings from there.
for (const name of Object.keys(process.env)) if (/^(TWILIO|CPN)_/.test(name)) delete process.env[name];
const folder = mkdtempSync(join(tmpdir(), "clients-"));
const receiver = await hooks();
let sim;
try {
  writeFileSync(join(folder, "accounts.yaml"), JSON.stringify(ACCOUNTS));
  sim = await Program.start(asked.operator, "simulate", "--listen", "127.0.0.1:0", "--latency", "0ms",
    "--accounts", join(folder, "accounts.yaml"), "--deliver-to", receiver.base);
  for (const topic of [search, buy, pages, messages, account, pricing, services, release, credentials, purchases,
    faults, deliveries, inbox, vectors, coverage]) {
    const failed = (error) => check(`${topic.name} to its end`, error.stack, "no exception");
    await topic({ sim, hooks: receiver, ...asked }).catch(failed);
  }
} finally {
  await sim?.stop();
  receiver.server.closeAllConnections();
  receiver.server.close();
  rmSync(folder, { recursive: true });
}
console.log(`node: ${tally.calls} calls, ${tally.checks} checks, ${tally.failures} failures`);
process.exitCode = tally.failures ? 1 : 0;
