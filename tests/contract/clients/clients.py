"""Twilio's official Python client against the simulated Twilio, and its validator against our signatures.

    python clients.py --operator PATH_TO_BINARY [--vectors FILE]

Nothing here reaches the real Twilio: the client refuses every address but the simulator's.
"""

import argparse
import datetime
import decimal
import json
import os
import re
import tempfile
import traceback

from errors import credentials, faults, purchases
from harness import (CLOSED, FULL, HELD, HOOK, MAIN, PATIENT, RESTRICTED, STANDARD, SUB, SUSPENDED, TOKEN, TRIAL, Hooks,
                     Program, Tally, attempt, check, fields, offer, refused, sid)
from signatures import deliveries, inbox, vectors


APP = sid("AP", 1)
TOLL_FREE, TOLL_FREE_SID = "+18005550199", sid("PN", 1)
KEYS = [
    {"sid": MAIN, "secret": "example", "type": "Main"},
    {"sid": STANDARD, "secret": "example"},
    {"sid": RESTRICTED, "secret": "example", "type": "Restricted", "permissions": ["ListIncomingPhoneNumber"]},
]
ACCOUNTS = [
    {"accountSid": FULL, "authToken": TOKEN, "apiKeys": KEYS,
     "numbers": [{"phoneNumber": number} for number in HELD] + [{"phoneNumber": TOLL_FREE, "sid": TOLL_FREE_SID}]},
    {"accountSid": TRIAL, "authToken": TOKEN, "type": "Trial"},
    {"accountSid": SUSPENDED, "authToken": TOKEN, "status": "suspended"},
    {"accountSid": SUB, "authToken": sid("", 4), "ownerAccountSid": FULL, "currency": "CAD"},
    {"accountSid": CLOSED, "authToken": TOKEN, "status": "closed"},
]


def search(sim, **_):
    offers = sim.client().available_phone_numbers
    check("countries", sorted(c.country_code for c in offers.list()), ["AU", "CA", "DE", "FR", "GB", "US"])
    canada = offers("CA").fetch()
    fields("Canada", canada, country_code="CA", country="Canada", beta=False)
    check("types in Canada", sorted(canada.subresource_uris), ["local", "toll_free"])
    found = offers("CA").local.list(area_code="418", page_size=5, limit=5)
    check("a page of five", len({offer.phone_number for offer in found}), 5)
    for offer in found:
        check("area code", offer.phone_number[:5], "+1418")
        fields("offer in 418", offer, iso_country="CA", region="QC", address_requirements="none", lata="888")
        check("locality", offer.locality in ("Québec", "Lévis", "Saguenay"))
        check("capabilities", {type(offer.capabilities[name]) for name in ("voice", "SMS", "MMS")}, {bool})
        check("types", [type(offer.latitude), type(offer.beta)], [decimal.Decimal, bool])
    able = offers("CA").local.list(sms_enabled=True, mms_enabled=True, beta=False, limit=50)
    check("only able ones", all(o.capabilities["SMS"] and o.capabilities["MMS"] and not o.beta for o in able))
    check("contains", {o.phone_number[:8] for o in offers("CA").local.list(contains="+1514555", limit=9)}, {"+1514555"})
    check("in a city", {o.locality for o in offers("CA").local.list(in_locality="Montréal", limit=9)}, {"Montréal"})
    check("near a number", len(offers("US").local.list(near_number="+14155550100", distance=10, limit=3)), 3)
    everything = dict(area_code="581", contains="581", sms_enabled=True, mms_enabled=True, voice_enabled=True,
                      fax_enabled=False, exclude_all_address_required=True, exclude_local_address_required=True,
                      exclude_foreign_address_required=True, beta=True, in_region="QC", in_postal_code="G1",
                      in_rate_center="QUEBEC", in_lata="888", in_locality="Québec", distance=50, limit=2)
    check("every filter at once", len(offers("CA").local.list(**everything)), 2)
    free = offers("US").toll_free.list(limit=3)
    check("toll-free", {(o.phone_number[:3], o.iso_country, o.locality) for o in free}, {("+18", "US", None)})
    for offer in offers("GB").mobile.list(limit=2):
        check("a mobile in Britain", (offer.phone_number[:4], offer.capabilities["SMS"]), ("+447", True))
        fields("a mobile in Britain", offer, address_requirements="any", region=None, latitude=None)
    check("no address in Britain", offers("GB").local.list(exclude_all_address_required=True, limit=1), [])
    refused("a type that a country lacks", 404, 20404, lambda: offers("US").mobile.list(limit=1))
    refused("an unknown country", 404, 20404, offers("XX").fetch)


