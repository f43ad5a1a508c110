"""Everything that is refused or goes wrong, and what the official client makes of it."""

import json

import requests

from harness import (CLOSED, FULL, HELD, HOOK, MAIN, PATIENT, RESTRICTED, STANDARD, SUB, SUSPENDED, TOKEN, TRIAL, check,
                     fields, offer, refused, sid)


def credentials(sim, **_):
    client = sim.client()
    for what, user, password in (("token", FULL, sid("", 9)), ("account", sid("AC", 9), TOKEN), ("key", MAIN, "wrong")):
        bad = sim.client(user, password, FULL)
        refused(f"a wrong {what}", 401, 20003, bad.balance.fetch)
        refused(f"a list with a wrong {what}", 401, 20003, bad.incoming_phone_numbers.list)
        refused(f"prices with a wrong {what}", 401, 20003, bad.pricing.v1.phone_numbers.countries("CA").fetch)
    refused("another account", 401, 20003, client.api.v2010.accounts(TRIAL).incoming_phone_numbers.list)
    refused("a key on a subaccount", 401, 20003, sim.client(MAIN, "example", SUB).balance.fetch)
    refused("a standard key", 401, 20003, sim.client(STANDARD, "example", FULL).api.v2010.accounts(FULL).fetch)
    refused("no permission", 403, 70051, sim.client(RESTRICTED, "example", FULL).balance.fetch)
    fields("with a main key", sim.client(MAIN, "example", FULL).balance.fetch(), account_sid=FULL)
    for account in (SUSPENDED, CLOSED):
        stopped = sim.client(account)
        refused("an account that is stopped", 403, 20403, stopped.api.v2010.accounts(account).fetch)
        refused("a purchase of one", 403, 20403, lambda: stopped.incoming_phone_numbers.create(area_code="418"))


def purchases(sim, **_):
    client, trial = sim.client(), sim.client(TRIAL)
    numbers = client.incoming_phone_numbers
    trial_number = trial.incoming_phone_numbers.create(phone_number=offer(trial))
    number = offer(client)
    refused("a second number on trial", 400, 21404, lambda: trial.incoming_phone_numbers.create(phone_number=number))
    refused("a message on trial", 400, 21608,
            lambda: trial.messages.create(to=PATIENT, from_=trial_number.phone_number, body="x"))
    britain, berlin = (client.available_phone_numbers(country).local.list(limit=1)[0] for country in ("GB", "DE"))
    mobile = client.available_phone_numbers("GB").mobile.list(limit=1)[0].phone_number
    for what, code, asked in (
        ("no number", 21421, dict(phone_number="12")), ("neither", 21421, {}),
        ("one that is taken", 21422, dict(phone_number=trial_number.phone_number)),
        ("one that does not exist", 21422, dict(phone_number="+14180005555")),
        ("no area code", 21451, dict(area_code="4x8")), ("a short area code", 21451, dict(area_code="41")),
        ("no URL", 21402, dict(phone_number=number, sms_url="clinic")),
        ("no method", 21403, dict(phone_number=number, sms_method="PUT")),
        ("a fallback alone", 21406, dict(phone_number=number, sms_fallback_url=HOOK)),
        ("a voice fallback alone", 21405, dict(phone_number=number, voice_fallback_url=HOOK)),
        ("no application", 21420, dict(phone_number=number, sms_application_sid="AP1")),
        ("a long name", 20002, dict(phone_number=number, friendly_name="x" * 65)),
        ("without an address", 21631, dict(phone_number=britain.phone_number)),
        ("without a bundle", 21649, dict(phone_number=berlin.phone_number)),
        ("a mobile without a bundle", 21649, dict(phone_number=mobile)),
    ):
        refused(f"buying {what}", 400, code, lambda: numbers.create(**asked))
    fields("with its address", numbers.create(phone_number=britain.phone_number, address_sid=sid("AD", 1)),
           address_sid=sid("AD", 1), address_requirements="any")
    refused("buying the wrong type", 400, 21458, lambda: numbers.toll_free.create(phone_number=number))
    sim.control("PUT", "stock", [{"country": "CA", "type": "Local", "areaCode": "873", "count": 0}])
    refused("an empty area code", 400, 21452, lambda: numbers.create(area_code="873"))
    sim.control("PUT", "stock", [])
    bought = numbers.create(phone_number=number)
    sim.control("PUT", "settings", {"buyOwned": "refuse"})
    refused("buying twice", 400, 21422, lambda: numbers.create(phone_number=number))
    sim.control("PUT", "settings", {"buyOwned": "upsert"})
    for code, target in ((21470, "AC1"), (21474, TRIAL)):
        refused(f"moving to {target}", 400, code, lambda: bought.update(account_sid=target))
    fields("moved", bought.update(account_sid=SUB), account_sid=SUB, sid=bought.sid)
    theirs = client.api.v2010.accounts(SUB).incoming_phone_numbers
    check("listed where it went", [n.sid for n in theirs.list()], [bought.sid])
    refused("fetching what has moved", 404, 20404, numbers(bought.sid).fetch)
    send = client.messages.create
    for what, code, asked in (
        ("to nobody", 21604, dict(to="", from_=HELD[0], body="x")),
        ("to nonsense", 21211, dict(to="1", from_=HELD[0], body="x")),
        ("from nobody", 21603, dict(to=PATIENT, body="x")),
        ("from nonsense", 21212, dict(to=PATIENT, from_="1", body="x")),
        ("from another's", 21606, dict(to=PATIENT, from_=trial_number.phone_number, body="x")),
        ("nothing", 21602, dict(to=PATIENT, from_=HELD[0])),
    ):
        refused(f"sending {what}", 400, code, lambda: send(**asked))
    refused("an unknown message", 404, 20404, client.messages(sid("SM", 9)).fetch)


