# SPDX-License-Identifier: Apache-2.0
"""Secrets become ``***`` before what a span holds leaves the process.

A value is a secret if its name is one: the key of a mapping, the first of a pair, the column of a statement, and in a
text what stands before ``=``, ``:`` and the like, in quotes, in JSON, XML, headers, query strings and command lines. So
are tokens that show by themselves, and passwords in URLs. Of a text nothing is cut that its secrets are not cut from as
well: where the end of a value cannot be told, all that follows is taken for it.

The reporter does this, behind the service. A callable that gets records at once gets them masked at once.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler.delivery.queue import Entry, QueuedSpan, Recorded, Started

MASK = "***"

#: A name that holds one of these is a secret's, whatever the case; an underscore may also be another joint, or none.
#: oslo.utils' names are among them. They stand under a part of theirs that plain texts seldom have.
NAMES: dict[str, tuple[str, ...]] = {
    "pass": ("password", "passwd", "passphrase", "passcode", "admin_pass", "user_pass", "db_pass", "new_pass"),
    "pswd": ("pswd",),
    "token": ("token",),
    "secret": ("secret",),
    "cred": ("credential",),
    "cookie": ("cookie",),
    "author": ("authorization",),
    "signa": ("signature",),
    "data": ("user_data",),
    "drive": ("config_drive",),
    "identified": ("identified by",),
    "key": (
        *("api_key", "access_key", "private_key", "signing_key", "encrypted_key", "encryption_key", "encrypt_key"),
        *("ssl_key", "ssh_key", "hmac_key", "shared_key", "master_key", "session_key", "auth_key", "account_key"),
        *("admin_key", "fernet_key", "heartbeat_key", "client_key", "rndc_key", "rgw_key", "mds_key", "mon_key"),
        *("temp_url_key", "storage_key", "service_key"),
    ),
    "cephcluster": ("ceph_cluster_fsid",),
    "kek": ("crypto_kek",),
    "suffix": ("hash_suffix",),
}
#: The same of these where they are a whole word.
WORDS = ("pass", "pwd", "sig", "jwt", "otp", "totp", "creds")

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
    r"|\\*[\"']\s{0,8},\s{0,8}(?=[bru]?\\*[\"'])"  # the first of a pair
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
_QUOTE = re.compile(r"[bru]?(\\*)([\"'])", re.I)
_BARE = re.compile(r"(?:[^\s'\"&]|&(?![\w.%\[\]-]{1,64}=)|['\"](?![\s,;:)\]}>]|$))+")
_TO_LINE_END = re.compile(r"(?:[^\n'\"\\]|['\"](?![,)\]}]|\s*$)|\\(?![nr\"'])|\\[\"'](?![,)\]}]))+")
_IN_XML = re.compile(r"[^<]*")
_ESCAPED = re.compile(r".*?(?=%(?:25)*26|[\s'\"&]|$)", re.S)
_OPENS = re.compile(r"[A-Za-z_][\w.]{0,200}(?=[(\[{])|(?=[(\[{])|<(?=[A-Za-z])")
_CLOSERS = {"(": ")", "[": "]", "{": "}", "<": ">"}
_BRACKETS = re.compile(r"[()\[\]{}<>]|\\*[\"']")
_ON_A_LINE = re.compile(r"authorization|cookie", re.I)

_PLACE = r"\?|%s|:\d+|\$\d+|%\((\w+)\)s|(?<![:\w]):([a-z_]\w*)"
_COLUMN_IS = re.compile(r"(\w+)[\"'`\]]?\s{0,8}(?:=|<>|!=|[<>]=?|\blike\b)\s{0,8}(?:\w{1,40}\()?$", re.I)
_INSERT = re.compile(r"\s*(?:insert|replace)\b[^(]{0,400}\(([^()]*)\)\s*(?:output\b[^(]*)?values\b", re.I)
_LITERAL = re.compile(r"'(?:[^']|'')*(?:'|$)")

_IS_NAME = re.compile(r"-{0,2}[A-Za-z][\w.:-]{0,100}").fullmatch

_PARAMETERS = "[parameters: "
_MOST_KNOWN = 4096
_SHORT = 128
#: A key that is no longer is a name, and no text with a secret in it.
_NAME_ALONE = 15


class Masker:
    """Masks by the names and patterns known here, and by further *names* and *patterns* (regular expressions)."""

    def __init__(self, names: Sequence[str] = (), patterns: Sequence[str] = ()) -> None:
        given = [name for each in names if (name := each.strip().lower())]
        by_part = dict(NAMES)
        for name in (*WORDS, *given):
            part = re.split("[-_ ]", name)[0]
            by_part[part] = (*by_part.get(part, ()), name)
        # Where in a text a name may begin: it is looked for only where its part is there at all.
        self._beginnings = {part: sorted({re.split("[-_ ]", name)[0] for name in of}) for part, of in by_part.items()}
        known = [name for of in (*NAMES.values(), given) for name in of]
        longest_first = sorted((re.split("[-_ ]", name) for name in known), key=lambda parts: -len("".join(parts)))
        any_of = "|".join("[-_. ]?".join(map(re.escape, parts)) for parts in longest_first)
        self._name = re.compile(f"(?:{any_of}|(?<![a-z])(?:{'|'.join(WORDS)})(?![a-z]))", re.I)
        self._patterns = [re.compile(pattern) for pattern in patterns]
        self._plain: set[str] = set()  # texts that came before and hold no secret
        self._keys: dict[str, bool] = {}
        self.positions = functools.lru_cache(_MOST_KNOWN)(self._positions)

    def is_secret(self, name: str) -> bool:
        """Whether what is called *name* is a secret."""
        known = self._keys.get(name)
        if known is None:
            if len(self._keys) >= _MOST_KNOWN:
                self._keys.clear()
            known = self._keys[name] = self._name.search(name) is not None
        return known

    def _positions(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """Which of *names* are secrets'."""
        return tuple(number for number, name in enumerate(names) if self.is_secret(name))

    # Values, as they are once they are frozen; what holds no secret comes back as the same object

    def value(self, value: Any) -> Any:
        """*value* without secrets."""
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is dict:
            return self.mapping(value)
        if kind is list:
            return self._items(value)
        return value

    def mapping(self, value: dict[str, Any]) -> dict[str, Any]:
        """*value* without secrets, by its keys and in its values."""
        made = value
        known = self._keys.get
        for key, item in value.items():
            secret = known(key)
            if secret is None:
                secret = self.is_secret(key)
            masked = (MASK if _tells(item) else item) if secret else self.value(item)
            if masked is not item:
                if made is value:
                    made = value.copy()
                made[key] = masked
        if "value" in made:
            # Its name may stand in another item.
            name = value.get("name", value.get("key"))
            if type(name) is str and _tells(value["value"]) and self.is_secret(name):
                made = {**made, "value": MASK}
        for key in value:
            if len(key) > _NAME_ALONE and self.text(key) is not key:
                return {self.text(key): item for key, item in made.items()}
        return made

    def _items(self, value: list[Any]) -> list[Any]:
        made = [self.value(item) for item in value]
        for number, name in enumerate(value[:-1]):
            # The first of a pair, and an option before its argument.
            is_name = type(name) is str and (len(value) == 2 or name[:1] == "-") and _IS_NAME(name)
            if is_name and self.is_secret(name) and _tells(value[number + 1]):
                made[number + 1] = MASK
        return made if any(one is not other for one, other in zip(made, value, strict=True)) else value

    # Statements

    def statement(self, info: dict[str, Any]) -> dict[str, Any]:
        """A statement's ``statement`` and ``params`` without the values of columns that are called like secrets."""
        text, params = info.get("statement"), info.get("params")
        if type(text) is not str or not self._has_name(text):
            return info
        insert = _INSERT.match(text)
        columns = insert[1].split(",") if insert else []
        secret = {number for number, column in enumerate(columns) if self.is_secret(column)}
        if insert and secret:
            head = text[: insert.end()]
            masked = head + _LITERAL.sub(f"'{MASK}'", text[len(head) :])
            return {**info, "statement": masked, "params": _mask_columns(params, len(columns), secret)}
        positions: set[int] = set()
        names: set[str] = set()
        for number, place in enumerate(re.finditer(_PLACE, text, re.I)):
            column = _COLUMN_IS.search(text[max(place.start() - 100, 0) : place.start()])
            if column and self.is_secret(column[1]):
                positions.add(number)
                names.update(name for name in place.groups() if name)
        return {**info, "params": _mask_columns(params, 0, positions, names)} if positions else info

    # Texts

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
        low = _lower(value)
        for part, pattern in _BY_THEMSELVES.items():
            if part in low:
                value = _without(value, part, low, pattern)
                low = _lower(value)
        if low.endswith(_CUT):
            at = low.rfind("://")
            account = _CUT_ACCOUNT.match(value, at) if at >= 0 else None
            if account is not None:
                value = f"{value[: account.end(1)]}{MASK}"
                low = _lower(value)
        places = self._places(low)
        if not places:
            return value
        if _PARAMETERS in low:
            value = self._without_parameters(value)
            low = _lower(value)
            places = self._places(low)
        return self._without_named(value, places)

    def _places(self, low: str) -> list[int]:
        """Where in *low*, a text in lower case, a name of a secret may begin."""
        places: list[int] = []
        for part, beginnings in self._beginnings.items():
            if part in low:
                for beginning in beginnings:
                    at = low.find(beginning)
                    while at >= 0:
                        places.append(at)
                        at = low.find(beginning, at + 1)
        places.sort()
        return places

    def _has_name(self, text: str) -> bool:
        return any(self._name.match(text, place) for place in self._places(_lower(text)))

    def _without_named(self, value: str, places: list[int]) -> str:
        """*value* without the values whose names begin at some of *places*."""
        parts: list[str] = []
        done = looked_at = 0
        for place in places:
            if place < looked_at or (name := self._name.match(value, place)) is None:
                continue
            looked_at = name_end = _after(_REST_OF_NAME, value, name.end())
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
            end = _end(value, name[0], joint[0], begin)
            if end <= begin:
                continue
            quote = _QUOTE.match(value, begin)
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
            if self._has_name(value[max(value.rfind("[SQL: ", 0, at), 0) : at]):
                value = f"{value[:begin]}{MASK}]{value[end:] if end >= 0 else ''}"
            at = value.find(_PARAMETERS, begin)
        return value


