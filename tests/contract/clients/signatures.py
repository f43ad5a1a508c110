"""Signatures: what the simulator and the inbox say, and what the official validator says."""

import hashlib
import json
import re
from urllib.parse import parse_qsl, urlencode

from twilio.request_validator import RequestValidator

from harness import HELD, HOOK, PATIENT, SUB, TOKEN, Form, Program, call, check, sid

FORM = "application/x-www-form-urlencoded"
PARAMS = [("From", PATIENT), ("To", "+14185551234"), ("Body", "Hello")]


def validated(what, token, url, params, signature):
    """The official validator takes this signature, and none that was made for something else."""
    def valid(token, url, params, signature):
        try:
            return RequestValidator(token).validate(url, Form((n, v) for n in params for v in params[n]), signature)
        except ValueError:
            return False  # no URL that it can read

    check(f"{what}: accepted", valid(token, url, params, signature))
    others = {
        "token": (sid("", 99), url, params, signature),
        "URL": (token, url + "0", params, signature),
        "host": (token, re.sub("//[^/?]+", "//other.example", url), params, signature),
        "signature": (token, url, params, ""),
        "another parameter": (token, url, {**params, "Extra": ["1"]}, signature),
    }
    for name in [name for name in params if name][:1]:
        rest = {other: params[other] for other in params if other != name}
        others["parameter changed"] = (token, url, {**rest, name: [params[name][0] + "x"]}, signature)
        others["parameter missing"] = (token, url, rest, signature)
    for change, other in others.items():
        check(f"{what}: refused with {change}", valid(*other), False)


def deliveries(sim, hooks, operator, **_):
    client = sim.client()
    number = client.incoming_phone_numbers.list(phone_number=HELD[0])[0]
    urls = [HOOK, HOOK + "?clinic=1&name=a%20b+c", "https://clinic.example:8443/sms", "http://clinic.example",
            "https://user:secret@clinic.example/sms?x", "https://clinic.example/a%2Fb/it's?m=d@e:1", HOOK + "/broken"]
    bodies = ["Hello", "", "  a b+c & d=e %20 ", "Ça va ? 漢字 😀", "line\r\nline\n\ttab", "x" * 1600]
    service = client.messaging.v1.services.create(friendly_name="Signed", inbound_request_url=HOOK + "/service")

    def deliver(what, signed, method, body="Hello", token=TOKEN, to=number.phone_number, more=()):
        hooks.received.clear()
        sim.control("POST", "messages", {"from": PATIENT, "to": to, "body": body})
        check(f"{what}: deliveries", len(hooks.received), 1 + len(more))
        for url, (got, forwarded, text, signature) in zip([signed, *more], hooks.received):
            told = Form(parse_qsl(text, keep_blank_values=True))
            check(f"{what}: method", got, method)
            sent = told if got == "POST" else Form(parse_qsl(forwarded[len(url) + 1:], keep_blank_values=True))
            check(f"{what}: URL", forwarded if got == "POST" else forwarded[: len(url)], url)
            check(f"{what}: body", (sent.get("To"), sent.get("Body")), ([to], [body]))
            check(f"{what}: error", sent.get("ErrorCode"), ["11200"] if url in more else None)
            validated(what, token, forwarded, told, signature)

    for method in ("POST", "GET"):
        for url in urls:
            fallback = HOOK + "/fallback"
            number.update(sms_url=url, sms_method=method, sms_fallback_url=fallback, sms_fallback_method=method)
            deliver(f"{method} {url}", url, method, more=[fallback] if "broken" in url else [])
        number.update(sms_url=HOOK, sms_method=method)
        for body in bodies:
            deliver(f"{method} {body[:20]!r}", HOOK, method, body)
    number.update(sms_url=HOOK + "#rc=3", sms_method="POST")
    deliver("without its fragment", HOOK, "POST")
    client.messaging.v1.services(service.sid).phone_numbers.create(phone_number_sid=number.sid)
    deliver("to a service", HOOK + "/service", "POST")
    theirs = client.api.v2010.accounts(SUB).incoming_phone_numbers.create(area_code="581", sms_url=HOOK)
    deliver("to a subaccount", HOOK, "POST", token=sid("", 4), to=theirs.phone_number)
    sim.control("PATCH", f"accounts/{SUB}", {"authToken": sid("", 44)})
    deliver("with a new token", HOOK, "POST", token=sid("", 44), to=theirs.phone_number)
    # Without --deliver-to, the URL is the one that was really called.
    direct = Program(operator, "simulate", "--listen", "127.0.0.1:0", "--latency", "0ms")
    try:
        for method in ("POST", "GET"):
            numbers = direct.client().incoming_phone_numbers
            called = numbers.create(area_code="418", sms_url=hooks.base + "/a?b=c", sms_method=method)
            hooks.received.clear()
            direct.control("POST", "messages", {"from": PATIENT, "to": called.phone_number, "body": "é +"})
            (_, url, text, signature), = hooks.received
            validated(f"{method} without --deliver-to", TOKEN, url, Form(parse_qsl(text, True)), signature)
    finally:
        direct.stop()


