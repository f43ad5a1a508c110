#!/usr/bin/env python3
"""Tests of the live check, against the simulator: it agrees, differences are told, and what is bought is given back.

OPERATOR names the binary.
"""

import json
import os
import re
import subprocess
import sys
import unittest
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
OPERATOR = os.environ.get("OPERATOR") or sys.exit("OPERATOR must name the operator's binary")
ACCOUNT, TOKEN = "AC" + "0" * 31 + "1", "0" * 31 + "1"
KEY = "SK" + "0" * 31 + "1"


class LiveCheck(unittest.TestCase):
    def setUp(self):
        command = [OPERATOR, "simulate", "--listen", "127.0.0.1:0", "--latency", "0ms"]
        self.simulator = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.simulator.stdout.close)
        self.addCleanup(self.simulator.wait)
        self.addCleanup(self.simulator.kill)
        self.url = re.search(r"http://\S+", self.simulator.stdout.readline()).group()
        self.check()

    def check(self, *flags, **variables):
        environment = {**os.environ, "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN, **variables}
        command = [sys.executable, HERE / "live_check.py", "--twilio-url", self.url, *flags]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout

    def control(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.url}/_simulator/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def test_only_questions_are_asked_unless_a_price_is_named(self):
        code, told = self.check()
        self.assertEqual(code, 0, told)
        calls = self.control("GET", "calls")
        self.assertEqual({call["method"] for call in calls}, {"GET"})
        self.assertNotIn(TOKEN, told)

    def test_one_number_is_bought_and_given_back(self):
        code, told = self.check("--buy-for-at-most", "1.15 USD")
        self.assertEqual(code, 0, told)
        ledger = self.control("GET", "ledger")
        self.assertEqual((len(ledger["purchases"]), len(ledger["releases"])), (1, 1))
        for price in ("1.14 USD", "1.15 CAD"):
            code, told = self.check("--buy-for-at-most", price)
            self.assertEqual(code, 1, told)
        self.assertEqual(len(self.control("GET", "ledger")["purchases"]), 1, "too dear")

    def test_what_is_bought_is_given_back_whatever_happens(self):
        self.control("PUT", "faults", [{"operation": "UpdateIncomingPhoneNumber", "fault": "reset_before", "times": 0}])
        command = [sys.executable, HERE / "live_check.py", "--twilio-url", self.url, "--buy-for-at-most", "1.15 USD"]
        environment = {**os.environ, "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("was given back", done.stdout)
        ledger = self.control("GET", "ledger")
        self.assertEqual((len(ledger["purchases"]), len(ledger["releases"])), (1, 1))

    def test_a_difference_is_told(self):
        self.control("PUT", "faults", [{"operation": "ListAlert", "fault": "not_found", "times": 0}])
        code, told = self.check()
        self.assertEqual(code, 3, told)
        self.assertRegex(told, r"DIFFERS +alerts: .*\n +seen: 404/20404")
        self.assertTrue(told.rstrip().endswith("1 differ"), told)

    def test_an_api_key_will_do(self):
        code, told = self.check(TWILIO_API_KEY=KEY, TWILIO_API_SECRET="example")
        self.assertEqual(code, 0, told)
        self.assertIn("account-of-a-key", told)

    def test_the_page_lists_every_item(self):
        listed = subprocess.run([sys.executable, HERE / "live_check.py", "--list"], capture_output=True, text=True, check=True)
        page = (HERE.parents[1] / "docs" / "live-check.md").read_text(encoding="utf-8")
        self.assertIn(listed.stdout, page, "write it anew: tests/contract/live_check.py --list")


if __name__ == "__main__":
    unittest.main()
