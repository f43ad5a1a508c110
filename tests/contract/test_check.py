#!/usr/bin/env python3
"""Tests of the check itself: each kind of mistake is found, and nothing else.

CONTRACT_SPECS names the folder of the documents, as fetch_specs.sh prints it.
"""

import copy
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from allowed import Allowed
from check import MUST_BE_COVERED
from documents import Documents
from rules import check

HERE = Path(__file__).parent
CLIENT = HERE.parents[1] / "src" / "twilio"
SPECS = os.environ.get("CONTRACT_SPECS") or sys.exit("CONTRACT_SPECS must name the folder that fetch_specs.sh prints")
ACCOUNT = "AC" + "1" * 32
SERVICE = "MG" + "2" * 32
NUMBER = "PN" + "3" * 32
NUMBERS = f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers"
A_NUMBER = {
    "account_sid": ACCOUNT,
    "address_requirements": "none",
    "address_sid": None,
    "api_version": "2010-04-01",
    "beta": False,
    "bundle_sid": None,
    "capabilities": {"voice": True, "sms": True, "mms": True, "fax": False},
    "date_created": "Thu, 30 Jul 2015 23:19:04 +0000",
    "date_updated": "Thu, 30 Jul 2015 23:19:04 +0000",
    "emergency_address_sid": None,
    "emergency_address_status": "unregistered",
    "emergency_status": "Inactive",
    "friendly_name": "Reception",
    "identity_sid": None,
    "origin": "twilio",
    "phone_number": "+14185551234",
    "sid": NUMBER,
    "sms_application_sid": None,
    "sms_fallback_method": "POST",
    "sms_fallback_url": None,
    "sms_method": "POST",
    "sms_url": "https://example.com/sms",
    "status": "in-use",
    "status_callback": None,
    "status_callback_method": "POST",
    "trunk_sid": None,
    "type": "local",
    "uri": f"{NUMBERS}/{NUMBER}.json",
    "voice_application_sid": None,
    "voice_caller_id_lookup": False,
    "voice_fallback_method": "POST",
    "voice_fallback_url": None,
    "voice_method": "POST",
    "voice_receive_mode": "voice",
    "voice_url": None,
}
A_MEMBER = {
    "account_sid": ACCOUNT,
    "capabilities": ["SMS"],
    "country_code": "CA",
    "date_created": "2015-07-30T20:12:31Z",
    "date_updated": "2015-07-30T20:12:31Z",
    "phone_number": "+14185551234",
    "service_sid": SERVICE,
    "sid": NUMBER,
    "url": f"https://messaging.twilio.com/v1/Services/{SERVICE}/PhoneNumbers/{NUMBER}",
}
AN_ERROR = {
    "code": 20404,
    "message": "not found",
    "more_info": "https://www.twilio.com/docs/errors/20404",
    "status": 404,
}


def exchange(operation, method, path, body, status=200, **more):
    """A good exchange of the client's."""
    return {
        "operation": operation,
        "client": True,
        "fault": None,
        "method": method,
        "path": path,
        "query": [],
        "form": None,
        "contentType": None,
        "authorization": "Basic",
        "status": status,
        "body": copy.deepcopy(body),
        "responseType": None if body is None else "application/json;charset=utf-8",
        **more,
    }


def fetched(**changes):
    """A number, fetched; None takes a key away."""
    body = {key: value for key, value in {**A_NUMBER, **changes}.items() if changes.get(key, "") != "gone"}
    return exchange("FetchIncomingPhoneNumber", "GET", f"{NUMBERS}/{NUMBER}.json", body)


def listed(next_page=None, query=(("PageSize", "1000"),), items=(A_NUMBER,)):
    here = f"{NUMBERS}.json?PageSize=1000&Page=0"
    body = {
        "end": 0,
        "first_page_uri": here,
        "incoming_phone_numbers": list(items),
        "next_page_uri": next_page,
        "page": 0,
        "page_size": 1000,
        "previous_page_uri": None,
        "start": 0,
        "uri": here,
    }
    return exchange("ListIncomingPhoneNumber", "GET", f"{NUMBERS}.json", body, query=[list(pair) for pair in query])