def buy(sim, **_):
    client = sim.client()
    wanted, numbers = offer(client), client.incoming_phone_numbers
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    bought = numbers.create(phone_number=wanted, sms_url=HOOK, sms_method="GET", friendly_name="Front desk")
    check("a number's SID", bool(re.fullmatch("PN[0-9a-f]{32}", bought.sid)))
    fields("bought", bought, account_sid=FULL, phone_number=wanted, friendly_name="Front desk", sms_url=HOOK,
           sms_method="GET", sms_application_sid="", sms_fallback_url="", voice_url=None, origin="twilio", beta=False,
           status="in-use", type="local", address_requirements="none", emergency_status="Inactive", bundle_sid=None,
           api_version="2010-04-01", voice_caller_id_lookup=False, voice_receive_mode="voice",
           uri=f"/2010-04-01/Accounts/{FULL}/IncomingPhoneNumbers/{bought.sid}.json")
    check("can do", (bought.capabilities["sms"], bought.capabilities["voice"]), (True, True))
    check("date of purchase", 0 <= (bought.date_created - before).total_seconds() < 60)
    check("sold", wanted not in [o.phone_number for o in client.available_phone_numbers("CA").local.list(limit=200)])
    told = vars(numbers(bought.sid).fetch())
    same = {name: value for name, value in vars(bought).items() if not name.startswith("_")}
    check("fetched as bought", {name: told[name] for name in same}, same)
    check("listed by number", [n.sid for n in numbers.list(phone_number=wanted)], [bought.sid])
    check("listed by name", [n.sid for n in numbers.list(friendly_name="Front desk")], [bought.sid])
    check("listed by pattern", [n.phone_number for n in numbers.list(phone_number="581555010*")], HELD[:10])
    changed = numbers(bought.sid).update(sms_url=HOOK + "?v=2", sms_method="POST", friendly_name="Reception é")
    fields("changed", changed, sms_url=HOOK + "?v=2", sms_method="POST", friendly_name="Reception é", sid=bought.sid)
    fields("application", numbers(bought.sid).update(sms_application_sid=APP), sms_application_sid=APP)
    fields("cleared", numbers(bought.sid).update(sms_application_sid=""), sms_application_sid="", sms_url=HOOK + "?v=2")
    again = numbers.create(phone_number=wanted, friendly_name="Again")
    fields("bought twice", again, sid=bought.sid, friendly_name="Again", date_created=bought.date_created)
    hooks = dict(voice_url=HOOK, voice_method="GET", voice_fallback_url=HOOK, voice_fallback_method="GET",
                 status_callback=HOOK, status_callback_method="GET", sms_fallback_url=HOOK, sms_fallback_method="GET",
                 voice_caller_id_lookup=True, emergency_address_sid="", trunk_sid="", identity_sid=sid("RI", 1),
                 address_sid=sid("AD", 1), bundle_sid=sid("BU", 1), sms_url=HOOK, sms_method="POST",
                 voice_application_sid="", sms_application_sid="", voice_receive_mode="voice")
    kept = {name: value for name, value in hooks.items() if value != ""}
    other = dict(phone_number=offer(client), api_version="2010-04-01", emergency_status="Inactive")
    full = numbers.local.create(**other, **hooks)
    fields("every parameter", full, **kept)
    fields("every parameter, fetched", numbers(full.sid).fetch(), **kept)
    check("by area code", numbers.create(area_code="438").phone_number[:5], "+1438")
    free = client.available_phone_numbers("CA").toll_free.list(limit=1)[0].phone_number
    made = numbers.toll_free.create(phone_number=free, sms_url=HOOK)
    fields("toll-free", made, phone_number=free, sms_url=HOOK)
    fields("toll-free", numbers(made.sid).fetch(), type="toll-free")
    check("toll-free ones", {n.phone_number for n in numbers.toll_free.list()}, {free, TOLL_FREE})
    check("mobile ones", numbers.mobile.list(), [])


