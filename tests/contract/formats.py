"""The formats that Twilio's documents name, and how text becomes a value.

OpenAPI leaves formats open, and libraries pass the ones that they do not know. Here every format that occurs has a
meaning, and one without is an error (see documents.py).
"""

import re
from datetime import date, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from jsonschema import FormatChecker

_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_RFC_2822 = re.compile(rf"[A-Z][a-z]{{2}}, \d{{2}} ({_MONTHS}) \d{{4}} \d{{2}}:\d{{2}}:\d{{2}} \+0000")
_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")


def _uri(text):
    parts = urlsplit(text)
    return bool(parts.scheme in ("http", "https") and parts.hostname and not re.search(r"[\s\"<>\\^`{|}]", text))


def _rfc_2822(text):
    # The day of the week is part of the date, and parsers do not look at it.
    return bool(_RFC_2822.fullmatch(text)) and parsedate_to_datetime(text).strftime("%a") == text[:3]


def _date_time(text):
    return bool(_RFC_3339.fullmatch(text)) and datetime.fromisoformat(text) is not None


def _date(text):
    return len(text) == 10 and date.fromisoformat(text) is not None


def _links(value):
    # Links of the 2010 API are relative, those of the products are absolute.
    return all(isinstance(link, str) and (_uri(link) or re.match(r"/[^/]", link)) for link in value.values())


def _pattern(pattern):
    return lambda text: re.fullmatch(pattern, text) is not None


_TEXT = {
    "uri": _uri,
    "date": _date,
    "date-time": _date_time,
    "date-time-rfc-2822": _rfc_2822,
    "http-method": _pattern("GET|POST"),
    "phone-number": _pattern(r"\+[1-9]\d{1,14}"),
    "iso-country-code": _pattern("[A-Z]{2}"),
    # In both cases: prices in upper, usage in lower case, as in the examples.
    "currency": _pattern("[A-Z]{3}|[a-z]{3}"),
}
# What these are is said by the type and the properties beside them.
_NAMES_ONLY = (
    "int32",
    "int64",
    "phone-number-capabilities",
    "phone-number-price",
    "inbound-sms-price",
    "outbound-sms-price",
)

CHECKER = FormatChecker(formats=())
for _name, _check in _TEXT.items():
    CHECKER.checks(_name, raises=ValueError)(lambda value, check=_check: not isinstance(value, str) or check(value))
CHECKER.checks("uri-map", raises=ValueError)(lambda value: not isinstance(value, dict) or _links(value))

KNOWN = frozenset(_TEXT) | frozenset(_NAMES_ONLY) | {"uri-map"}


def value_of(text, schema):
    """The text of a parameter as a value of the schema's type; as it is where it is none, which the schema refuses."""
    kind = schema.get("type")
    if kind == "integer" and re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    if kind == "number" and re.fullmatch(r"-?\d{1,18}(\.\d+)?", text):
        return float(text)
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    return text