def _lower(text: str) -> str:
    """*text* in lower case, with each character in its place."""
    low = text.lower()
    return low if len(low) == len(text) else "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


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


def _tells(value: Any) -> bool:
    """Whether a value under a secret's name is one."""
    return value is not None and value is not True and value is not False and value not in ("", [], {})


def _end(text: str, name: str, joint: str, begin: int) -> int:
    """Where the value ends that begins at *begin* in *text*, after *name* and *joint*."""
    joint = joint.strip()
    if joint.endswith(">") and joint not in ("=>", "<>"):
        return _after(_IN_XML, text, begin)
    if joint.startswith("%"):
        return _after(_ESCAPED, text, begin)
    quote = _QUOTE.match(text, begin)
    if quote:
        return _end_of_quoted(text, quote.end(), quote[1], quote[2])
    opens = _OPENS.match(text, begin)
    if opens:
        end = _end_of_brackets(text, opens.end() - (text[begin] == "<"))
        if end < len(text) and text[end] in ",)]}; \n":
            return end
        return max(end, _after(_BARE, text, begin))
    if _ON_A_LINE.match(name):
        return _after(_TO_LINE_END, text, begin)
    end = _after(_BARE, text, begin)
    return max(begin + len(text[begin:end].rstrip(",;)]}")), min(begin + 1, end))


