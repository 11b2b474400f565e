# SPDX-License-Identifier: Apache-2.0
"""The checks N350 to N354, as plain functions that flake8 calls by the names of their parameters.

Each yields, or returns, (offset in the line, text). They need no library.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

Check = TypeVar("Check", bound=Callable[..., Any])
Found = Generator[tuple[int, str], None, None]

re_no_construct_dict = re.compile(r"\sdict\(\)")
re_no_construct_list = re.compile(r"\slist\(\)")
re_str_format = re.compile(r"%\(([^)]+)\)[#0 +-]?(?:-?\d*)?(?:\.\d*)?[hLl]?[A-Za-z%]")
re_raises = re.compile(r"\s:raise[^s] *.*$|\s:raises *:.*$|\s:raises *[^:]+$")


def _flake8(check: Check) -> Check:
    """Mark *check* as flake8 wants a plugin marked."""
    check.name = check.__name__  # type: ignore[attr-defined]
    check.version = "1.0"  # type: ignore[attr-defined]
    return check


@_flake8
def check_quotes(logical_line: str, filename: str, noqa: bool = False) -> Found:
    """N350: strings stand in double quotes."""
    if noqa:
        return
    for token in _tokens(logical_line):
        opening = token.string.lstrip("rRbBuUfF")[:1]
        if token.type in _STRINGS and opening == "'":
            yield token.start[1], "N350 Use double quotes"
            return


@_flake8
def check_no_constructor_data_struct(logical_line: str, filename: str, noqa: bool = False) -> Found:
    """N351: empty dictionaries and lists are literals."""
    if noqa:
        return
    if re_no_construct_dict.search(logical_line):
        yield 0, "N351 Use {} in place of dict()"
    if re_no_construct_list.search(logical_line):
        yield 0, "N351 Use [] in place of list()"


@_flake8
def check_dict_formatting_in_string(logical_line: str, tokens: Iterable[Any], noqa: bool = False) -> Found:
    """N352: a format with one mapping key needs no mapping.

    Looks at a string (or neighbouring strings) directly before a ``%`` operator; parentheses may stand between.
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


#: Strings of f-strings are tokens of their own kind from Python 3.12 on.
_STRINGS = frozenset({tokenize.STRING, getattr(tokenize, "FSTRING_START", tokenize.STRING)})


def _tokens(line: str) -> Generator[tokenize.TokenInfo, None, None]:
    try:
        yield from tokenize.generate_tokens(io.StringIO(line).readline)
    except (tokenize.TokenError, IndentationError):
        return  # half a statement: what came before has been seen
