# SPDX-License-Identifier: Apache-2.0
"""Read and apply unified diffs exactly: no fuzz, no offsets, no new or removed files.

A patch for another version of a file must fail, not be applied approximately.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from osprofiler.patching.errors import PatchError

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


class Hunk(NamedTuple):
    """One change: at line ``start`` the lines ``before`` become ``after``."""

    start: int  # line number in the original file, from 0
    new_start: int  # line number in the patched file, from 0
    before: list[bytes]
    after: list[bytes]


class FileDiff(NamedTuple):
    """The changes of one file."""

    path: str  # as for `patch -p1`
    hunks: list[Hunk]


def parse(text: bytes) -> list[FileDiff]:
    """The files that a unified diff changes, in its order. Raises PatchError if *text* is not a unified diff."""
    lines = iter(_LINE.findall(text))
    files: list[FileDiff] = []
    for line in lines:
        if line.startswith(b"--- "):
            second = next(lines, b"")
            if not second.startswith(b"+++ "):
                raise PatchError(f"not a unified diff: no +++ line after {_shown(line)}")
            old, new = (_path(header) for header in (line, second))
            if old != new:
                raise PatchError(f"the patch renames {old} to {new}, which is not supported")
            files.append(FileDiff(new, []))
        elif line.startswith(b"@@"):
            if not files:
                raise PatchError("not a unified diff: a change before the name of its file")
            files[-1].hunks.append(_hunk(line, lines))
    if not files or not all(file.hunks for file in files):
        raise PatchError("not a unified diff: a file without changes")
    return files


def apply(content: bytes, diff: FileDiff) -> bytes:
    """*content* with the changes of *diff*. Raises PatchError if *diff* was not made for *content*."""
    return _replace(content, diff.path, [(hunk.start, hunk.before, hunk.after) for hunk in diff.hunks])


def revert(content: bytes, diff: FileDiff) -> bytes:
    """*content* without the changes of *diff*, the inverse of :func:`apply`."""
    return _replace(content, diff.path, [(hunk.new_start, hunk.after, hunk.before) for hunk in diff.hunks])


def _replace(content: bytes, path: str, changes: list[tuple[int, list[bytes], list[bytes]]]) -> bytes:
    lines = _LINE.findall(content)
    result: list[bytes] = []
    done = 0
    for start, old, new in changes:
        if start < done or lines[start : start + len(old)] != old:
            raise PatchError(f"{path} does not have the expected text at line {start + 1}")
        result += lines[done:start]
        result += new
        done = start + len(old)
    return b"".join(result + lines[done:])


def _hunk(header: bytes, lines: Iterator[bytes]) -> Hunk:
    match = _HUNK.match(header)
    if match is None:
        raise PatchError(f"not a unified diff: {_shown(header)}")
    old_line, old_count, new_line, new_count = (1 if number is None else int(number) for number in match.groups())
    before: list[bytes] = []
    after: list[bytes] = []
    while len(before) < old_count or len(after) < new_count:
        line = next(lines, b"")
        kind, text = line[:1], line[1:]
        if kind not in (b" ", b"-", b"+"):
            raise PatchError(f"not a unified diff: {_shown(line)} inside of {_shown(header)}")
        if kind != b"+":
            before.append(text)
        if kind != b"-":
            after.append(text)
    if len(before) != old_count or len(after) != new_count:
        raise PatchError(f"not a unified diff: {_shown(header)} has a wrong number of lines")
    # If a hunk removes (or adds) no lines, its number is that of the line before.
    return Hunk(old_line - (old_count > 0), new_line - (new_count > 0), before, after)


def _path(header: bytes) -> str:
    name = header[4:].split(b"\t")[0].strip().decode()
    path = name.partition("/")[2]
    if not path or path.startswith("/") or ".." in path.split("/"):
        raise PatchError(f"the patch names the file {name!r}, which `patch -p1` would not find in a package")
    return path


def _shown(line: bytes) -> str:
    return repr(line.decode("utf-8", "replace").strip()[:80])
