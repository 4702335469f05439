"""Templates of log lines: mined by a library on the desk (drain3), found again without it, and how often each follows
each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sanderling.extras import require

UNSEEN = -1
WILD = "<*>"

Tokens = tuple[str, ...]


class Templates:
    """tokens: of each template, `WILD` for a part that changes; the template's id is its place. counts, pairs, total:
    of the reference's lines and of two lines in a row."""

    def __init__(self, tokens: Sequence[Tokens], counts: Counter[int], pairs: Counter[tuple[int, int]]) -> None:
        self.tokens, self.counts, self.pairs = list(tokens), counts, pairs
        self.total = sum(counts.values())
        # By length; the fewest changing parts first, so that a line's template is the most specific one.
        self._by_length: dict[int, list[tuple[int, tuple[tuple[int, str], ...]]]] = {}
        fixed = [tuple((i, part) for i, part in enumerate(parts) if part != WILD) for parts in self.tokens]
        for identity in sorted(range(len(fixed)), key=lambda i: len(self.tokens[i]) - len(fixed[i])):
            self._by_length.setdefault(len(self.tokens[identity]), []).append((identity, fixed[identity]))

    @classmethod
    def mine(cls, lines: Sequence[str]) -> Templates:
        """Of normal lines in order, by drain3's Drain (extra: text)."""
        drain: Any = require("drain3.drain", "text").Drain()
        for line in lines:
            drain.add_log_message(line)
        found = cls([tuple(cluster.log_template_tokens) for cluster in drain.clusters], Counter(), Counter())
        return found.counted(lines)

    def counted(self, lines: Iterable[str]) -> Templates:
        """The same templates with the counts of these lines."""
        ids = [self.find(line) for line in lines]
        return Templates(self.tokens, Counter(ids), Counter(zip(ids[:-1], ids[1:], strict=True)))

    def find(self, line: str) -> int:
        """The id of a line's template; `UNSEEN` for none."""
        parts = line.split()
        for identity, fixed in self._by_length.get(len(parts), ()):
            if all(parts[i] == part for i, part in fixed):
                return identity
        return UNSEEN

    def text(self, identity: int) -> str:
        """A template with its wildcards; empty for `UNSEEN`."""
        return "" if identity == UNSEEN else " ".join(self.tokens[identity])

    def to_json(self) -> dict[str, Any]:
        return {
            "templates": [" ".join(parts) for parts in self.tokens],
            "counts": sorted(self.counts.items()),
            "pairs": [[a, b, n] for (a, b), n in sorted(self.pairs.items())],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Templates:
        """Raises KeyError, TypeError, ValueError for what `to_json` doesn't give."""
        tokens = [tuple(str(text).split()) for text in value["templates"]]
        ids = range(UNSEEN, len(tokens))
        counts = Counter({int(a): int(n) for a, n in value["counts"]})
        pairs = Counter({(int(a), int(b)): int(n) for a, b, n in value["pairs"]})
        known = all(a in ids for a in counts) and all(a in ids and b in ids for a, b in pairs)
        if not known or min([*counts.values(), *pairs.values()], default=0) < 1:
            raise ValueError("counts of templates that aren't there")
        return cls(tokens, counts, pairs)