def bought(*form, **more):
    more = {"contentType": "application/x-www-form-urlencoded", **more}
    form = [list(pair) for pair in form]
    return exchange("CreateIncomingPhoneNumber", "POST", f"{NUMBERS}.json", A_NUMBER, 201, form=form, **more)


def members(next_page=None, key="phone_numbers"):
    path = f"/v1/Services/{SERVICE}/PhoneNumbers"
    here = f"https://messaging.twilio.com{path}?PageSize=1000&Page=0"
    meta = {
        "first_page_url": here,
        "key": key,
        "next_page_url": next_page,
        "page": 0,
        "page_size": 1000,
        "previous_page_url": None,
        "url": here,
    }
    return exchange("ListPhoneNumber", "GET", path, {"meta": meta, "phone_numbers": [A_MEMBER]})


class Rules(unittest.TestCase):
    """What is found in one exchange."""

    @classmethod
    def setUpClass(cls):
        cls.documents = Documents(SPECS)

    def found(self, one):
        """The violations that are not on the list of allowed ones."""
        allowed = Allowed(HERE / "allowed.toml")
        return sorted(
            (found.side, found.field, found.kind)
            for found in check(self.documents, one).violations
            if not allowed.takes(found)
        )

    def finds(self, one, *expected):
        self.assertEqual(self.found(one), sorted(expected))

    def test_what_is_good_passes(self):
        gone = exchange("DeleteIncomingPhoneNumber", "DELETE", f"{NUMBERS}/{NUMBER}.json", None, 204)
        in_form = bought(("PhoneNumber", "+14185551234"), ("SmsUrl", "https://example.com/sms"), ("SmsMethod", "GET"))
        error = exchange("FetchIncomingPhoneNumber", "GET", f"{NUMBERS}/{NUMBER}.json", AN_ERROR, 404)
        for good in (gone, in_form, error, fetched(), listed(), members()):
            self.finds(good)

    def test_unknown_names(self):
        self.finds(listed(query=[("AreaCodee", "418")]), ("request", "query.AreaCodee", "unknown"))
        self.finds(
            bought(("PhoneNumber", "+14185551234"), ("SmsUrI", "https://example.com")),
            ("request", "form.SmsUrI", "unknown"),
        )

    def test_values_that_are_none(self):
        found = self.found(bought(("PhoneNumber", "+14185551234"), ("SmsMethod", "BOGUS")))
        self.assertIn(("request", "form.SmsMethod", "enum"), found)
        for name, text, kind in (
            ("PageSize", "many", "type"),
            ("PageSize", "1001", "maximum"),
            ("Beta", "yes", "type"),
            ("PhoneNumber", "four", "format"),
        ):
            self.finds(listed(query=[(name, text)]), ("request", f"query.{name}", kind))
        self.finds(
            bought(("PhoneNumber", "+14185551234"), ("SmsUrl", "not a url")), ("request", "form.SmsUrl", "format")
        )
        self.finds(
            bought(("PhoneNumber", "+14185551234"), ("BundleSid", "BU" + "x" * 32)),
            ("request", "form.BundleSid", "pattern"),
        )
        self.finds(listed(query=[("Beta", "true"), ("Beta", "false")]), ("request", "query.Beta", "repeated"))

    def test_what_is_required(self):
        self.finds(bought(("FriendlyName", "x")), ("request", "form.PhoneNumber|AreaCode", "required"))
        join = exchange("CreatePhoneNumber", "POST", f"/v1/Services/{SERVICE}/PhoneNumbers", A_MEMBER, 201)
        self.finds(join, ("request", "form.PhoneNumberSid", "required"))
        self.finds({**fetched(), "authorization": None}, ("request", "authorization", "missing"))

    def test_content_type_of_the_form(self):
        form = ("PhoneNumber", "+14185551234")
        self.finds(bought(form, contentType="application/json"), ("request", "contentType", "unknown"))
        self.finds(bought(form, contentType=None), ("request", "contentType", "unknown"))
        header = "application/x-www-form-urlencoded"
        self.finds({**fetched(), "contentType": header, "form": []})
        self.finds(
            {**fetched(), "contentType": header, "form": [["SmsUrl", ""]]},
            ("request", "contentType", "unknown"),
            ("request", "form.SmsUrl", "unknown"),
        )

    def test_operations(self):
        self.finds({**fetched(), "operation": "FetchNumber"}, ("request", "operation", "unknown"))
        nowhere = exchange("", "GET", f"/2010-04-01/Accounts/{ACCOUNT}/Nothing.json", {})
        self.finds(nowhere, ("request", "path", "unknown"))
        self.finds({**fetched(), "method": "PUT", "operation": ""}, ("request", "path", "unknown"))

    def test_only_requests_that_count_are_checked(self):
        odd = {**listed(query=[("AreaCodee", "418")]), "status": 404, "body": AN_ERROR}
        self.finds(odd, ("request", "query.AreaCodee", "unknown"))
        self.finds({**odd, "client": False})

    def test_status_and_content_type_of_the_answer(self):
        self.finds({**fetched(), "status": 201}, ("answer", "status", "unknown"))
        self.finds({**fetched(), "responseType": "text/html"}, ("answer", "responseType", "unknown"))
        gone = exchange("DeleteIncomingPhoneNumber", "DELETE", f"{NUMBERS}/{NUMBER}.json", {}, 204)
        self.finds(gone, ("answer", "body", "extra"))

    def test_keys_of_the_answer(self):
        self.finds(fetched(sms_url="gone"), ("answer", "body.sms_url", "missing"))
        self.finds(fetched(colour="blue"), ("answer", "body.colour", "extra"))
        without = {key: value for key, value in A_NUMBER.items() if key != "sid"}
        self.finds(listed(items=[without]), ("answer", "body.incoming_phone_numbers[].sid", "missing"))
        capabilities = {"voice": True, "sms": True, "mms": True}
        self.finds(fetched(capabilities=capabilities), ("answer", "body.capabilities.fax", "missing"))

    def test_values_of_the_answer(self):
        for changes, kind in (
            ({"beta": "false"}, "type"),
            ({"address_requirements": "some"}, "enum"),
            ({"sid": "PNx"}, "pattern"),
            ({"sms_url": "/sms"}, "format"),
            ({"capabilities": []}, "type"),
        ):
            with self.subTest(changes):
                (name,) = changes
                self.assertIn(("answer", f"body.{name}", kind), self.found(fetched(**changes)))

    def test_dates(self):
        for text in ("2015-07-30T23:19:04Z", "Fri, 30 Jul 2015 23:19:04 +0000", "Thu, 31 Jun 2015 23:19:04 +0000", ""):
            self.finds(fetched(date_created=text), ("answer", "body.date_created", "format"))
        page = members()
        page["body"]["phone_numbers"][0]["date_created"] = "2015-07-30 20:12:31"
        self.finds(page, ("answer", "body.phone_numbers[].date_created", "format"))

    def test_only_an_empty_text_clears(self):
        self.finds(bought(("PhoneNumber", "+14185551234"), ("SmsApplicationSid", "")))
        self.finds(fetched(sms_application_sid="", sms_url=""))
        self.assertTrue(self.found(fetched(sms_application_sid="none")))

    def test_errors(self):
        def answered(**changes):
            body = {key: value for key, value in {**AN_ERROR, **changes}.items() if value is not None}
            return exchange("FetchIncomingPhoneNumber", "GET", f"{NUMBERS}/{NUMBER}.json", body, 404)

        self.finds(answered(message=None), ("answer", "body.message", "missing"))
        self.finds(answered(detail="x"), ("answer", "body.detail", "extra"))
        self.finds(answered(code="20404"), ("answer", "body.code", "type"))
        self.finds(answered(status=400), ("answer", "body.status", "error"))
        self.finds({**answered(), "body": "<html>"}, ("answer", "body", "error"))
        self.finds({**answered(), "body": None}, ("answer", "body", "error"))
        self.finds({**answered(), "status": 401, "client": False}, ("answer", "body.status", "error"))

    def test_paging(self):
        self.finds(listed(f"{NUMBERS}.json?PageSize=1000&Page=1&PageToken=PA1"))
        link = ("answer", "body.next_page_uri", "paging")
        for uri in (
            f"https://api.twilio.com{NUMBERS}.json?Page=1",
            f"/2010-04-01/Accounts/AC{'9' * 32}/IncomingPhoneNumbers.json?Page=1",
            f"{NUMBERS}.json?Pages=1",
        ):
            self.finds(listed(uri), link)
        url = f"/v1/Services/{SERVICE}/PhoneNumbers?PageSize=1000&Page=1"
        self.finds(members(f"https://messaging.twilio.com{url}"))
        self.assertIn(("answer", "body.meta.next_page_url", "paging"), self.found(members(url)))
        self.finds(members(key="numbers"), ("answer", "body.meta.key", "paging"))

    def test_an_injected_fault_excuses_the_answer_only(self):
        broken = {**listed(query=[("AreaCodee", "418")]), "fault": "garbage", "body": '{"sid": "'}
        self.finds(broken, ("request", "query.AreaCodee", "unknown"))
        self.finds({**fetched(), "fault": "reset_after", "status": 0, "body": None, "responseType": None})

    def test_every_operation_of_these_products_can_be_checked(self):
        regulations = self.documents.find("GET", "/v2/RegulatoryCompliance/Regulations")
        alerts = self.documents.find("GET", "/v1/Alerts")
        self.assertEqual([found[0].name for found in (regulations, alerts)], ["ListRegulation", "ListAlert"])