def _after(pattern: re.Pattern[str], text: str, begin: int) -> int:
    match = pattern.match(text, begin)
    return match.end() if match else begin


def _end_of_quoted(text: str, begin: int, escape: str, quote: str) -> int:
    """After the quote that closes what was opened before *begin*; one in the midst of a word closes nothing."""
    mark = escape + quote
    at = text.find(mark, begin)
    while at >= 0:
        end = at + len(mark)
        escapes = 0
        while at - escapes > begin and text[at - escapes - 1] == "\\":
            escapes += 1
        follows = text[end : end + 1]
        is_escaped = escapes > 0 if escape else escapes % 2 == 1
        if not is_escaped and not (follows.isalnum() or follows == "_" or (follows == quote and end - begin > 1)):
            return end
        # Of a doubled quote the second closes nothing either.
        at = text.find(mark, end + 1 if follows == quote and not is_escaped else end)
    return len(text)


def _end_of_brackets(text: str, begin: int) -> int:
    """After the bracket that closes the one at *begin*, not looking at those in quotes."""
    open_ = [_CLOSERS[text[begin]]]
    at = begin + 1
    while True:
        match = _BRACKETS.search(text, at)
        if match is None:
            return len(text)
        at = match.end()
        mark = match[0]
        if mark[-1] in "\"'":
            before = text[match.start() - 1]
            if not (before.isalnum() or before == "\\") or mark[0] == "\\" or before in "bru":
                at = _end_of_quoted(text, at, mark[:-1], mark[-1])
        elif mark == open_[-1]:
            open_.pop()
            if not open_:
                return at
        elif mark in _CLOSERS and mark != "<":
            open_.append(_CLOSERS[mark])


