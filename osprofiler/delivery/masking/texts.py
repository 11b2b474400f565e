# SPDX-License-Identifier: Apache-2.0
"""Secrets in texts: values after the name of a secret, tokens with a known form, and passwords in URLs.

The name stands before ``=``, ``:`` and the like, in quotes, in JSON, XML, headers, query strings and command lines. If
the end of a value is unclear, the whole rest of the text is masked. This also works on a text that was cut.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from osprofiler.delivery.masking.ends import QUOTE, after, end_of_value
from osprofiler.delivery.masking.names import MASK, SecretNames, lower

#: Secrets with a known form, by their beginning in lower case: tokens of keystone (Fernet), JSON web tokens, private
#: keys, credentials of HTTP, and in URLs the password, or a token in place of the user. They may be cut.
_BY_FORM = {
    "gaaaaa": re.compile(r"()(?<![\w-])gAAAAA[\w=-]{16,}"),
    "eyj": re.compile(r"()(?<![\w-])eyJ[\w-]{8,}\.[\w.-]*"),
    "-----begin ": re.compile(
        r"()-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?:[^-]|-(?!----END))*(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"
    ),
    "bearer ": re.compile(r"(bearer\s+)[\w+/.~=-]{6,}", re.I),
    "basic ": re.compile(r"(basic\s+)[\w+/.~=-]{6,}", re.I),
    # Redis's error of an unknown command shows its arguments, and redis-py's of a pipeline the whole command.
    "with args beginning with: ": re.compile(r"(with args beginning with: )'.*", re.I | re.S),
    "dup key: ": re.compile(r"(dup key: ){.*", re.I | re.S),  # MongoDB's error shows the value
    "command # ": re.compile(r"(command # \d+ \(\w+ ).*?(?=\) of pipeline|$)", re.I | re.S),
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
    r"|\\*[\"']\s{0,8},\s{0,8}(?=[bru]?\\*[\"'])"  # first of a pair, unless the second is a name with a value
    r"(?![bru]?(?P<quote>\\*[\"'])[^\"'\\]{0,200}(?P=quote)\s{0,8}(?:=>|[:=]))"
    r"|\\*[\"']?(?:\s[^<>\n]{0,200})?/?>(?=[^<>])"  # an element of XML
    r"|\\*[\"']\s{1,8}value\s{0,8}=\s{0,8}"  # attributes of an element
    r"|\s{1,8}(?=[bru]?\\*[\"'])"
    r"|\s{1,8}(?=[\w+/.=-]{16})(?=[A-Za-z_+/.=-]{0,64}\d)"  # prose, if the next word looks like a secret
    r"|/(?=[\w-]{16})"  # a path of keystone's old API
    r")",
    re.I,
)
_REST_OF_NAME = re.compile(r"[\w-]*")
_OPTION = re.compile(r"(?<![\w-])--?[\w-]*$")
_BEFORE_ARGUMENT = re.compile(r"\s+(?=[^\s-])")
#: Values that cannot be secrets, and placeholders.
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
        #: Earlier short texts without a secret.
        self.plain: set[str] = set()

    def text(self, value: str) -> str:
        """*value* without secrets."""
        if value in self.plain:
            return value
        masked = self._masked(value)
        for pattern in self._patterns:
            masked = pattern.sub(MASK, masked)
        if masked != value:
            return masked
        if len(value) <= _SHORT:
            if len(self.plain) >= _MOST_KNOWN:
                self.plain.clear()
            self.plain.add(value)
        return value

    def _masked(self, value: str) -> str:
        low = lower(value)
        for beginning, pattern in _BY_FORM.items():
            if beginning in low:
                value = _without(value, beginning, low, pattern)
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
        """*value* without the secrets whose names begin at some of *places*."""
        parts: list[str] = []
        copied = searched = 0  # positions in value
        for place in places:
            if place < searched or (name := self.names.match(value, place)) is None:
                continue
            searched = name_end = after(_REST_OF_NAME, value, name.end())
            joint = _JOINT.match(value, name_end)
            if joint is None and _is_option(value, place):
                joint = _BEFORE_ARGUMENT.match(value, name_end)
            if joint is None:
                continue
            begin = joint.end()
            no_secret = _NO_SECRET.match(value, begin)
            if no_secret is not None:
                searched = no_secret.end()
                continue
            end = end_of_value(value, name[0], joint[0], begin)
            if end <= begin:
                continue
            quote = QUOTE.match(value, begin)
            opening, closing = (quote[0], quote[1] + quote[2]) if quote else ("", "")
            if not value.endswith(closing, begin + len(opening), end):
                closing = ""  # it was cut
            parts += (value[copied:begin], opening, MASK, closing)
            copied = searched = end
        parts.append(value[copied:])
        return "".join(parts)

    def _without_parameters(self, value: str) -> str:
        """*value*, an error text of SQLAlchemy, without the parameters of the statement: they have no names there."""
        at = value.find(_PARAMETERS)
        while at >= 0:
            begin, end = at + len(_PARAMETERS), value.find("\n", at)
            if self.names.is_in(value[max(value.rfind("[SQL: ", 0, at), 0) : at]):
                value = f"{value[:begin]}{MASK}]{value[end:] if end >= 0 else ''}"
            at = value.find(_PARAMETERS, begin)
        return value


def _without(text: str, beginning: str, low: str, pattern: re.Pattern[str]) -> str:
    """*text* with the matches of *pattern* masked, but for its groups. They start where *low* has *beginning*."""
    parts: list[str] = []
    copied = 0
    at = low.find(beginning)
    while at >= 0:
        match = pattern.match(text, at)
        if match is not None:
            parts += (text[copied:at], match[match.lastindex or 0], MASK)
            copied = match.end()
        at = low.find(beginning, max(at + 1, copied))
    return "".join((*parts, text[copied:]))


def _is_option(text: str, place: int) -> bool:
    """Whether the name at *place* is an option of a command line, or the end of one."""
    before = _OPTION.search(text[max(place - 60, 0) : place])
    return before is not None