def faults(sim, **_):
    client = sim.client()
    numbers, balance = client.incoming_phone_numbers, client.balance.fetch
    for fault, status, code in (("http_429", 429, 20429), ("http_503", 503, 20503), ("http_500_after", 500, 20500),
                                ("not_found", 404, 20404), ("refuse", 400, 20422)):
        sim.fault("FetchBalance", fault)
        refused(fault, status, code, balance)
        fields(f"after {fault}", balance(), currency="USD")
        sim.fault("ListIncomingPhoneNumber", fault, nth=2)
        refused(f"{fault} on the second page", status, code, lambda: numbers.list(page_size=40))
    # What the client says is not what happened: the number is bought each time.
    for what, fault, error in (("cut", "reset_after", requests.ConnectionError),
                               ("late", "timeout_after", requests.Timeout), ("garbage", "garbage", ValueError)):
        number, impatient = offer(client), sim.client(timeout=0.5)
        sim.fault("CreateIncomingPhoneNumber", fault, match={"phoneNumber": number})
        try:
            got = impatient.incoming_phone_numbers.create(phone_number=number)
        except (requests.RequestException, ValueError) as problem:
            got = problem
        check(f"{what}: what the client raises", isinstance(got, error) or got)
        check(f"{what}: bought all the same", len(numbers.list(phone_number=number)), 1)
    sim.control("PUT", "faults", [])
    path = f"{sim.base}/2010-04-01/Accounts/{FULL}/IncomingPhoneNumbers"
    for what, method, url, asked, expected in (
        ("a page that is too large", "GET", ".json", {"params": {"PageSize": 1001}}, (400, 20007)),
        ("an unknown parameter", "POST", ".json", {"data": {"AreaCode": "418", "SmsUrI": HOOK}}, (400, 20001)),
        ("an unknown filter", "GET", ".json", {"params": {"Phonenumber": "1"}}, (400, 20001)),
        ("an unknown method", "PUT", ".json", {}, (405, 20004)), ("an unknown path", "GET", "x.json", {}, (404, 20404)),
    ):
        answer = client.request(method, path + url, **asked)
        told = json.loads(answer.text)
        check(what, (answer.status_code, told["code"], told["status"]), (*expected, expected[0]))
        check(f"{what}: more", told["more_info"], f"https://www.twilio.com/docs/errors/{expected[1]}")
    sim.control("PUT", "settings", {"strict": False})
    check("not strict", client.request("GET", path + ".json", params={"Phonenumber": "1"}).status_code, 200)
    sim.control("PUT", "settings", {"strict": True})