def _mask_columns(params: Any, columns: int, secret: set[int], names: set[str] | frozenset[str] = frozenset()) -> Any:
    """*params* of one run of a statement, or of several, with the values at the positions *secret* masked.

    With *columns* they come in rows of that many; where they do not, nobody can tell, and all are masked.
    """
    if type(params) is dict:
        return {key: MASK if key in names and _tells(item) else item for key, item in params.items()}
    if type(params) is not list:
        return params
    if any(type(item) in (list, dict) for item in params):
        return [_mask_columns(item, columns, secret, names) for item in params]
    if columns and len(params) % columns and not str(params[-1:]).startswith("['...(cut)"):
        return [MASK if _tells(item) else item for item in params]
    row = columns or len(params) or 1
    return [MASK if number % row in secret and _tells(item) else item for number, item in enumerate(params)]


# The masker in force

_made: tuple[tuple[Any, ...], Masker] | None = None


def masker() -> Masker | None:
    """The masker by the settings in force; None where these mask nothing."""
    global _made
    settings = config.current()
    if not settings.mask_secrets:
        return None
    wanted = (settings.mask_names, settings.mask_patterns)
    made = _made
    if made is None or made[0] != wanted:
        _made = made = (wanted, Masker(*wanted))
    return made[1]


def arguments(names: tuple[str, ...], values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The positional arguments of a call whose parameters have *names*, without those that are called like secrets."""
    by = masker()
    if by is None or not (positions := by.positions(names)):
        return values
    return tuple(MASK if number in positions and item is not None else item for number, item in enumerate(values))


def is_secret(name: str) -> bool:
    """Whether what is called *name* is to be masked."""
    by = masker()
    return by is not None and by.is_secret(name)


def entries(entries: Iterable[Entry]) -> None:
    """Mask, in place, what leaves the process with *entries*: starts, spans that ended, records."""
    by = masker()
    if by is None:
        return
    for entry in entries:
        if isinstance(entry, Recorded):
            _record(by, entry.record)
        elif isinstance(entry, Started):
            _start(by, entry.span)
        else:
            _start(by, entry)
            _stop(by, entry)


def record(record: dict[str, Any]) -> dict[str, Any]:
    """*record*, masked in place."""
    by = masker()
    if by is not None:
        _record(by, record)
    return record


def _record(by: Masker, record: dict[str, Any]) -> None:
    name, info = record.get("name"), record.get("info")
    if type(name) is str:
        record["name"] = _name(by, name)
    if type(info) is dict:
        record["info"] = _info(by, info)


def _start(by: Masker, span: QueuedSpan) -> None:
    """What a span has from its start on; it may be open still, and is changed only where there is a secret."""
    operation = span.operation_name
    masked = _name(by, operation)
    if masked is not operation:
        span.set_operation_name(masked)
    name = span.name
    if name is not None and (masked := _name(by, name)) is not name:
        span.name = masked
    if span.start_info:
        span.start_info = _info(by, span.start_info)


def _stop(by: Masker, span: QueuedSpan) -> None:
    if span.stop_info:
        span.stop_info = _info(by, span.stop_info)
    if span.own_tags:
        span.own_tags = _info(by, span.own_tags)
    if span.own_logs:
        span.own_logs = [(at_us, _info(by, fields)) for at_us, fields in span.own_logs]


def _name(by: Masker, name: str) -> str:
    try:
        return by.text(name)
    except Exception as fault:
        guard.swallow("mask", fault)
        return MASK


def _info(by: Masker, info: dict[str, Any]) -> dict[str, Any]:
    """*info* without secrets; one that cannot be looked at is left out as a whole."""
    try:
        db = info.get("db")
        if type(db) is dict and "statement" in db:
            info = {**info, "db": by.statement(db)}
        return by.mapping(info)
    except Exception as fault:
        guard.swallow("mask", fault)
        return {"unmaskable": type(fault).__name__}
