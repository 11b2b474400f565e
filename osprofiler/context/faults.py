# SPDX-License-Identifier: Apache-2.0
"""Exceptions as spans record them: the kind and the message in each span, the stack in one span only.

An exception passes through nested points. The innermost point renders its stack. The points around it recognise the
exception by its :class:`Passage`, and refer to the span that has the stack.
"""

from __future__ import annotations

import linecache
import textwrap
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from osprofiler._runtime import clocks
from osprofiler.context.values import clean, text

#: Characters kept of an exception's own text.
MAX_MESSAGE_CHARS = 4096
#: Characters kept of a stack, including the stacks of the causes.
MAX_STACK_CHARS = 32_768
#: How many of the innermost frames of each exception are kept.
STACK_FRAMES = 20
#: How many exceptions a stack holds: the exception itself, its causes, and the members of groups.
MAX_EXCEPTIONS = 8
#: After this time of rendering, in nanoseconds, no more source lines are read: a file may be slow.
SOURCE_NS = 10_000_000

# Reads the interpreter's own attribute; a subclass may have replaced it.
_traceback_of: Any = vars(BaseException)["__traceback__"].__get__
_SOURCE_CHARS = 200
_MOST_NOTES = 4
_OF_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_OF_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


class Passage:
    """An exception that a span has recorded, so that the points around the span recognise it.

    It holds ``id()`` values, so that neither the exception nor a frame lives longer. Python may give the same id to
    another exception, so one entry of the traceback is compared too: while an exception propagates, Python only adds
    entries in front of its traceback. The entry below the point's own frame is used, because a context manager made
    from a generator removes the generator's entry again.
    """

    __slots__ = ("_entry", "_fault", "_place", "kind", "message", "raised_in")

    def __init__(self, fault: BaseException, kind: str, message: str, raised_in: str) -> None:
        self._fault = id(fault)
        outermost = _traceback_of(fault)
        entry = outermost and (outermost.tb_next or outermost)
        self._entry = id(entry)
        self._place = entry and _place(entry)
        self.kind = kind
        self.message = message
        self.raised_in = raised_in  # the id of the span that has the stack, as 16 hexadecimal digits

    def is_of(self, fault: BaseException) -> bool:
        """Whether *fault* is the exception that was recorded."""
        if id(fault) != self._fault:
            return False
        entry = _traceback_of(fault)
        while entry is not None:
            if id(entry) == self._entry:
                return _place(entry) == self._place
            entry = entry.tb_next
        return False


def _place(entry: TracebackType) -> tuple[int, int]:
    """The code object of the entry's frame, and the instruction in it."""
    return id(entry.tb_frame.f_code), entry.tb_lasti


def class_name(kind: type[BaseException]) -> str:
    """A class's name as osprofiler's records show it: without outer classes, and without the module of a built-in."""
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def stack(fault: BaseException, message: str, inner: Passage | None) -> str:
    """The stack of *fault* and of its causes, as Python shows it; bounded. *message* is the text of *fault*.

    The exception that a span inside has recorded (*inner*) is not rendered again.
    """
    try:
        return clean("".join(_Stack(inner).lines(fault, message)), MAX_STACK_CHARS)
    except Exception as own:  # code of the application's exception may raise
        return f"<no stack: {type(own).__name__}>"


class _Stack:
    """Renders the exceptions of one stack. They share a limit on their number, and on the time for source lines."""

    __slots__ = ("_inner", "_left", "_seen", "_until")

    def __init__(self, inner: Passage | None) -> None:
        self._inner = inner
        self._left = MAX_EXCEPTIONS
        self._seen: set[int] = set()
        self._until = clocks.tick_ns() + SOURCE_NS

    def lines(self, fault: BaseException, message: str | None = None) -> list[str]:
        """The lines of *fault* and of its causes, the first cause first."""
        blocks: list[list[str]] = []
        at: BaseException | None = fault
        while at is not None:
            if not self._left or id(at) in self._seen:
                blocks.append(["... (more exceptions)\n"])
                break
            self._left -= 1
            self._seen.add(id(at))
            if at is not fault and self._inner is not None and self._inner.is_of(at):
                inner = self._inner
                blocks.append([*_last_line(at, inner.message), f"  (its stack is in span {inner.raised_in})\n"])
                break
            blocks.append(self._of_one(at, message))
            message = None
            cause = at.__cause__
            if cause is not None:
                blocks.append([_OF_CAUSE])
            elif not at.__suppress_context__:
                cause = at.__context__
                if cause is not None:
                    blocks.append([_OF_CONTEXT])
            at = cause
        return [line for block in reversed(blocks) for line in block]

    def _of_one(self, fault: BaseException, message: str | None) -> list[str]:
        lines = list(self._frames(_traceback_of(fault)))
        lines += _last_line(fault, text(fault, MAX_MESSAGE_CHARS) if message is None else message)
        members = getattr(fault, "exceptions", None)
        if isinstance(members, tuple):  # an exception group: of Python since 3.11, of packages before
            for number, member in enumerate(members, 1):
                if not self._left:
                    lines.append(f"  + ... ({len(members) - number + 1} more)\n")
                    break
                if isinstance(member, BaseException):
                    lines.append(f"  + {number} of {len(members)}:\n")
                    lines.append(textwrap.indent("".join(self.lines(member)), "  | "))
        return lines

    def _frames(self, traceback: TracebackType | None) -> Iterator[str]:
        if traceback is None:
            return
        innermost: deque[TracebackType] = deque(maxlen=STACK_FRAMES)
        while traceback is not None:
            innermost.append(traceback)
            traceback = traceback.tb_next
        yield "Traceback (most recent call last):\n"
        for entry in innermost:
            frame, number = entry.tb_frame, entry.tb_lineno
            code = frame.f_code
            source = ""
            if clocks.tick_ns() < self._until:
                source = linecache.getline(code.co_filename, number, frame.f_globals).strip()[:_SOURCE_CHARS]
            shown = f'  File "{code.co_filename}", line {number}, in {code.co_name}\n'
            yield f"{shown}    {source}\n" if source else shown


def _last_line(fault: BaseException, message: str) -> list[str]:
    name = class_name(type(fault))
    lines = [f"{name}: {message}\n" if message else f"{name}\n"]
    notes = getattr(fault, "__notes__", None)
    if isinstance(notes, list):
        lines += [f"{text(note, MAX_MESSAGE_CHARS)}\n" for note in notes[:_MOST_NOTES]]
    return lines