def pages(sim, **_):
    # The restricted key may list and nothing else, as an audit would be given.
    client = sim.client(RESTRICTED, "example", FULL)
    numbers = client.incoming_phone_numbers
    held = sorted(row["phoneNumber"] for row in sim.control("GET", "numbers")[1] if row["accountSid"] == FULL)
    check("more than one default page", len(held) > 50)
    before = Tally.calls
    check("each number once", sorted(n.phone_number for n in numbers.stream(page_size=20)), held)
    check("pages asked for", Tally.calls - before, -(-len(held) // 20))
    page, seen = numbers.page(page_size=20), []
    while page:
        seen.append([number.phone_number for number in page])
        page = page.next_page()
    check("sizes of pages", [len(found) for found in seen[:2]], [20, 20])
    check("each number once, page by page", sorted(sum(seen, [])), held)
    check("a limit over pages", len(numbers.list(limit=30, page_size=20)), 30)
    check("default page size", len(list(numbers.page())), 50)
    check("a filter over pages", len(numbers.list(phone_number="+1581555", page_size=20)), len(HELD))


def messages(sim, **_):
    client = sim.client()
    number = client.incoming_phone_numbers.list(friendly_name="Again")[0].phone_number
    to = dict(to=PATIENT, from_=number)
    sent = client.messages.create(body="Rendez-vous demain à 9 h 😀", **to)
    fields("sent", sent, body="Rendez-vous demain à 9 h 😀", direction="outbound-api", status="queued",
           num_media="0", num_segments="1", error_code=None, price=None, account_sid=FULL,
           messaging_service_sid=None, **to)
    check("a message's SID", bool(re.fullmatch("SM[0-9a-f]{32}", sent.sid)))
    later = client.messages(sent.sid).fetch()
    fields("fetched", later, sid=sent.sid, body=sent.body, price_unit="USD", api_version="2010-04-01")
    check("a price below zero", decimal.Decimal(later.price) < 0)
    status, delivery = sim.control("POST", "messages", {"from": PATIENT, "to": number, "body": "Oui"})
    check("delivered", (status, delivery["status"]), (200, 200))
    for listed in (client.messages.list(to=number), client.messages.list(from_=PATIENT, to=number)):
        check("the inbound message", [m.sid for m in listed], [delivery["messageSid"]])
        fields("inbound", listed[0], direction="inbound", status="received", body="Oui", from_=PATIENT, to=number)
    check("newest first", [m.sid for m in client.messages.list(limit=2)], [delivery["messageSid"], sent.sid])
    check("pages of one", len({m.sid for m in client.messages.stream(page_size=1)}), 2)
    day = sent.date_sent.date()
    around = [(days, len(client.messages.list(from_=number, date_sent=day + datetime.timedelta(days))))
              for days in (-1, 0, 1)]
    check("sent on a day", around, [(-1, 0), (0, 1), (1, 0)])
    for days, after in ((-1, 1), (1, 0)):
        then = day + datetime.timedelta(days)
        check("sent after a day", len(client.messages.list(from_=number, date_sent_after=then)), after)
        check("sent before a day", len(client.messages.list(from_=number, date_sent_before=then)), 1 - after)
    send = lambda: client.messages.create(body="x", validity_period=60, message_intent="notifications", **to).status
    check("the newest parameters are known", attempt(send), "queued")


def account(sim, **_):
    client = sim.client()
    fields("account", client.api.v2010.accounts(FULL).fetch(), sid=FULL, status="active", type="Full", auth_token=TOKEN,
           owner_account_sid=FULL, uri=f"/2010-04-01/Accounts/{FULL}.json")
    fields("a subaccount", client.api.v2010.accounts(SUB).fetch(), status="active", owner_account_sid=FULL)
    fields("with a main key", sim.client(MAIN, "example", FULL).api.v2010.accounts(FULL).fetch(), status="active")
    fields("balance", client.balance.fetch(), account_sid=FULL, balance="100.00", currency="USD")
    records = {record.category: record for record in client.usage.records.this_month.list()}
    today = datetime.datetime.now(datetime.timezone.utc).date()
    for category, count in (("phonenumbers", "4"), ("phonenumbers-tollfree", "1"), ("sms-inbound", "1")):
        record, = client.usage.records.this_month.list(category=category, include_subaccounts=False)
        fields(category, record, category=category, count=count, price_unit="usd", end_date=today,
               start_date=today.replace(day=1), account_sid=FULL, price=records[category].price)
        check(f"{category}: types", (type(record.price), type(record.usage)), (decimal.Decimal, str))
    total = sum(records[name].price for name in ("phonenumbers", "sms"))
    check("total", records["totalprice"].price, total)


def pricing(sim, **_):
    prices = sim.client().pricing.v1
    canada = prices.phone_numbers.countries("CA").fetch()
    fields("Canada", canada, country="Canada", iso_country="CA", price_unit="USD")
    kinds = {price["number_type"]: price for price in canada.phone_number_prices}
    check("types", sorted(kinds), ["local", "toll free"])
    check("a price", {name: type(value) for name, value in kinds["local"].items()},
          {"number_type": str, "base_price": str, "current_price": str})
    texts = prices.messaging.countries("GB").fetch()
    fields("Britain", texts, country="United Kingdom", iso_country="GB")
    check("inbound", {p["number_type"] for p in texts.inbound_sms_prices}, {"local", "mobile"})
    for carrier in texts.outbound_sms_prices:
        check("a carrier", sorted(carrier), ["carrier", "mcc", "mnc", "prices"])
        check("its prices", all(float(price["current_price"]) > 0 for price in carrier["prices"]))
    refused("an unknown country", 404, 20404, prices.phone_numbers.countries("XX").fetch)
    for product in (prices.phone_numbers, prices.messaging):
        check("countries", len(product.countries.list()), 6)
        check("countries, two a page", attempt(lambda: len(product.countries.list(page_size=2))), 6)


def services(sim, **_):
    client = sim.client()
    made = dict(friendly_name="Clinic", inbound_request_url=HOOK, inbound_method="GET")
    service = client.messaging.v1.services.create(**made)
    fields("service", service, **made, account_sid=FULL,
           use_inbound_webhook_on_number=False, us_app_to_person_registered=False, validity_period=14400)
    check("dates", type(service.date_created), datetime.datetime)
    one = client.messaging.v1.services(service.sid)
    more = dict(fallback_url=HOOK, fallback_method="GET", status_callback=HOOK, sticky_sender=False,
                mms_converter=False, smart_encoding=False, fallback_to_long_code=False, area_code_geomatch=False,
                validity_period=600, synchronous_validation=True, usecase="notifications",
                scan_message_content="disable")
    told = one.update(friendly_name="Clinics", use_inbound_webhook_on_number=True, inbound_request_url="", **more)
    for seen in (told, one.fetch()):
        fields("service changed", seen, friendly_name="Clinics", use_inbound_webhook_on_number=True)
        check("service changed", {name: getattr(seen, name) for name in more}, more)
        check("no URL", seen.inbound_request_url or None, None)
    others = [client.messaging.v1.services.create(friendly_name=f"Other {n}").sid for n in (1, 2)]
    check("services by page", sorted(s.sid for s in client.messaging.v1.services.stream(page_size=1)),
          sorted([service.sid, *others]))
    mine = client.incoming_phone_numbers.list(phone_number="+1581555", limit=3)
    for number in mine:
        fields("added", one.phone_numbers.create(phone_number_sid=number.sid), sid=number.sid, service_sid=service.sid,
               phone_number=number.phone_number, country_code="CA", account_sid=FULL)
    check("numbers by page", {n.sid for n in one.phone_numbers.stream(page_size=2)}, {n.sid for n in mine})
    check("its capabilities", one.phone_numbers(mine[0].sid).fetch().capabilities, ["Voice", "SMS", "MMS"])
    sent = client.messages.create(to=PATIENT, messaging_service_sid=service.sid, body="x")
    fields("sent by a service", sent, status="accepted", num_segments="0", messaging_service_sid=service.sid)
    join, mute = one.phone_numbers.create, offer(client, able=False)
    refused("in this service", 409, 21710, lambda: join(phone_number_sid=mine[0].sid))
    other = client.messaging.v1.services(others[0])
    refused("in another", 409, 21712, lambda: other.phone_numbers.create(phone_number_sid=mine[0].sid))
    silent = client.incoming_phone_numbers.create(phone_number=mute)
    refused("without texts", 400, 21715, lambda: join(phone_number_sid=silent.sid))
    check("removed", one.phone_numbers(mine[0].sid).delete())
    refused("removed already", 404, 21711, one.phone_numbers(mine[0].sid).delete)
    refused("not a member", 404, 20404, one.phone_numbers(mine[0].sid).fetch)
    sim.control("PUT", "compliance", {"campaigns": {service.sid: "VERIFIED"}, "tollFree": {TOLL_FREE_SID: "IN_REVIEW"}})
    campaign, = one.us_app_to_person.list()
    fields("campaign", campaign, campaign_status="VERIFIED", messaging_service_sid=service.sid, errors=[], mock=False)
    check("registered", one.fetch().us_app_to_person_registered)
    check("no campaign", other.us_app_to_person.list(), [])
    verifications = client.messaging.v1.tollfree_verifications
    review, = verifications.list(tollfree_phone_number_sid=TOLL_FREE_SID)
    fields("verification", review, status="IN_REVIEW", tollfree_phone_number_sid=TOLL_FREE_SID, account_sid=FULL)
    check("verified ones", verifications.list(status="TWILIO_APPROVED"), [])
    check("the newest filters are known", attempt(lambda: len(verifications.list(include_sub_accounts=True))), 1)
    check("service deleted", all(client.messaging.v1.services(sid).delete() for sid in [service.sid, *others]))
    refused("a deleted service", 404, 20404, one.fetch)


def release(sim, **_):
    client = sim.client()
    number = client.incoming_phone_numbers.list(friendly_name="Again")[0]
    check("released", number.delete())
    refused("released already", 404, 20404, number.delete)
    refused("a released number", 404, 20404, number.fetch)
    refused("changing a released number", 404, 20404, lambda: number.update(friendly_name="x"))
    check("not listed", client.incoming_phone_numbers.list(phone_number=number.phone_number), [])


OPERATIONS = """
CreateIncomingPhoneNumber CreateIncomingPhoneNumberLocal CreateIncomingPhoneNumberTollFree CreateMessage
CreatePhoneNumber CreateService DeleteIncomingPhoneNumber DeletePhoneNumber DeleteService FetchAccount
FetchAvailablePhoneNumberCountry FetchBalance FetchIncomingPhoneNumber FetchMessage FetchMessagingCountry
FetchPhoneNumber FetchPhoneNumberCountry FetchService ListAvailablePhoneNumberCountry ListAvailablePhoneNumberLocal
ListAvailablePhoneNumberMobile ListAvailablePhoneNumberTollFree ListIncomingPhoneNumber ListIncomingPhoneNumberMobile
ListIncomingPhoneNumberTollFree ListMessage ListMessagingCountry ListPhoneNumber ListPhoneNumberCountry ListService
ListTollfreeVerification ListUsAppToPerson ListUsageRecordThisMonth UpdateIncomingPhoneNumber UpdateService
""".split()


def coverage(sim, **_):
    answered = {row["operation"] for row in sim.control("GET", "calls")[1] if row["status"] in (200, 201, 204)}
    check("operations that were answered well", sorted(answered - {""}), OPERATIONS)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--operator", required=True)
    arguments.add_argument("--vectors")
    asked = vars(arguments.parse_args())
    # Both the client and the programs read settings from there.
    for name in [name for name in os.environ if name.startswith(("TWILIO_", "CPN_"))]:
        del os.environ[name]
    hooks = Hooks()
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as accounts:
        json.dump(ACCOUNTS, accounts)
        accounts.flush()
        sim = Program(asked["operator"], "simulate", "--listen", "127.0.0.1:0", "--latency", "0ms", "--accounts",
                      accounts.name, "--deliver-to", hooks.base)
    try:
        for topic in (search, buy, pages, messages, account, pricing, services, release, credentials, purchases, faults,
                      deliveries, inbox, vectors, coverage):
            try:
                topic(sim=sim, hooks=hooks, **asked)
            except Exception:
                check(f"{topic.__name__} to its end", traceback.format_exc(), "no exception")
    finally:
        sim.stop()
        hooks.server.shutdown()
    print(f"python: {Tally.calls} calls, {Tally.checks} checks, {Tally.failures} failures")
    raise SystemExit(1 if Tally.failures else 0)


if __name__ == "__main__":
    main()
