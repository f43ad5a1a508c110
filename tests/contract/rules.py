"""What is checked of one exchange."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

import documents
import formats

# As Twilio answers every error (https://www.twilio.com/docs/usage/twilios-response).
_ERROR = {"code": int, "message": str, "more_info": str, "status": int}


@dataclass(frozen=True)
class Violation:
    """One breach.

    `field` is such as `query.PageSize`, `form.SmsUrl`, `body.services[].links`; `kind` is the keyword of the schema
    that is broken, or a word of this program.
    """

    operation: str
    side: str
    field: str
    kind: str
    value: object
    told: str

    @property
    def group(self):
        """What is told together: keys that are missing from, or too many in, the same object are one mistake."""
        field = self.field.rpartition(".")[0] if self.kind in ("missing", "extra") else self.field
        return (self.operation, self.side, field, self.kind)


@dataclass
class Checked:
    """What was checked of an exchange, and what came of it."""

    request: bool
    answer: bool
    violations: list


def check(specs, exchange):
    """Checks an exchange as far as it can be held to Twilio's documents."""
    status = exchange["status"] or 0
    # A test may send nonsense on purpose; the operator's own client and whoever was told "done" may not.
    request = exchange["client"] or 200 <= status < 300
    answer = exchange["fault"] is None
    found = specs.find(exchange["method"], exchange["path"])
    operation, path = found or (None, {})
    violations = []

    def add(side):
        name = exchange["operation"] or f"{exchange['method']} {exchange['path']}"
        return lambda field, kind, value, told: violations.append(Violation(name, side, field, kind, value, told))

    if request:
        _request(operation, path, exchange, add("request"))
    if answer:
        _answer(operation, exchange, status, add("answer"))
    return Checked(request, answer, violations)


def _request(operation, path, exchange, add):
    if operation is None:
        add("path", "unknown", exchange["path"], f"Twilio has no {exchange['method']} {exchange['path']}")
        return
    if operation.name != exchange["operation"]:
        add("operation", "unknown", exchange["operation"], f"Twilio calls it {operation.name}")
    if exchange["authorization"] != "Basic":
        add("authorization", "missing", exchange["authorization"], "Basic authentication is required")
    form = exchange["form"] or []
    content_type = (exchange["contentType"] or "").partition(";")[0].strip().lower()
    # Beside an empty form the usual header says nothing, though it is there with some clients.
    said = bool(form) or content_type not in ("", documents.FORM)
    if said and content_type != operation.content_type:
        add("contentType", "unknown", content_type, f"the document has {operation.content_type or 'no body at all'}")
    _parameters(operation, "path", [(name, unquote(value)) for name, value in path.items()], add)
    _parameters(operation, "query", exchange["query"] or [], add)
    _parameters(operation, "form", form, add)
    given = {name for name, value in form if value}
    for names in operation.one_of:
        if not given.intersection(names):
            add("form." + "|".join(names), "required", None, f"one of {', '.join(names)} is required")


def _parameters(operation, place, pairs, add):
    given = {}
    for name, text in pairs:
        given.setdefault(name, []).append(text)
    for name, texts in given.items():
        schema = operation.parameters[place].get(name)
        if schema is None:
            add(f"{place}.{name}", "unknown", texts[0], f"{operation.name} has no parameter {name}")
            continue
        if schema.content.get("type") == "array":
            value = [formats.value_of(text, schema.content.get("items", {})) for text in texts]
        else:
            value = formats.value_of(texts[0], schema.content)
            if len(texts) > 1:
                add(f"{place}.{name}", "repeated", texts, f"{name} is there {len(texts)} times")
        for below, kind, what, told in schema.errors(value):
            add(f"{place}.{name}{below}", kind, what, told)
    for name in operation.required[place] - given.keys():
        add(f"{place}.{name}", "required", None, f"{name} is required")


def _answer(operation, exchange, status, add):
    body = exchange["body"]
    if not 200 <= status < 300:
        _error(body, status, add)
        return
    if operation is None:
        return  # Told of the request already.
    answer = operation.answers.get(status)
    if answer is None:
        documented = ", ".join(map(str, sorted(operation.answers)))
        add("status", "unknown", status, f"{operation.name} answers {documented}")
        return
    content_type = (exchange["responseType"] or "").partition(";")[0].strip().lower()
    if not answer.content:
        if body is not None:
            add("body", "extra", body, f"{status} has no body")
        return
    if content_type not in answer.content:
        add("responseType", "unknown", content_type, f"{operation.name} answers {', '.join(answer.content)}")
        return
    schema, examples = answer.content[content_type]
    for below, kind, value, told in schema.errors(body):
        add(f"body{below}", kind, value, told)
    _keys(body, schema.content, examples, "body", add)
    if isinstance(body, dict):
        _paging(exchange["path"], operation, body, add)


