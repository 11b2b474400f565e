# SPDX-License-Identifier: Apache-2.0
"""The secrets in a connection string, and how to cut them from texts.

The secrets of a malformed string are cut as well, such as one without a slash, or with a password that is not
percent-encoded. So all text between the scheme and the last ``@`` is a secret, except for a user before a colon. It is
cut as a whole, decoded, encoded, and in the pieces into which a parser may split it. A user without a password is a
secret too, since it may be a token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from osprofiler.connection import options

MASK = "***"

_HINT = (
    "; in user, password and options percent-encode special characters: @ is %40, / %2F, ? %3F, # %23, & %26, : %3A, "
    "[ %5B"
)

_SCHEME = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+._-]*)?(://|:/?|//)")
_SECRET_NAME = re.compile(r"pass|pwd|secret|token|key|credential|properties", re.I)
#: Option names that contain one of these words, but whose value is the name of a file.
_FILE_NAME = re.compile(r"file$|^sslkey$", re.I)

#: Characters in an account that a parser could take for its end.
_UNCERTAIN = re.compile(r"[/?#\t\r\n]")
_PLACE = re.compile(r"\[[^\]]*\](?::\d*)?|[^:]*(?::\d*)?")

#: Pieces of a secret that parsers and quoting leave unchanged.
_PIECE = re.compile(r"[A-Za-z0-9_.~-]+")
#: The context of a piece in another text: before and after it is no letter or digit, unless that ends an escape.
_BEFORE = (
    r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[abfnrtv])|(?<=\\x[0-9a-f]{2})|(?<=\\u[0-9a-f]{4})"
    r"|(?<=\\U[0-9a-f]{8}))"
)
_AFTER = r"(?![A-Za-z0-9])"

#: A whole secret of at least _ANYWHERE characters is cut everywhere. Pieces, and shorter secrets, of at least _AS_WORD
#: characters are cut as words. All others are cut only in quotes, so that a password such as "a" cuts no other text.
_ANYWHERE, _AS_WORD = 4, 3


class _Parts(NamedTuple):
    shown: str
    secrets: tuple[str, ...]
    certain: bool  # all parsers find the same end of user and password


def masked(connection_string: str) -> str:
    """The string without its password, and without the values of options that look like secrets."""
    return _parts(connection_string).shown


def is_certain(connection_string: str) -> bool:
    """Whether the end of user and password is unambiguous, so that all parsers read the string in the same way."""
    return _parts(connection_string).certain


def malformed(connection_string: str, why: str) -> ValueError:
    """The error for a string that cannot be used: one line, without the string's secrets."""
    parts = _parts(connection_string)
    shown_why = cut(why, connection_string).rstrip(".")
    hint = "" if parts.certain and MASK not in shown_why else _HINT
    return ValueError(f"malformed connection string {parts.shown!r}: {shown_why}{hint}")


def cut(text: str, *connection_strings: str, plain: Iterable[str] = ()) -> str:
    """*text* without the secrets of these strings and without *plain*, each of which is a secret as a whole."""
    return cutter(*connection_strings, plain=plain)(text)


def cutter(*connection_strings: str, plain: Iterable[str] = ()) -> Callable[[str], str]:
    """:func:`cut` for many texts."""
    secrets = [secret for string in connection_strings for secret in _parts(str(string)).secrets]
    pattern = _pattern([*secrets, *plain])
    return (lambda text: pattern.sub(MASK, text)) if pattern is not None else str


def _parts(text: str) -> _Parts:
    match = _SCHEME.match(text)
    begin = match[0] if match else ""
    has_form = match is not None and match[1] == "://"
    place, mark, query = text[len(begin) :].partition("?")
    shown_query, secrets = _options(query)
    rest = f"{place}{mark}{shown_query}"

    account, at, host = rest.rpartition("@")
    names_file = begin.lower().startswith("sqlite") and place.startswith("/")
    if at and not names_file:
        certain = has_form and not _UNCERTAIN.search(account)
        user, colon, password = account.partition(":")
        if colon and not _UNCERTAIN.search(user):
            account, secret = f"{user}:{MASK if password else ''}", password
        else:
            account, secret = MASK, account
        shown = f"{begin}{account}@{host}"
        return _Parts(shown.replace("\0", "@"), (*secrets, secret), certain)

    if match is not None and not has_form and match[1] != "//" and rest and not names_file:
        return _Parts(f"{begin.rstrip('/')}{MASK}", (*secrets, rest), False)
    authority = re.split(r"[/#]", place, maxsplit=1)[0]
    if match is not None and not all(map(_PLACE.fullmatch, authority.split(","))):
        # The port is not a number: the text after the colon may be a password, and the host is missing.
        head, _, secret = rest.partition(":")
        return _Parts(f"{begin}{head}:{MASK}", (*secrets, secret), False)
    return _Parts(f"{begin}{rest}".replace("\0", "@"), secrets, "#" not in rest or names_file)


def _options(query: str) -> tuple[str, tuple[str, ...]]:
    """*query* without its secrets, and these secrets. An ``@`` that ends no account of the whole string becomes NUL."""
    shown: list[str] = []
    secrets: list[str] = []
    after_secret = False
    for pair in query.split("&"):
        name, equals, value = pair.partition("=")
        if after_secret and name not in options.NAMES:
            secrets.append(pair)  # a secret with an unescaped "&"
            shown.append(MASK)
        elif equals and _SECRET_NAME.search(name) and not _FILE_NAME.search(name):
            secrets.append(value)
            shown.append(f"{name}={MASK}")
            after_secret = True
        elif "://" in unquote_plus(value):
            inner = _parts(unquote_plus(value))
            secrets += inner.secrets
            shown.append(f"{name}={inner.shown}".replace("@", "\0"))
        else:
            shown.append(pair)
    return "&".join(shown), tuple(secrets)


def _pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    wholes: set[str] = set()
    words: set[str] = set()
    quoted: set[str] = set()
    for form in {form for secret in secrets for form in _forms(secret)}:
        (wholes if len(form) >= _ANYWHERE else words if len(form) >= _AS_WORD else quoted).add(form)
        for piece in _PIECE.findall(form):
            (words if len(piece) >= _AS_WORD else quoted).add(piece)
    ways = [_any_of(wholes), _any_of(words, _BEFORE, _AFTER), _any_of(quoted, r"(?<=['\"])", r"(?=['\"])")]
    used = "|".join(way for way in ways if way)
    return re.compile(used, re.I) if used else None


def _any_of(texts: Iterable[str], before: str = "", after: str = "") -> str:
    longest_first = sorted(filter(None, texts), key=lambda text: (-len(text), text))
    return f"{before}(?:{'|'.join(map(re.escape, longest_first))}){after}" if longest_first else ""


def _forms(secret: str) -> Iterator[str]:
    """*secret* as in the string, decoded, without the characters that URL parsers strip, and in various quotings."""
    for text in {secret, unquote(secret), unquote_plus(secret)}:
        yield text
        yield re.sub(r"[\t\r\n]", "", text)
        yield from (make(text, safe="", errors="replace") for make in (quote, quote_plus))
        yield from (repr(text)[1:-1], ascii(text)[1:-1], json.dumps(text)[1:-1])
        yield repr(text.encode("utf-8", "surrogatepass"))[2:-1]
