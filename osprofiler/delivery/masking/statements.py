# SPDX-License-Identifier: Apache-2.0
"""Mask secrets among the values of an SQL statement, by the names of their columns."""

from __future__ import annotations

import re
from typing import Any

from osprofiler.delivery.masking.names import MASK, SecretNames

_PLACE = r"\?|%s|:\d+|\$\d+|%\((\w+)\)s|(?<![:\w]):([a-z_]\w*)"
_COLUMN_IS = re.compile(r"(\w+)[\"'`\]]?\s{0,8}(?:=|<>|!=|[<>]=?|\blike\b)\s{0,8}(?:\w{1,40}\()?$", re.I)
_INSERT = re.compile(r"\s*(?:insert|replace)\b[^(]{0,400}\(([^()]*)\)\s*(?:output\b[^(]*)?values\b", re.I)
_LITERAL = re.compile(r"'(?:[^']|'')*(?:'|$)")


def without_secrets(info: dict[str, Any], names: SecretNames) -> dict[str, Any]:
    """*info*, a ``statement`` and its ``params``, without the values of columns with the name of a secret."""
    text, params = info.get("statement"), info.get("params")
    if type(text) is not str or not names.is_in(text):
        return info
    insert = _INSERT.match(text)
    columns = insert[1].split(",") if insert else []
    secret = {number for number, column in enumerate(columns) if names.is_secret(column)}
    if insert and secret:
        head = text[: insert.end()]
        masked = head + _LITERAL.sub(f"'{MASK}'", text[len(head) :])
        return {**info, "statement": masked, "params": _mask_columns(params, len(columns), secret)}
    positions: set[int] = set()
    keys: set[str] = set()
    for number, place in enumerate(re.finditer(_PLACE, text, re.I)):
        column = _COLUMN_IS.search(text[max(place.start() - 100, 0) : place.start()])
        if column and names.is_secret(column[1]):
            positions.add(number)
            keys.update(key for key in place.groups() if key)
    return {**info, "params": _mask_columns(params, 0, positions, keys)} if positions else info


def _mask_columns(params: Any, columns: int, secret: set[int], names: set[str] | frozenset[str] = frozenset()) -> Any:
    """*params* of one or more runs of a statement. Values at the positions *secret* of a row are masked.

    *columns* is the length of a row, or 0. If *params* are not whole rows, all of them are masked.
    """
    if type(params) is dict:
        return {key: MASK if key in names and may_be_secret(item) else item for key, item in params.items()}
    if type(params) is not list:
        return params
    if any(type(item) in (list, dict) for item in params):
        return [_mask_columns(item, columns, secret, names) for item in params]
    if columns and len(params) % columns and not str(params[-1:]).startswith("['...(cut)"):
        return [MASK if may_be_secret(item) else item for item in params]
    row = columns or len(params) or 1
    return [MASK if number % row in secret and may_be_secret(item) else item for number, item in enumerate(params)]


def may_be_secret(value: Any) -> bool:
    """Whether *value*, under the name of a secret, can be one: empty values, None and booleans cannot."""
    return value is not None and value is not True and value is not False and value not in ("", [], {})
