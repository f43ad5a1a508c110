"""Twilio's OpenAPI documents: the operations, with everything that is needed to check one exchange."""

import json
import re
from pathlib import Path

from jsonschema import Draft4Validator

import formats

# Twilio has one host and one document for each product; the simulator has one address for all.
_PRODUCTS = {
    "/2010-04-01/": "twilio_api_v2010.json",
    "/v1/Services": "twilio_messaging_v1.json",
    "/v1/Tollfree": "twilio_messaging_v1.json",
    "/v1/PhoneNumbers": "twilio_pricing_v1.json",
    "/v1/Messaging": "twilio_pricing_v1.json",
    "/v2/RegulatoryCompliance": "twilio_numbers_v2.json",
    "/v1/Alerts": "twilio_monitor_v1.json",
}
# Twilio takes forms only.
FORM = "application/x-www-form-urlencoded"


class Documents:
    """The documents of a folder, each read when it is first asked for."""

    def __init__(self, folder):
        self._folder = Path(folder)
        self._read = {}

    def _document(self, name):
        if name not in self._read:
            self._read[name] = Document(json.loads((self._folder / name).read_text(encoding="utf-8")))
        return self._read[name]

    def find(self, method, path):
        """The operation of a request and its path parameters; None: Twilio has no such path or method."""
        name = next((name for prefix, name in _PRODUCTS.items() if path.startswith(prefix)), None)
        return self._document(name).find(method, path) if name else None


class Document:
    """One document."""

    def __init__(self, content):
        self._content = content
        self._paths = []
        for template, item in content["paths"].items():
            parts = re.split(r"\{(\w+)\}", template)
            pattern = "".join(re.escape(part) if i % 2 == 0 else f"(?P<{part}>[^/]+)" for i, part in enumerate(parts))
            self._paths.append((len(parts), re.compile(pattern), item))
        # `IncomingPhoneNumbers/Local.json` before `IncomingPhoneNumbers/{Sid}.json`.
        self._paths.sort(key=lambda path: path[0])
        self._operations = {}

    def find(self, method, path):
        for _, pattern, item in self._paths:
            match = pattern.fullmatch(path)
            if match and method.lower() in item:
                found = item[method.lower()]
                name = found["operationId"]
                if name not in self._operations:
                    self._operations[name] = Operation(self, item, found)
                return self._operations[name], match.groupdict()
        return None

    def whole(self, value, inside=()):
        """A copy without references."""
        if isinstance(value, list):
            return [self.whole(each, inside) for each in value]
        if not isinstance(value, dict):
            return value
        name = value.get("$ref")
        if not isinstance(name, str):
            return {key: self.whole(each, inside) for key, each in value.items()}
        if name in inside:
            raise ValueError(f"{name} contains itself")
        target = self._content
        for step in name.removeprefix("#/").split("/"):
            target = target[step]
        return self.whole(target, (*inside, name))


class Operation:
    """One operation. `name` is Twilio's operationId."""

    def __init__(self, document, item, found):
        self.name = found["operationId"]
        self.parameters = {"path": {}, "query": {}, "form": {}}
        self.required = {"path": set(), "query": set(), "form": set()}
        for parameter in document.whole([*item.get("parameters", []), *found.get("parameters", [])]):
            if parameter["in"] in self.parameters:
                self._add(parameter["in"], parameter["name"], parameter["schema"], parameter.get("required"))
        form = document.whole(found.get("requestBody", {})).get("content", {}).get(FORM)
        self.content_type = FORM if form else None
        if form:
            for name, schema in form["schema"].get("properties", {}).items():
                self._add("form", name, schema, name in form["schema"].get("required", ()))
        # "One of these", which OpenAPI has no word for. The names are those of the properties.
        conditional = found.get("x-twilio", {}).get("conditional", [])
        self.one_of = [["".join(map(str.capitalize, name.split("_"))) for name in names] for names in conditional]
        self.answers = {int(status): Answer(document, answer) for status, answer in found["responses"].items()}

    def _add(self, place, name, schema, required):
        self.parameters[place][name] = Schema(schema)
        if required:
            self.required[place].add(name)


class Answer:
    """What an operation answers under one status: the schemas and the examples by content type; none: no body."""

    def __init__(self, document, found):
        self.content = {}
        for content_type, content in found.get("content", {}).items():
            examples = [example["value"] for example in content.get("examples", {}).values()]
            self.content[content_type] = (Schema(document.whole(content["schema"])), examples)


class Schema:
    """A schema, taken apart into those of its properties and items, so that the same value is validated once only."""

    def __init__(self, content):
        self.content = content
        self._properties = {name: Schema(part) for name, part in content.get("properties", {}).items()}
        self._items = Schema(content["items"]) if "items" in content else None
        own = {key: part for key, part in content.items() if key not in ("properties", "items")}
        self._validator = Draft4Validator(_draft_4(own), format_checker=formats.CHECKER)
        self._known = {}

    def errors(self, value):
        """The breaches as (field below the value, keyword, value there, what is wrong)."""
        if not isinstance(value, (dict, list)):
            key = (type(value), value)
            if key not in self._known:
                self._known[key] = self._own(value)
            return self._known[key]
        found = self._own(value)
        if isinstance(value, dict):
            for name, schema in self._properties.items():
                if name in value:
                    found += [(f".{name}{field}", *rest) for field, *rest in schema.errors(value[name])]
        elif self._items:
            found += [(f"[]{field}", *rest) for item in value for field, *rest in self._items.errors(item)]
        return found

    def _own(self, value):
        found = []
        for breach in self._validator.iter_errors(value):
            error = breach
            # Of alternatives the one that comes nearest tells most.
            while error.context:
                error = max(error.context, key=lambda cause: len(cause.absolute_path))
            field = "".join("[]" if isinstance(key, int) else f".{key}" for key in error.absolute_path)
            found.append((field, error.validator, error.instance, error.message))
        return found


def _draft_4(schema):
    """OpenAPI 3.0's dialect as JSON Schema draft 4, which it comes from: `nullable` is all that differs here."""
    if isinstance(schema, list):
        return [_draft_4(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format", "int32") not in formats.KNOWN:
        raise ValueError(f"the format {schema['format']} has no meaning yet: add it to formats.py")
    out = {key: _draft_4(part) for key, part in schema.items() if key not in ("properties", "enum", "nullable")}
    if "properties" in schema:
        out["properties"] = {name: _draft_4(part) for name, part in schema["properties"].items()}
    if "enum" in schema:
        out["enum"] = list(schema["enum"])
    if schema.get("nullable"):
        if "type" in out:
            out["type"] = [out["type"], "null"]
        if "enum" in out and None not in out["enum"]:
            out["enum"].append(None)
    return out