class TheList(unittest.TestCase):
    """What must be covered, and what is allowed."""

    def test_the_client_calls_what_must_be_covered(self):
        text = "".join(file.read_text(encoding="utf-8") for file in CLIENT.glob("*.rs"))
        called = set(re.findall(r'"((?:List|Fetch|Create|Update|Delete)[A-Z]\w+)"', text))
        self.assertEqual(called, set(MUST_BE_COVERED))

    def test_an_entry_that_is_not_needed_is_told(self):
        unused = Allowed(HERE / "allowed.toml").unused()
        self.assertIn("days is not needed", unused)


class Program(unittest.TestCase):
    """The program as a whole."""

    def run_on(self, text):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "1.jsonl").write_text(text, encoding="utf-8")
            command = [sys.executable, str(HERE / "check.py"), "--specs", SPECS, folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()

    def test_nothing_recorded_fails(self):
        code, lines = self.run_on("")
        self.assertEqual(code, 1)
        self.assertIn("no exchange is recorded", lines)

    def test_what_was_done_is_told(self):
        good, bad = json.dumps(fetched()), json.dumps(fetched(colour="x" * 1000))
        # The same once more, and half a line of a process that was killed.
        code, lines = self.run_on(f"{good}\n{bad}\n{good}\n{bad[:50]}")
        self.assertEqual(code, 1)
        self.assertIn("FetchIncomingPhoneNumber: answer: extra (1 times): body.colour", lines)
        self.assertIn("the client never called ListService and got its answer", lines)
        self.assertIn("allowed.toml: days is not needed", lines)
        self.assertLess(max(map(len, lines)), 3000)
        self.assertRegex(
            lines[-1],
            r"^contract: 2 exchanges, 2 requests and 2 answers checked, 0 allow-listed by \d+ entries, 1 violations$",
        )

    def test_half_a_line_is_an_error_anywhere_else(self):
        _, lines = self.run_on('{"operation": \n' + json.dumps({"operation": ""}) + "\n")
        self.assertTrue(any("1.jsonl:1: " in line for line in lines))
        self.assertTrue(any("1.jsonl:2: there is no client" in line for line in lines))


if __name__ == "__main__":
    unittest.main()
