"""What the checks in clients.py stand on: counting, the programs under test, the official client on a leash."""

import http.client
import http.server
import json
import re
import subprocess
import threading
from urllib.parse import urlsplit

from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client


def sid(prefix, number):
    return f"{prefix}{number:032}"


FULL, TRIAL, SUSPENDED, SUB, CLOSED = (sid("AC", n) for n in range(1, 6))
MAIN, STANDARD, RESTRICTED = (sid("SK", n) for n in range(1, 4))
TOKEN = sid("", 1)
HELD = [f"+1581555{n:04}" for n in range(100, 154)]
PATIENT = "+15145550000"
HOOK = "https://clinic.example/sms"


class Tally:
    calls = checks = failures = 0


def check(what, got, expected=True):
    Tally.checks += 1
    if got == expected and isinstance(got, bool) == isinstance(expected, bool):
        return
    Tally.failures += 1
    print(f"FAILED {what}\n  expected: {expected!r}\n  got:      {got!r}", flush=True)


def fields(what, resource, **expected):
    for name, value in expected.items():
        check(f"{what}: {name}", getattr(resource, name), value)


def attempt(ask):
    """What is answered, or what goes wrong: for what must not stop the checks after it."""
    try:
        return ask()
    except Exception as error:
        return repr(error)


def refused(what, status, code, call):
    try:
        got = f"no error: {call()!r}"
    except TwilioRestException as error:
        got = (error.status, error.code)
    except TwilioException as error:
        # A list raises without a code, but hands over what was answered.
        answer = error.args[1] if len(error.args) > 1 else None
        got = (answer.status_code, json.loads(answer.text)["code"]) if answer else repr(error)
    check(f"{what} is refused", got, (status, code))


class CountingHttp(TwilioHttpClient):
    """The official HTTP client, counted and kept on one address: page URLs come from the server."""

    def __init__(self, base, **options):
        super().__init__(**options)
        self.base = base
        self.session.trust_env = False

    def request(self, method, url, **rest):
        if not url.startswith(f"{self.base}/"):
            raise RuntimeError(f"the client was sent to {url}, which is not the simulator")
        Tally.calls += 1
        return super().request(method, url, **rest)


def call(method, url, body=b"", headers=()):
    """One request as it is, to where no client library may normalise anything."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.putrequest(method, parts.path + (f"?{parts.query}" if parts.query else ""))
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            connection.putheader(name, value.encode())
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Program:
    """`simulate` or `inbox` in a process of its own."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", line)
        if not address:
            self.stop()
            raise SystemExit(f"{command[1]} did not name its address: {line!r}")
        self.base = address.group()
        # A full pipe would stop the program.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def control(self, method, path, body=None):
        status, text = call(method, f"{self.base}/_simulator/{path}", json.dumps(body).encode())
        return status, json.loads(text)

    def fault(self, operation, fault, **more):
        self.control("PUT", "faults", [{"operation": operation, "fault": fault, **more}])

    def client(self, user=FULL, password=TOKEN, account=None, **options):
        client = Client(user, password, account, http_client=CountingHttp(self.base, **options))
        for product in (client.api, client.messaging, client.numbers, client.pricing, client.monitor):
            product.base_url = self.base
        return client

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()


class Hooks:
    """Receives what the simulator delivers. A webhook whose URL says `broken` fails."""

    def __init__(self):
        received = self.received = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_hook(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                signed = self.headers.get("X-Forwarded-Url") or f"http://{self.headers['Host']}{self.path}"
                received.append((self.command, signed, body.decode(), self.headers["X-Twilio-Signature"]))
                self.send_response(500 if "broken" in signed else 200)
                self.end_headers()

            do_GET = do_POST = handle_hook

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Form(dict):
    """Parameters as web frameworks hand them over: every value of a name."""

    def __init__(self, pairs):
        super().__init__()
        for name, value in pairs:
            self.setdefault(name, []).append(value)

    def getlist(self, name):
        return self[name]


def offer(client, able=True):
    """A number in 418 that is able to text, or unable."""
    found = client.available_phone_numbers("CA").local.list(area_code="418", page_size=200, limit=200)
    return next(o.phone_number for o in found if o.capabilities["SMS"] is able)
