#!/usr/bin/env python3
"""Looks at the real Twilio: is what this project assumes about it so? See docs/live-check.md.

Asks with the credentials of the environment (TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or with TWILIO_API_KEY and
TWILIO_API_SECRET). Only GET requests are made, which cost nothing; --buy-for-at-most buys one number and gives it back.
Nothing of what it reads is kept, and no number, name or message of the account is printed. Python alone is needed.
"""

import argparse
import base64
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from decimal import Decimal

ITEMS = []


def item(name, assumed, buys=False):
    """Registers one look: it returns what was seen and whether that is as assumed (None: nothing to look at)."""

    def register(look):
        ITEMS.append((name, assumed, buys, look))
        return look

    return register


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers = status, headers
        try:
            self.json = json.loads(body) if body else None
        except ValueError:
            self.json = None

    @property
    def code(self):
        return self.json.get("code") if isinstance(self.json, dict) else None

    def __str__(self):
        return f"{self.status}/{self.code}" if self.code else str(self.status)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Credentials go where they were sent, and nowhere else."""

    def redirect_request(self, *_):
        return None


class Twilio:
    def __init__(self, base, account, user, password):
        self._base, self.account = base, account
        self._user, self._password = user, password
        self._open = urllib.request.build_opener(NoRedirect).open
        self.calls = 0
        self.is_key = user.startswith("SK")

    def ask(self, product, path, query=(), method="GET", form=None, password=None):
        base = self._base or f"https://{product}.twilio.com"
        url = base + path + ("?" + urllib.parse.urlencode(query) if query else "")
        body = urllib.parse.urlencode(form).encode() if form is not None else None
        request = urllib.request.Request(url, data=body, method=method)
        pair = f"{self._user}:{password or self._password}".encode()
        request.add_header("Authorization", "Basic " + base64.b64encode(pair).decode())
        request.add_header("User-Agent", "clinic-phone-operator-live-check")
        self.calls += 1
        try:
            with self._open(request, timeout=30) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def api(self, path, query=(), **how):
        return self.ask("api", f"/2010-04-01/Accounts/{self.account}/{path}", query, **how)

    def get(self, product, path, query=()):
        return self.ask(product, path, query)


def first(answer, key):
    items = (answer.json or {}).get(key) if answer.status == 200 else None
    return items[0] if items else None


@item("search-capabilities", "SMS and MMS are in upper case, voice in lower case")
def _(t):
    number = first(t.api("AvailablePhoneNumbers/CA/Local.json", {"PageSize": 1}), "available_phone_numbers")
    keys = sorted((number or {}).get("capabilities") or {})
    return ", ".join(keys), {"SMS", "MMS", "voice"} <= set(keys)


@item("search-paging", "the answer has no paging fields")
def _(t):
    answer = t.api("AvailablePhoneNumbers/CA/Local.json", {"PageSize": 1})
    fields = [key for key in (answer.json or {}) if "page" in key]
    return ", ".join(fields) or "none", not fields


@item("search-elsewhere", "outside the United States and Canada AreaCode is ignored: numbers are found all the same")
def _(t):
    answer = t.api("AvailablePhoneNumbers/GB/Local.json", {"AreaCode": 418, "PageSize": 1})
    return str(answer), bool(first(answer, "available_phone_numbers"))


@item("search-missing-type", "a type that a country lacks is 404/20404")
def _(t):
    answer = t.api("AvailablePhoneNumbers/US/Mobile.json")
    return str(answer), (answer.status, answer.code) == (404, 20404)


@item("search-short-pattern", "Contains of one character is 400/20422")
def _(t):
    answer = t.api("AvailablePhoneNumbers/CA/Local.json", {"Contains": "1"})
    return str(answer), (answer.status, answer.code) == (400, 20422)


@item("page-size", "a PageSize over 1000 is 400/20007")
def _(t):
    answer = t.api("IncomingPhoneNumbers.json", {"PageSize": 1001})
    return str(answer), (answer.status, answer.code) == (400, 20007)


@item("page-without-token", "Page without PageToken is 400/20422")
def _(t):
    answer = t.api("IncomingPhoneNumbers.json", {"PageSize": 1, "Page": 1})
    return str(answer), (answer.status, answer.code) == (400, 20422)


@item("unknown-number", "a SID that the account does not have is 404/20404")
def _(t):
    answer = t.api(f"IncomingPhoneNumbers/PN{'0' * 32}.json")
    return str(answer), (answer.status, answer.code) == (404, 20404)


@item("wrong-token", "wrong credentials are 401/20003")
def _(t):
    answer = t.api("IncomingPhoneNumbers.json", {"PageSize": 1}, password="0" * 32)
    return str(answer), (answer.status, answer.code) == (401, 20003)


@item("headers", "Twilio-Concurrent-Requests, Twilio-Request-Duration and Twilio-Request-Id are there, Retry-After is not")
def _(t):
    headers = t.api("IncomingPhoneNumbers.json", {"PageSize": 1}).headers
    there = [name for name in ("Twilio-Concurrent-Requests", "Twilio-Request-Duration", "Twilio-Request-Id", "Retry-After") if headers.get(name)]
    return ", ".join(there), there == ["Twilio-Concurrent-Requests", "Twilio-Request-Duration", "Twilio-Request-Id"]


@item("number-words", "origin is twilio or hosted, type local, mobile or toll-free, status in-use")
def _(t):
    numbers = (t.api("IncomingPhoneNumbers.json", {"PageSize": 100}).json or {}).get("incoming_phone_numbers") or []
    if not numbers:
        return "the account has no number", None
    words = {name: sorted({str(number.get(name)) for number in numbers}) for name in ("origin", "type", "status")}
    allowed = {"origin": {"twilio", "hosted"}, "type": {"local", "mobile", "toll-free"}, "status": {"in-use"}}
    return json.dumps(words), all(set(words[name]) <= allowed[name] for name in words)


@item("label-filter", "the filter FriendlyName is exact")
def _(t):
    number = first(t.api("IncomingPhoneNumbers.json", {"PageSize": 1}), "incoming_phone_numbers")
    label = (number or {}).get("friendly_name") or ""
    if len(label) < 4:
        return "the account has no number with a label", None
    whole = t.api("IncomingPhoneNumbers.json", {"FriendlyName": label})
    part = t.api("IncomingPhoneNumbers.json", {"FriendlyName": label[:-1]})
    found = [bool(first(answer, "incoming_phone_numbers")) for answer in (whole, part)]
    return f"whole: {found[0]}, beginning: {found[1]}", found == [True, False]


@item("account-of-a-key", "an API key that is not a Main key gets 401/20003 for the account itself")
def _(t):
    if not t.is_key:
        return "no API key is used", None
    answer = t.ask("api", f"/2010-04-01/Accounts/{t.account}.json")
    return str(answer), (answer.status, answer.code) in ((401, 20003), (200, None))


@item("account-words", "an account's type is Trial or Full, its status active, suspended or closed")
def _(t):
    answer = t.ask("api", f"/2010-04-01/Accounts/{t.account}.json")
    if answer.status != 200:
        return str(answer), None
    words = (answer.json.get("type"), answer.json.get("status"))
    return "/".join(map(str, words)), words[0] in ("Trial", "Full") and words[1] in ("active", "suspended", "closed")


@item("number-prices", "prices of numbers are readable with these credentials, as text, by local and toll free")
def _(t):
    answer = t.get("pricing", "/v1/PhoneNumbers/Countries/CA")
    if answer.status != 200:
        return str(answer), False
    prices = answer.json.get("phone_number_prices") or []
    kinds = sorted({str(price.get("number_type")) for price in prices})
    text = all(isinstance(price.get("current_price"), str) for price in prices)
    return f"{', '.join(kinds)}; {'text' if text else 'not text'}", text and {"local", "toll free"} <= set(kinds)


@item("usage-left-out", "usage without Category has totalprice, its currency in lower case")
def _(t):
    answer = t.api("Usage/Records/ThisMonth.json", {"PageSize": 1000})
    records = (answer.json or {}).get("usage_records") or []
    total = [record for record in records if record.get("category") == "totalprice"]
    unit = total[0].get("price_unit") if total else None
    return f"{len(records)} records, {unit}", bool(total) and str(unit).islower()


@item("services", "Messaging Services are readable with these credentials, and next_page_url is absolute or null")
def _(t):
    answer = t.get("messaging", "/v1/Services", {"PageSize": 1})
    following = ((answer.json or {}).get("meta") or {}).get("next_page_url")
    return f"{answer}, {'null' if following is None else 'a link'}", answer.status == 200 and (following is None or "://" in following)


@item("not-in-a-service", "a number that is not in a Messaging Service is 404/20404 there")
def _(t):
    service = first(t.get("messaging", "/v1/Services", {"PageSize": 1}), "services")
    if service is None:
        return "the account has no Messaging Service", None
    answer = t.get("messaging", f"/v1/Services/{service['sid']}/PhoneNumbers/PN{'0' * 32}")
    return str(answer), (answer.status, answer.code) == (404, 20404)


@item("one-campaign", "a Messaging Service has one US campaign at most")
def _(t):
    services = (t.get("messaging", "/v1/Services", {"PageSize": 20}).json or {}).get("services") or []
    counts = []
    for service in services:
        answer = t.get("messaging", f"/v1/Services/{service['sid']}/Compliance/Usa2p")
        counts.append(len((answer.json or {}).get("compliance") or []))
    return f"at most {max(counts)}" if counts else "the account has no Messaging Service", max(counts) <= 1 if counts else None


@item("verifications", "verifications of toll-free numbers are readable with these credentials")
def _(t):
    answer = t.get("messaging", "/v1/Tollfree/Verifications", {"PageSize": 1})
    return str(answer), answer.status == 200


@item("no-regulation", "Canada and the United States have no regulation for local numbers that asks for anything")
def _(t):
    asks = {country: asking(t, country) for country in ("CA", "US")}
    return json.dumps(asks), not any(asks.values())


@item("regulation", "France and Germany have regulations for local numbers that ask for something")
def _(t):
    asks = {country: asking(t, country) for country in ("FR", "DE")}
    return json.dumps(asks), all(asks.values())


def asking(t, country):
    query = {"IsoCountry": country, "NumberType": "local", "PageSize": 50}
    rules = (t.get("numbers", "/v2/RegulatoryCompliance/Regulations", query).json or {}).get("results") or []
    needs = (rule.get("requirements") or {} for rule in rules)
    return sum(1 for need in needs if need.get("end_user") or need.get("supporting_document"))


@item("alerts", "the debugger's alerts are readable with these credentials")
def _(t):
    answer = t.get("monitor", "/v1/Alerts", {"PageSize": 1})
    return str(answer), answer.status == 200


@item("buy-twice", "to buy a number again that the account holds is 201 like an update, or 400/21422; it is one number all the same", buys=True)
def _(t):
    again = t.api("IncomingPhoneNumbers.json", method="POST", form={"PhoneNumber": t.bought["phone_number"]})
    same = again.status == 201 and again.json.get("sid") == t.bought["sid"]
    return f"{again}{', the same SID' if same else ''}", same or (again.status, again.code) == (400, 21422)


@item("list-lag", "a bought number is in the account's list within a minute", buys=True)
def _(t):
    since = time.monotonic()
    while time.monotonic() - since < 60:
        listed = t.api("IncomingPhoneNumbers.json", {"PhoneNumber": t.bought["phone_number"]})
        if first(listed, "incoming_phone_numbers"):
            return f"after {time.monotonic() - since:.1f} s", True
        time.sleep(1)
    return "not within a minute", False


@item("clear", "an empty SmsUrl clears it", buys=True)
def _(t):
    answer = t.api(f"IncomingPhoneNumbers/{t.bought['sid']}.json", method="POST", form={"SmsUrl": ""})
    return f"{answer}, {json.dumps((answer.json or {}).get('sms_url'))}", not (answer.json or {}).get("sms_url")


@item("release", "a release is 204, and a second one 404/20404", buys=True)
def _(t):
    path = f"IncomingPhoneNumbers/{t.bought['sid']}.json"
    answers = [t.api(path, method="DELETE") for _ in range(2)]
    t.released = answers[0].status == 204
    return ", ".join(map(str, answers)), t.released and (answers[1].status, answers[1].code) == (404, 20404)


def buy(t, most, currency):
    """One local number of Canada at this price or less; what it is, or why there is none."""
    prices = t.get("pricing", "/v1/PhoneNumbers/Countries/CA").json or {}
    local = [p["current_price"] for p in prices.get("phone_number_prices") or [] if p.get("number_type") == "local"]
    if not local or prices.get("price_unit") != currency or Decimal(str(local[0])) > most:
        return None, f"a number costs {local[:1]} {prices.get('price_unit')}: more than was allowed, or not to be told"
    offer = first(t.api("AvailablePhoneNumbers/CA/Local.json", {"PageSize": 1, "SmsEnabled": "true"}), "available_phone_numbers")
    if offer is None:
        return None, "no number is on offer"
    form = {"PhoneNumber": offer["phone_number"], "FriendlyName": "live check: to be released", "SmsUrl": "https://example.com/live-check"}
    try:
        answer = t.api("IncomingPhoneNumbers.json", method="POST", form=form)
    except OSError as error:
        return None, f"the purchase of {offer['phone_number']} was sent and not answered ({error}): look in the Twilio Console, and release it there"
    return (answer.json, None) if answer.status == 201 else (None, f"it was not sold: {answer}")


def give_back(t):
    """Whatever went wrong before: nobody pays rent for a test."""
    try:
        gone = t.api(f"IncomingPhoneNumbers/{t.bought['sid']}.json", method="DELETE").status in (204, 404)
    except OSError:
        gone = False
    print(f"{t.bought['sid']} was given back" if gone else f"RELEASE BY HAND: {t.bought['sid']} was bought and not given back")


def table():
    lines = ["| item | assumed | |", "|---|---|---|"]
    return lines + [f"| `{name}` | {assumed} | {'buys' if buys else ''} |" for name, assumed, buys, _ in ITEMS]


def credentials():
    account, token = os.environ.get("TWILIO_ACCOUNT_SID"), os.environ.get("TWILIO_AUTH_TOKEN")
    key, secret = os.environ.get("TWILIO_API_KEY"), os.environ.get("TWILIO_API_SECRET")
    if account and key and secret:
        return account, key, secret
    if account and token:
        return account, account, token
    sys.exit("set TWILIO_ACCOUNT_SID, and TWILIO_AUTH_TOKEN or TWILIO_API_KEY with TWILIO_API_SECRET")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print the items as docs/live-check.md has them, and ask nothing")
    parser.add_argument("--buy-for-at-most", metavar="'1.15 USD'", help="buy one number at this price or less, look, and give it back")
    parser.add_argument("--twilio-url", help="a simulator in place of Twilio")
    args = parser.parse_args()
    if args.list:
        print("\n".join(table()))
        return 0
    most = None
    if args.buy_for_at_most:
        amount, _, currency = args.buy_for_at_most.partition(" ")
        most = (Decimal(amount), currency)
    t = Twilio(args.twilio_url, *credentials())
    t.bought, t.released = None, False
    counts = {True: 0, False: 0, None: 0}
    if most:
        t.bought, why = buy(t, *most)
        print(why or f"bought {t.bought['sid']}; it is given back at the end")
        if t.bought is None:
            return 1
    try:
        for name, assumed, buys, look in ITEMS:
            if buys and t.bought is None:
                continue
            seen, as_assumed = look(t)
            counts[as_assumed] += 1
            word = {True: "as assumed", False: "DIFFERS", None: "nothing to look at"}[as_assumed]
            print(f"{word:18}  {name}: {assumed}\n{'':20}seen: {seen}", flush=True)
    finally:
        if t.bought is not None and not t.released:
            give_back(t)
    print(f"live check: {t.calls} calls, {counts[True]} as assumed, {counts[None]} with nothing to look at, {counts[False]} differ")
    return 3 if counts[False] else 0


if __name__ == "__main__":
    sys.exit(main())
