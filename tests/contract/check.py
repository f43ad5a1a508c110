#!/usr/bin/env python3
"""Holds recorded exchanges with the simulated Twilio to Twilio's own OpenAPI documents.

Both ends are checked: what the operator's client asks, and what the simulator answers. See README.md.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

from allowed import Allowed
from documents import Documents
from rules import check

# What the operator's client calls (src/twilio): each must have been asked by it and answered.
MUST_BE_COVERED = (
    "CreateIncomingPhoneNumber",
    "CreateMessage",
    "CreatePhoneNumber",
    "DeleteIncomingPhoneNumber",
    "DeletePhoneNumber",
    "FetchAccount",
    "FetchBundle",
    "FetchIncomingPhoneNumber",
    "FetchMessage",
    "FetchMessagingCountry",
    "FetchPhoneNumber",
    "FetchPhoneNumberCountry",
    "FetchService",
    "ListAlert",
    "ListAvailablePhoneNumberLocal",
    "ListAvailablePhoneNumberMobile",
    "ListAvailablePhoneNumberTollFree",
    "ListBundle",
    "ListIncomingPhoneNumber",
    "ListMessage",
    "ListPhoneNumber",
    "ListRegulation",
    "ListService",
    "ListTollfreeVerification",
    "ListUsAppToPerson",
    "ListUsageRecordThisMonth",
    "UpdateIncomingPhoneNumber",
)
_KEYS = (
    "operation",
    "client",
    "fault",
    "method",
    "path",
    "query",
    "form",
    "contentType",
    "authorization",
    "status",
    "responseType",
    "body",
)
_COLUMNS = ("exchanges", "requests", "answers", "allowed", "violations")


class _Group:
    """Violations of the same kind, with the first of them."""

    def __init__(self, violation, exchange, place):
        self.first = violation
        self._exchange = exchange
        self._place = place
        self.count = 0
        self.fields = {}

    def print(self):
        first = self.first
        print(f"\n{first.operation}: {first.side}: {first.kind} ({self.count} times): {' '.join(self.fields)}")
        print(f"    {_cut(first.told, 200)}; it is {_cut(json.dumps(first.value, ensure_ascii=False), 200)}")
        print(f"    {self._place}\n    {json.dumps(_short(self._exchange), ensure_ascii=False)}")


class Report:
    """What came of all exchanges."""

    def __init__(self, documents, allowed):
        self._documents = documents
        self._allowed = allowed
        self._counts = defaultdict(Counter)
        self._groups = {}
        self._problems = []
        self._covered = set()

    def read(self, folders):
        """Checks what is recorded in these folders, each distinct exchange once."""
        seen = set()
        for file in sorted(file for folder in folders for file in Path(folder).rglob("*.jsonl")):
            text = file.read_text(encoding="utf-8")
            lines = text.split("\n")
            # A process that was killed leaves half a line.
            lines.pop()
            for number, line in enumerate(lines, 1):
                if line and line not in seen:
                    seen.add(line)
                    self._line(line, f"{file}:{number}")

    def _line(self, line, place):
        try:
            exchange = json.loads(line)
            missing = [key for key in _KEYS if key not in exchange]
        except (ValueError, TypeError) as error:
            self._problems.append(f"{place}: {error}")
            return
        if missing:
            self._problems.append(f"{place}: there is no {', '.join(missing)}")
            return
        self.add(exchange, place)

    def add(self, exchange, place):
        """Checks one exchange."""
        checked = check(self._documents, exchange)
        counts = self._counts[exchange["operation"] or "(none)"]
        counts.update(exchanges=1, requests=checked.request, answers=checked.answer)
        if exchange["client"] and checked.answer and 200 <= (exchange["status"] or 0) < 300:
            self._covered.add(exchange["operation"])
        for violation in checked.violations:
            if self._allowed.takes(violation):
                counts["allowed"] += 1
            else:
                counts["violations"] += 1
                group = self._groups.setdefault(violation.group, _Group(violation, exchange, place))
                group.count += 1
                group.fields[violation.field] = True

    def problems(self):
        """What is wrong with the recording or the list, rather than with an exchange."""
        problems = list(self._problems)
        if not self._counts:
            problems.append("no exchange is recorded")
        for operation in MUST_BE_COVERED:
            if operation not in self._covered:
                problems.append(f"the client never called {operation} and got its answer")
        return problems + [f"allowed.toml: {text}" for text in self._allowed.unused()]

    def print(self):
        """Prints all of it. Says whether everything is well."""
        print(f"{'operation':<36}" + "".join(f"{column:>12}" for column in _COLUMNS))
        for operation, counts in sorted(self._counts.items()):
            print(f"{operation:<36}" + "".join(f"{counts[column]:>12}" for column in _COLUMNS))
        for group in self._groups.values():
            group.print()
        problems = self.problems()
        print("".join(f"\n{problem}" for problem in problems))
        total = Counter()
        for counts in self._counts.values():
            total.update(counts)
        print(
            f"contract: {total['exchanges']} exchanges, {total['requests']} requests and {total['answers']} answers"
            f" checked, {total['allowed']} allow-listed by {len(self._allowed.entries)} entries,"
            f" {total['violations']} violations"
        )
        return not problems and not total["violations"]


def _cut(text, length):
    return text if len(text) <= length else f"{text[:length]}…"


def _short(value):
    """An exchange that fits on a screen."""
    if isinstance(value, str):
        return _cut(value, 120)
    if isinstance(value, list):
        return [_short(part) for part in value[:12]] + ([f"… {len(value)} in all"] if len(value) > 12 else [])
    if isinstance(value, dict):
        return {
            key: [_short(part[0]), f"… {len(part)} in all"] if _is_long(part) else _short(part)
            for key, part in value.items()
        }
    return value


def _is_long(value):
    return isinstance(value, list) and len(value) > 1 and isinstance(value[0], dict)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--specs", required=True, help="folder of Twilio's documents (fetch_specs.sh)")
    parser.add_argument("recorded", nargs="+", help="folder of recorded exchanges, *.jsonl")
    arguments = parser.parse_args()
    allowed = Allowed(Path(__file__).with_name("allowed.toml"))
    report = Report(Documents(arguments.specs), allowed)
    report.read(arguments.recorded)
    return 0 if report.print() else 1


if __name__ == "__main__":
    sys.exit(main())