def _error(body, status, add):
    if not isinstance(body, dict):
        add("body", "error", body, "an error has a JSON object")
        return
    for name, kind in _ERROR.items():
        if name not in body:
            add(f"body.{name}", "missing", None, f"an error has {name}")
        elif not isinstance(body[name], kind) or isinstance(body[name], bool):
            add(f"body.{name}", "type", body[name], f"{name} of an error is of type {kind.__name__}")
    for name in body.keys() - _ERROR.keys():
        add(f"body.{name}", "extra", body[name], f"an error has no {name}")
    if isinstance(body.get("status"), int) and body["status"] != status:
        add("body.status", "error", body["status"], f"the HTTP status is {status}")


def _keys(value, schema, samples, field, add):
    """Compares the keys with the samples', objects within objects included: nothing is `required` in Twilio's schemas.

    Each object must have the keys of one of the samples at its place; where there are none, keys of the schema.
    """
    if isinstance(value, list):
        below = [item for sample in samples if isinstance(sample, list) for item in sample]
        for item in value:
            _keys(item, schema.get("items", {}), below, f"{field}[]", add)
        return
    if not isinstance(value, dict):
        return
    properties = schema.get("properties", {})
    samples = [sample for sample in samples if isinstance(sample, dict)]
    if samples:
        best = min(samples, key=lambda sample: len(sample.keys() ^ value.keys()))
        for name in sorted(best.keys() - value.keys()):
            add(f"{field}.{name}", "missing", None, f"Twilio's example has {name}")
        for name in sorted(value.keys() - best.keys()):
            add(f"{field}.{name}", "extra", value[name], f"Twilio's example has no {name}")
    elif properties:
        for name in sorted(value.keys() - properties.keys()):
            add(f"{field}.{name}", "extra", value[name], f"Twilio's schema has no {name}")
    for name, part in value.items():
        below = [sample[name] for sample in samples if name in sample]
        if schema.get("format") == "uri-map" and below and _shape(part) not in map(_shape, below):
            add(f"{field}.{name}", "link", part, f"the link of Twilio's example is {below[0]}")
        _keys(part, properties.get(name, {}), below, f"{field}.{name}", add)


def _shape(link):
    """The path of a link, without what differs from one resource to the next: SIDs and countries."""
    return re.sub(r"/(?:[A-Z]{2}[0-9a-f]{32}|[A-Z]{2})(?=[/.]|$)", "/*", urlsplit(str(link)).path)


def _paging(path, operation, body, add):
    """Links between pages: relative in the 2010 API, absolute in the products; each to the same list."""
    meta = body.get("meta")
    if isinstance(meta, dict) and "key" in meta:
        key = meta["key"]
        if not isinstance(key, str) or not isinstance(body.get(key), list):
            add("body.meta.key", "paging", key, "meta.key does not name the list")
        links = {f"body.meta.{name}": meta.get(name) for name in ("url", "first_page_url", "next_page_url")}
        relative = False
    else:
        links = {f"body.{name}": body.get(name) for name in ("uri", "first_page_uri", "next_page_uri")}
        links = links if "page_size" in body else {}
        relative = True
    for field, link in links.items():
        if not isinstance(link, str):
            continue
        parts = urlsplit(link)
        if relative and (parts.scheme or parts.netloc):
            add(field, "paging", link, "links of this list are relative")
        elif not relative and not (parts.scheme and parts.netloc):
            add(field, "paging", link, "links of this list are absolute")
        if parts.path != path:
            add(field, "paging", link, "the link leads to another list, or to another account's")
        for name, _ in parse_qsl(parts.query):
            if name not in operation.parameters["query"]:
                add(field, "paging", link, f"{operation.name} has no parameter {name}")
    size = (meta if isinstance(meta, dict) else body).get("page_size")
    longest = max((len(part) for part in body.values() if isinstance(part, list)), default=0)
    if links and isinstance(size, int) and longest > size:
        add("body.page_size", "paging", size, f"there are {longest} items on the page")
