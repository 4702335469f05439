"""Writes unicode_tables.inl, what BERT's normaliser and splitter ask about a character, and category_tables.inl, what
a text's cleaning and look ask (python/sanderling/text/clean.py, surface.py).

    python csrc/text/make_unicode.py

Decompositions and combining classes come from Python's `unicodedata`. The package `tokenizers` brings tables of its
own, older for categories and newer for lower case, and a vocabulary learned with them must be met with them: each
character is asked there. Needs Python 3.11 (Unicode 14.0) and tokenizers 0.23, whose versions stand in the file.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

import tokenizers
from tokenizers import normalizers, pre_tokenizers

LAST = 0x110000
# Unicode categories that cleaning makes a space, with white space and U+FFFD; str.isalpha's categories.
BLANK = {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"}
HANGUL = range(0xAC00, 0xAC00 + 11172)  # decomposed by arithmetic
OFF = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
WIDTH = 136


def asked(**on: bool) -> normalizers.BertNormalizer:
    """The normaliser with these steps alone."""
    return normalizers.BertNormalizer(**OFF | on)


def characters() -> Iterable[int]:
    """Every code point but the surrogates."""
    return (c for c in range(LAST) if not 0xD800 <= c < 0xE000)


def ranges(points: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each run of neighbours."""
    out: list[list[int]] = []
    for c in sorted(points):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return [(a, b) for a, b in out]


def classes() -> dict[str, set[int]]:
    """Sets of code points by what happens to them."""
    clean, chinese, strip = asked(clean_text=True), asked(handle_chinese_chars=True), asked(strip_accents=True)
    split = pre_tokenizers.BertPreTokenizer()
    found: dict[str, set[int]] = {
        "removed": set(),
        "space": set(),
        "punctuation": set(),
        "ideograph": set(),
        "mark": set(),
    }
    for c in characters():
        text = chr(c)
        cleaned = clean.normalize_str(f"a{text}b")
        if cleaned == "ab":
            found["removed"].add(c)
        elif cleaned == "a b":
            found["space"].add(c)
        elif len(split.pre_tokenize_str(f"a{text}b")) == 3:
            found["punctuation"].add(c)
        if chinese.normalize_str(text) != text:
            found["ideograph"].add(c)
        if strip.normalize_str(text) == "":
            found["mark"].add(c)
    return found


def combining(marks: set[int]) -> dict[int, int]:
    """Canonical combining classes of what is not stripped, where `tokenizers` orders by them."""
    order = normalizers.NFD()
    out = {}
    for c in characters():
        rank = unicodedata.combining(chr(c))
        if rank and c not in marks and (rank == 1 or order.normalize_str(f"a{chr(c)}\u0334") != f"a{chr(c)}\u0334"):
            out[c] = rank
    return out


def bases(marks: set[int]) -> dict[int, str]:
    """What canonical decomposition leaves without the marks, of characters that change and are no marks themselves."""
    strip = asked(strip_accents=True)
    out = {c: strip.normalize_str(chr(c)) for c in characters() if c not in HANGUL and c not in marks}
    changed = {c: base for c, base in out.items() if base != chr(c)}
    known = {c: "".join(x for x in unicodedata.normalize("NFD", chr(c)) if ord(x) not in marks) for c in changed}
    assert known == changed, "tokenizers and unicodedata decompose differently"
    return changed


def lower() -> list[tuple[int, int, int, int]]:
    """(first, last, step, difference): runs of characters whose lower case is `difference` away, `step` apart."""
    fold = asked(lowercase=True)
    pairs = [(c, ord(low) - c) for c in characters() if len(low := fold.normalize_str(chr(c))) == 1 and low != chr(c)]
    out: list[list[int]] = []
    for c, difference in pairs:
        run = out[-1] if out else [0, 0, 0, 0]
        gap = c - run[1]
        if run[3] == difference and gap in (1, 2) and run[2] in (0, gap):
            run[1:3] = [c, gap]
        else:
            out.append([c, c, 0, difference])
    return [(a, b, max(step, 1), difference) for a, b, step, difference in out]


def table(declaration: str, entries: Iterable[str]) -> str:
    """C++ text of an array, its entries in lines of at most WIDTH."""
    lines, line = [], "   "
    for entry in entries:
        if len(line) + len(entry) + 2 > WIDTH:
            lines.append(line)
            line = "   "
        line += f" {entry},"
    return "\n".join([f"constexpr {declaration}[] = {{", *lines, line, "};"])


def write_categories() -> None:
    """Writes category_tables.inl."""
    blank = (c for c in range(LAST) if c == 0xFFFD or chr(c).isspace() or unicodedata.category(chr(c)) in BLANK)
    letters = (c for c in characters() if chr(c).isalpha())
    # What is a word's beside letters and _ in Python's patterns, and what of it is a digit there.
    numbers = (c for c in characters() if chr(c).isalnum() and not chr(c).isalpha())
    decimals = (c for c in characters() if chr(c).isdecimal())
    parts = [f"// Written by make_unicode.py; don't edit. Unicode {unicodedata.unidata_version}; first, last; sorted."]
    named = (("blank", blank), ("letter", letters), ("number", numbers), ("decimal", decimals))
    for name, points in named:
        parts.append(table(f"Range {name}_ranges", (f"{{{a:#x}, {b:#x}}}" for a, b in ranges(points))))
    Path(__file__).with_name("category_tables.inl").write_text("\n".join(parts) + "\n")


def main() -> None:
    """Writes the files."""
    write_categories()
    found = classes()
    changed = bases(found["mark"])
    single = {c: base for c, base in changed.items() if len(base) == 1}
    several = {c: base for c, base in changed.items() if len(base) > 1}
    longest = max(map(len, several.values()))
    blocks = ranges(single)
    parts = [
        "// Written by make_unicode.py; don't edit. Decompositions, combining classes: Unicode "
        f"{unicodedata.unidata_version}; categories and lower case as in tokenizers {tokenizers.__version__}.",
        "// Ranges are first, last; sorted.",
    ]
    parts += [table(f"Range {name}_ranges", (f"{{{a:#x}, {b:#x}}}" for a, b in ranges(found[name]))) for name in found]
    ranks = combining(found["mark"])
    parts.append(table("Rank rank_table", (f"{{{c:#x}, {rank}}}" for c, rank in sorted(ranks.items()))))
    parts.append("// The bases of base_ranges' characters, one after the other.")
    parts.append(table("Range base_ranges", (f"{{{a:#x}, {b:#x}}}" for a, b in blocks)))
    parts.append(table("char32_t bases", (f"{ord(base):#x}" for _, base in sorted(single.items()))))
    parts.append(f"constexpr std::size_t longest_base = {longest};")
    rows = (f"{{{c:#x}, {{{', '.join(f'{ord(x):#x}' for x in base)}}}}}" for c, base in sorted(several.items()))
    parts.append(table("BaseText base_texts", rows))
    parts.append("// first, last, step, difference to the lower case")
    parts.append(table("LowerRun lower_runs", (f"{{{a:#x}, {b:#x}, {s}, {d}}}" for a, b, s, d in lower())))
    Path(__file__).with_name("unicode_tables.inl").write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
