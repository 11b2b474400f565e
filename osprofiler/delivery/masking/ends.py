# SPDX-License-Identifier: Apache-2.0
"""Where in a text the value of a secret ends. If that is unclear, the whole rest of the text is the value."""

from __future__ import annotations

import re

QUOTE = re.compile(r"[bru]?(\\*)([\"'])", re.I)
_BARE = re.compile(r"(?:[^\s'\"&]|&(?![\w.%\[\]-]{1,64}=)|['\"](?![\s,;:)\]}>]|$))+")
_TO_LINE_END = re.compile(r"(?:[^\n'\"\\]|['\"](?![,)\]}]|\s*$)|\\(?![nr\"'])|\\[\"'](?![,)\]}]))+")
_IN_XML = re.compile(r"[^<]*")
_ESCAPED = re.compile(r".*?(?=%(?:25)*26|[\s'\"&]|$)", re.S)
_OPENS = re.compile(r"[A-Za-z_][\w.]{0,200}(?=[(\[{])|(?=[(\[{])|<(?=[A-Za-z])")
_CLOSERS = {"(": ")", "[": "]", "{": "}", "<": ">"}
_BRACKETS = re.compile(r"[()\[\]{}<>]|\\*[\"']")
_ON_A_LINE = re.compile(r"authorization|cookie", re.I)


def end_of_value(text: str, name: str, joint: str, begin: int) -> int:
    """The end of the value that begins at *begin* in *text*, after *name* and *joint*."""
    joint = joint.strip()
    if joint.endswith(">") and joint not in ("=>", "<>"):
        return after(_IN_XML, text, begin)
    if joint.startswith("%"):
        return after(_ESCAPED, text, begin)
    quote = QUOTE.match(text, begin)
    if quote:
        return _end_of_quoted(text, quote.end(), quote[1], quote[2])
    opens = _OPENS.match(text, begin)
    if opens:
        end = _end_of_brackets(text, opens.end() - (text[begin] == "<"))
        if end < len(text) and text[end] in ",)]}; \n":
            return end
        return max(end, after(_BARE, text, begin))
    if _ON_A_LINE.match(name):
        return after(_TO_LINE_END, text, begin)
    end = after(_BARE, text, begin)
    return max(begin + len(text[begin:end].rstrip(",;)]}")), min(begin + 1, end))


def after(pattern: re.Pattern[str], text: str, begin: int) -> int:
    """The end of the match of *pattern* at *begin* in *text*; *begin* itself if it does not match."""
    match = pattern.match(text, begin)
    return match.end() if match else begin


def _end_of_quoted(text: str, begin: int, escape: str, quote: str) -> int:
    """The position after the quote that closes the one before *begin*. A quote inside a word does not close it."""
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
        # The second of two quotes does not close it either.
        at = text.find(mark, end + 1 if follows == quote and not is_escaped else end)
    return len(text)


def _end_of_brackets(text: str, begin: int) -> int:
    """The position after the bracket that closes the one at *begin*. Brackets in quotes do not count."""
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
