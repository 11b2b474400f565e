# SPDX-License-Identifier: Apache-2.0
"""The checks N350 to N354: functions that flake8 calls with arguments chosen by the names of their parameters.

Each check yields or returns (offset in the line, text). The checks need no library.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

Check = TypeVar("Check", bound=Callable[..., Any])
Violations = Generator[tuple[int, str], None, None]

re_no_construct_dict = re.compile(r"\sdict\(\)")
re_no_construct_list = re.compile(r"\slist\(\)")
re_str_format = re.compile(r"%\(([^)]+)\)[#0 +-]?(?:-?\d*)?(?:\.\d*)?[hLl]?[A-Za-z%]")
re_raises = re.compile(r"\s:raise[^s] *.*$|\s:raises *:.*$|\s:raises *[^:]+$")


def _flake8(check: Check) -> Check:
    """Give *check* the attributes that flake8 expects of a plugin."""
    check.name = check.__name__  # type: ignore[attr-defined]
    check.version = "1.0"  # type: ignore[attr-defined]
    return check


@_flake8
def check_quotes(logical_line: str, filename: str, noqa: bool = False) -> Violations:
    """N350: strings have double quotes."""
    if noqa:
        return
    for token in _tokens(logical_line):
        opening = token.string.lstrip("rRbBuUfF")[:1]
        if token.type in _STRINGS and opening == "'":
            yield token.start[1], "N350 Use double quotes"
            return


@_flake8
def check_no_constructor_data_struct(logical_line: str, filename: str, noqa: bool = False) -> Violations:
    """N351: empty dictionaries and lists are literals."""
    if noqa:
        return
    if re_no_construct_dict.search(logical_line):
        yield 0, "N351 Use {} in place of dict()"
    if re_no_construct_list.search(logical_line):
        yield 0, "N351 Use [] in place of list()"


@_flake8
def check_dict_formatting_in_string(logical_line: str, tokens: Iterable[Any], noqa: bool = False) -> Violations:
    """N352: a format with a single key needs no mapping.

    Checks a string (or adjacent strings) directly in front of a ``%`` operator; parentheses may be between them.
    """
    if noqa:
        return
    text = ""
    for kind, string, *_ in tokens:
        if kind == tokenize.STRING:
            text += string
        elif kind == tokenize.OP and string == "%":
            if len(set(re_str_format.findall(text))) == 1:
                yield 0, "N352 Do not use a mapping for a single key"
            text = ""
        elif kind not in (tokenize.NL, tokenize.COMMENT) and string != ")":
            text = ""


@_flake8
def check_raises(physical_line: str, filename: str) -> tuple[int, str] | None:
    """N354: docstrings say ``:raises Exception: conditions``."""
    if re_raises.search(physical_line):
        return 0, "N354 Write ':raises Exception: conditions' in docstrings"
    return None


#: Since Python 3.12, f-strings have token types of their own.
_STRINGS = frozenset({tokenize.STRING, getattr(tokenize, "FSTRING_START", tokenize.STRING)})


def _tokens(line: str) -> Generator[tokenize.TokenInfo, None, None]:
    try:
        yield from tokenize.generate_tokens(io.StringIO(line).readline)
    except (tokenize.TokenError, IndentationError):
        return  # an incomplete statement: the tokens before its end were yielded