def vectors(vectors=None, **_):
    if not vectors:
        return
    with open(vectors, encoding="utf-8") as file:
        for one in json.load(file):
            params = {name: value if isinstance(value, list) else [value] for name, value in one["params"].items()}
            validated(one["what"], one["token"], one["url"], params, one["signature"])


TABLE = [  # what, the URL that the inbox sees, the URL that was signed, parameters
    ("spaces", HOOK, HOOK, [("Body", "  a b  ")]), ("plus signs", HOOK, HOOK, [("From", "+1 + 2")]),
    ("Unicode", HOOK, HOOK, [("Body", "é 漢 😀"), ("é", "name")]),
    ("empty values", HOOK, HOOK, [("A", ""), ("B", "")]),
    ("an empty name", HOOK, HOOK, [("", "x"), ("A", "1")]), ("no parameters", HOOK, HOOK, []),
    ("repeated keys", HOOK, HOOK, [("D", "5678"), ("D", "1234"), ("D", "1234")]),
    ("names that begin alike", HOOK, HOOK, [("ReasonX", "1"), ("Reason", "2")]),
    ("both cases", HOOK, HOOK, [("a", "1"), ("B", "2"), ("A", "3")]),
    ("separators", HOOK, HOOK, [("A=B&C", "a=b&c;d%20")]), ("control characters", HOOK, HOOK, [("A", "x\r\n\0")]),
    ("a query", HOOK + "?a=1&b=%20+'|", HOOK + "?a=1&b=%20+'|", PARAMS),
    ("another query", HOOK + "?a=1", HOOK + "?a=2", PARAMS),
    ("query lost", HOOK, HOOK + "?a=1", PARAMS), ("a slash more", HOOK + "/", HOOK, PARAMS),
    ("no path", "https://clinic.example", "https://clinic.example", PARAMS),
    ("dots in the path", "https://clinic.example/a/../b//c;d=1", "https://clinic.example/a/../b//c;d=1", PARAMS),
    ("user info", "https://u:p@clinic.example/sms", "https://u:p@clinic.example/sms", PARAMS),
    ("user info, port signed", "https://u:p@clinic.example/sms", "https://u:p@clinic.example:443/sms", PARAMS),
    ("capitals in the host", "https://Clinic.Example/sms", "https://Clinic.Example/sms", PARAMS),
    ("IPv6", "https://[::1]:8443/sms", "https://[::1]:8443/sms", PARAMS),
    ("IPv6, port signed", "https://[::1]/sms", "https://[::1]:443/sms", PARAMS),
    ("an emoji beside U+FFEE", HOOK, HOOK, [("D", "😀"), ("D", "\uffee")]),
    ("not ASCII", "https://clinic.example/é", "https://clinic.example/é", PARAMS),
    *[(f"port {seen}, {signed} signed", f"https://clinic.example{seen}/s", f"https://clinic.example{signed}/s", PARAMS)
      for seen in ("", ":443", ":8443", ":80") for signed in ("", ":443", ":8443", ":80")],
    ("port 80", "http://clinic.example/sms", "http://clinic.example:80/sms", PARAMS),
    # Where the inbox is meant to differ: nobody signs a fragment, so it is no part of the URL.
    ("a fragment", HOOK + "#rc=3", HOOK, PARAMS), ("a signed fragment", HOOK + "#rc=3", HOOK + "#rc=3", PARAMS),
    # This validator takes the URL apart and loses an empty query, capitals, and what it takes for a port. The one for
    # Node does not, and neither does the inbox.
    ("an empty query", HOOK + "?", HOOK + "?", PARAMS),
    ("capitals in the scheme", "HTTPS://clinic.example/sms", "HTTPS://clinic.example/sms", PARAMS),
    ("user info, port seen", "https://u:p@clinic.example:8443/sms", "https://u:p@clinic.example/sms", PARAMS),
    ("IPv6, port seen", "https://[::1]:8443/sms", "https://[::1]/sms", PARAMS),
]
ON_PURPOSE = {"a fragment": True, "a signed fragment": False, "an empty query": True, "capitals in the scheme": True,
              "user info, port seen": True, "IPv6, port seen": True}


def inbox(operator, **_):
    box = Program(operator, "inbox", "--listen", "127.0.0.1:0", "--auth-token", TOKEN)
    try:
        inbox_checks(box)
    finally:
        box.stop()


