# SPDX-License-Identifier: Apache-2.0
"""Secrets in texts: what stands behind a secret's name, and what shows by itself that it is one.

The name stands before ``=``, ``:`` and the like, in quotes, in JSON, XML, headers, query strings and command lines. So
are tokens that show by themselves, and passwords in URLs. Of a text nothing is cut that its secrets are not cut from as
well: where the end of a value cannot be told, all that follows is taken for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from osprofiler.delivery.masking.ends import QUOTE, after, end_of_value
from osprofiler.delivery.masking.names import MASK, SecretNames, lower

#: What is a secret by itself, by how it begins, in lower case: tokens of keystone (Fernet), JSON web tokens, private
#: keys, what authenticates by HTTP, and in URLs the password, or a user that is none; with what a cut has left of them.
_BY_THEMSELVES = {
    "gaaaaa": re.compile(r"()(?<![\w-])gAAAAA[\w=-]{16,}"),
    "eyj": re.compile(r"()(?<![\w-])eyJ[\w-]{8,}\.[\w.-]*"),
    "-----begin ": re.compile(
        r"()-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?:[^-]|-(?!----END))*(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"
    ),
    "bearer ": re.compile(r"(bearer\s+)[\w+/.~=-]{6,}", re.I),
    "basic ": re.compile(r"(basic\s+)[\w+/.~=-]{6,}", re.I),
    "://": re.compile(
        r"(://)[^\s/?#:@'\"]{20,256}(?=@)"
        r"|(://[^\s/?#:@'\"]{0,256}:)(?!\d{1,5}(?:[/?#]|$))"
        r"(?:[^\s'\"/?#]{0,256}(?=@)|[^\s'\"]{1,256}?(?=@))"
    ),
}
_CUT = "...(cut)"
_CUT_ACCOUNT = re.compile(r"(://[^\s/?#:@'\"]{0,256}:)[^\s/?#@'\"]*$")

#: Between a name in a text and its value.
_JOINT = re.compile(
    r"(?:"
    r"\\*[\"'`]?\]?\s{0,8}(?:=>|:=|={1,3}|:(?!//)|!=|<>|[<>]=|%(?:25)*3[adAD]|\blike\b|\bis\b|\bwas\b)\s{0,8}"
    r"|\\*[\"']\s{0,8},\s{0,8}(?=[bru]?\\*[\"'])"  # the first of a pair, unless the second is a name with a value
    r"(?![bru]?(?P<quote>\\*[\"'])[^\"'\\]{0,200}(?P=quote)\s{0,8}(?:=>|[:=]))"
    r"|\\*[\"']?(?:\s[^<>\n]{0,200})?/?>(?=[^<>])"  # an element of XML
    r"|\\*[\"']\s{1,8}value\s{0,8}=\s{0,8}"  # attributes of it
    r"|\s{1,8}(?=[bru]?\\*[\"'])"
    r"|\s{1,8}(?=[\w+/.=-]{16})(?=[A-Za-z_+/.=-]{0,64}\d)"  # prose, if it looks like one
    r"|/(?=[\w-]{16})"  # a path of keystone's old API
    r")",
    re.I,
)
_REST_OF_NAME = re.compile(r"[\w-]*")
_OPTION = re.compile(r"(?<![\w-])--?[\w-]*$")
_BEFORE_ARGUMENT = re.compile(r"\s+(?=[^\s-])")
#: Values that tell nothing, and the places of values that are elsewhere.
_NO_SECRET = re.compile(
    r"\\*[\"']?(?:none|null|true|false|\*\*\*|\?|%s|%\(\w+\)s)\\*[\"']?(?=[\s,;:)\]}&<]|$)|\\*[\"']{2}(?=[\s,;:)\]}&]|$)",
    re.I,
)
_PARAMETERS = "[parameters: "
_MOST_KNOWN = 4096
_SHORT = 128


class TextMasker:
    """Masks texts by *names*, by the patterns known here, and by further *patterns* (regular expressions)."""

    def __init__(self, names: SecretNames, patterns: Sequence[str] = ()) -> None:
        self.names = names
        self._patterns = [re.compile(pattern) for pattern in patterns]
        self._plain: set[str] = set()  # texts that came before and hold no secret

    def text(self, value: str) -> str:
        """*value* without secrets."""
        if value in self._plain:
            return value
        made = self._masked(value)
        for pattern in self._patterns:
            made = pattern.sub(MASK, made)
        if made != value:
            return made
        if len(value) <= _SHORT:
            if len(self._plain) >= _MOST_KNOWN:
                self._plain.clear()
            self._plain.add(value)
        return value

    def _masked(self, value: str) -> str:
        low = lower(value)
        for part, pattern in _BY_THEMSELVES.items():
            if part in low:
                value = _without(value, part, low, pattern)
                low = lower(value)
        if low.endswith(_CUT):
            at = low.rfind("://")
            account = _CUT_ACCOUNT.match(value, at) if at >= 0 else None
            if account is not None:
                value = f"{value[: account.end(1)]}{MASK}"
                low = lower(value)
        places = self.names.places(low)
        if not places:
            return value
        if _PARAMETERS in low:
            value = self._without_parameters(value)
            low = lower(value)
            places = self.names.places(low)
        return self._without_named(value, places)

    def _without_named(self, value: str, places: list[int]) -> str:
        """*value* without the values whose names begin at some of *places*."""
        parts: list[str] = []
        done = looked_at = 0
        for place in places:
            if place < looked_at or (name := self.names.match(value, place)) is None:
                continue
            looked_at = name_end = after(_REST_OF_NAME, value, name.end())
            joint = _JOINT.match(value, name_end)
            if joint is None and _is_option(value, place):
                joint = _BEFORE_ARGUMENT.match(value, name_end)
            if joint is None:
                continue
            begin = joint.end()
            none = _NO_SECRET.match(value, begin)
            if none is not None:
                looked_at = none.end()
                continue
            end = end_of_value(value, name[0], joint[0], begin)
            if end <= begin:
                continue
            quote = QUOTE.match(value, begin)
            opening, closing = (quote[0], quote[1] + quote[2]) if quote else ("", "")
            if not value.endswith(closing, begin + len(opening), end):
                closing = ""  # it was cut
            parts += (value[done:begin], opening, MASK, closing)
            done = looked_at = end
        parts.append(value[done:])
        return "".join(parts)

    def _without_parameters(self, value: str) -> str:
        """*value*, the text of a fault of SQLAlchemy's: it shows a statement's parameters without their names."""
        at = value.find(_PARAMETERS)
        while at >= 0:
            begin, end = at + len(_PARAMETERS), value.find("\n", at)
            if self.names.is_in(value[max(value.rfind("[SQL: ", 0, at), 0) : at]):
                value = f"{value[:begin]}{MASK}]{value[end:] if end >= 0 else ''}"
            at = value.find(_PARAMETERS, begin)
        return value


def _without(text: str, part: str, low: str, pattern: re.Pattern[str]) -> str:
    """*text* without what *pattern* matches where *part* stands in *low*; the pattern's groups stay."""
    parts: list[str] = []
    done = 0
    at = low.find(part)
    while at >= 0:
        match = pattern.match(text, at)
        if match is not None:
            parts += (text[done:at], match[match.lastindex or 0], MASK)
            done = match.end()
        at = low.find(part, max(at + 1, done))
    return "".join((*parts, text[done:]))


def _is_option(text: str, place: int) -> bool:
    """Whether the name at *place* is, or ends, an option of a command line."""
    before = _OPTION.search(text[max(place - 60, 0) : place])
    return before is not None
