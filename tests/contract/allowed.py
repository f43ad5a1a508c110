"""The list of known contradictions (allowed.toml)."""

import re
import tomllib
from pathlib import Path

_KEYS = {"id", "reason", "side", "operations", "fields", "kinds", "value"}


class Allowed:
    """The entries, and which parts of them were needed."""

    def __init__(self, file):
        found = tomllib.loads(Path(file).read_text(encoding="utf-8"))
        self.entries = [_Entry(entry) for entry in found["allowed"]]
        if len({entry.name for entry in self.entries}) != len(self.entries):
            raise ValueError("two entries have the same id")

    def takes(self, violation):
        """Whether an entry allows this."""
        # All are asked: of two that allow the same, the second would look unused.
        taken = [entry for entry in self.entries if entry.takes(violation)]
        return bool(taken)

    def unused(self):
        """What is not needed any more, for people to read."""
        return [text for entry in self.entries for text in entry.unused()]


class _Entry:
    def __init__(self, found):
        if found.keys() - _KEYS or (_KEYS - {"value"}) - found.keys():
            raise ValueError(f"an entry has other keys than {', '.join(sorted(_KEYS))}: {found}")
        self.name = found["id"]
        self._side = found["side"]
        self._value = re.compile(found["value"]) if "value" in found else None
        self._parts = {
            part: {text: re.compile(re.escape(text).replace(r"\*", ".*")) for text in found[part]}
            for part in ("operations", "fields", "kinds")
        }
        self._used = set()

    def takes(self, violation):
        if violation.side != self._side:
            return False
        value = violation.value
        if self._value and not (isinstance(value, str) and self._value.fullmatch(value)):
            return False
        is_at = {"operations": violation.operation, "fields": violation.field, "kinds": violation.kind}
        used = set()
        for part, what in is_at.items():
            matching = {(part, text) for text, pattern in self._parts[part].items() if pattern.fullmatch(what)}
            if not matching:
                return False
            used |= matching
        self._used |= used
        return True

    def unused(self):
        if not self._used:
            return [f"{self.name} is not needed"]
        every = [(part, text) for part, texts in self._parts.items() for text in texts]
        rest = [(part, text) for part, text in every if (part, text) not in self._used]
        return [f"{self.name}: {text!r} is not needed among its {part}" for part, text in rest]