def inbox_checks(box):
    official = RequestValidator(TOKEN)

    def verdict(url, body, signature, kind=FORM, method="POST", query="", name="X-Forwarded-Url"):
        headers = [(name, url), ("X-Twilio-Signature", signature), ("Content-Type", kind)]
        status, _ = call(method, f"{box.base}/sms{query}", body, headers)
        last = json.loads(call("GET", f"{box.base}/messages")[1])[-1]
        check(f"status and signatureValid agree: {url}", status, 200 if last["signatureValid"] else 403)
        return last

    def official_verdict(*asked):
        try:
            return official.validate(*asked)
        except TypeError:
            return False  # a body that is no form, and no digest of it

    form, good = urlencode(PARAMS).encode(), official.compute_signature(HOOK, Form(PARAMS))
    last = verdict(HOOK, form, good)
    check("accepted", {name: last[name] for name in ("from", "to", "body", "url", "signatureValid")},
          {"from": PATIENT, "to": "+14185551234", "body": "Hello", "url": HOOK, "signatureValid": True})
    for scheme in ("http", "https"):
        seen = f"{scheme}{box.base.removeprefix('http')}/sms?a=b%20c"
        signature = official.compute_signature(seen, Form(PARAMS))
        last = verdict(scheme, form, signature, query="?a=b%20c", name="X-Forwarded-Proto")
        check(f"{scheme}, without X-Forwarded-Url", (last["url"], last["signatureValid"]), (seen, True))
    for what, url, params, signature in (
        ("changed", HOOK, [*PARAMS[:2], ("Body", "Hullo")], good), ("missing", HOOK, PARAMS[:2], good),
        ("extra", HOOK, [*PARAMS, ("A", "1")], good), ("no signature", HOOK, PARAMS, ""),
        ("URL", HOOK + "2", PARAMS, good),
        ("token", HOOK, PARAMS, RequestValidator(sid("", 9)).compute_signature(HOOK, Form(PARAMS))),
        ("half a signature", HOOK, PARAMS, good[:-1]), ("case", HOOK, PARAMS, good.swapcase()),
    ):
        check(f"{what}: the validator", official_verdict(url, Form(params), signature), False)
        check(f"{what}: the inbox", verdict(url, urlencode(params).encode(), signature)["signatureValid"], False)
    for what, seen, signed, params in TABLE:
        signature = official.compute_signature(signed, Form(params))
        expected = official_verdict(seen, Form(params), signature)
        if what in ON_PURPOSE:
            check(f"{what}: differs on purpose", expected, not ON_PURPOSE[what])
            expected = not expected
        got = verdict(seen, urlencode(params).encode(), signature)["signatureValid"]
        check(f"{what}: as the validator", got, expected)
    for body in ("A&B=2", "A=1&&B=2", "A=1;B=2", "A=%zz&B=%", "&A==1&", "A=%ff", "A+B=+1"):
        signature = official.compute_signature(HOOK, Form(parse_qsl(body, True, errors="replace")))
        check(f"raw form {body}", verdict(HOOK, body.encode(), signature)["signatureValid"])
    digest = {text: hashlib.sha256(text.encode()).hexdigest() for text in ('{"a": "é"}', "{}", "")}
    for what, url, body in (
        ("its body", "?bodySHA256=" + digest['{"a": "é"}'], '{"a": "é"}'),
        ("with a query", "?a=1&bodySHA256=" + digest["{}"], "{}"),
        ("another body", "?bodySHA256=" + digest["{}"], '{"a": "é"}'), ("no digest", "", "{}"),
        ("a body that was taken away", "?bodySHA256=" + digest["{}"], ""),
        ("an empty body", "?bodySHA256=" + digest[""], ""), ("capitals", "?bodySHA256=" + digest["{}"].upper(), "{}"),
        ("two digests", f"?bodySHA256={digest['']}&bodySHA256={digest['{}']}", "{}"),
    ):
        signature = official.compute_signature(HOOK + url, {})
        got = verdict(HOOK + url, body.encode(), signature, "application/json")["signatureValid"]
        check(f"JSON, {what}", got, official_verdict(HOOK + url, body, signature))
    # The validators decode the query first. Nobody writes a digest like that, and the inbox does not read it.
    odd = f"{HOOK}?bodySHA256=%{ord(digest['{}'][0]):x}{digest['{}'][1:]}"
    signature = official.compute_signature(odd, {})
    check("JSON, an encoded digest: the validator", official_verdict(odd, "{}", signature))
    check("JSON, an encoded digest", verdict(odd, b"{}", signature, "application/json")["signatureValid"], False)
    # What is shown as valid must be what was signed, wherever the request itself went.
    signed = f"{HOOK}?{urlencode(PARAMS)}"
    last = verdict(signed, b"", official.compute_signature(signed, {}), method="GET", query="?" + urlencode(PARAMS))
    check("GET", (last["signatureValid"], last["body"]), (True, "Hello"))
    last = verdict(signed, b"", official.compute_signature(signed, {}), method="GET", query="?Body=forged")
    forged = last["signatureValid"] and last["body"] == "forged"
    check("GET with another query: a forged body passes as signed", forged, False)
