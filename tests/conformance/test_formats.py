# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on each unsigned format of ours, and on formats that are wrong on purpose."""

from collections.abc import Mapping
from typing import Any

import pytest

from osprofiler._runtime import entry_points
from osprofiler.context.trace_context import TraceContext
from osprofiler.propagation import formats
from osprofiler.propagation.formats import Malformed, Remote
from osprofiler.testing.propagators import FormatKit
from tests.conformance.kit_runs import failed


@pytest.mark.parametrize("name", ["jaeger", "w3c", "b3"])
class TestFormats(FormatKit):
    pass


class Right:
    """One field: trace, span and flags, in decimal."""

    def encode(self, context: TraceContext) -> Mapping[str, str]:
        return {"x-right": f"{context.trace_id} {context.span_id} {context.flags}"}

    def decode(self, fields: Mapping[str, str]) -> Remote | None:
        text = fields.get("x-right")
        if text is None:
            return None
        try:
            trace_id, span_id, flags = (int(part) for part in text.split(" "))
        except ValueError:
            raise Malformed("not an x-right") from None
        if not (0 < trace_id < 1 << 128 and 0 < span_id < 1 << 64 and 0 <= flags < 256):
            raise Malformed("not an x-right")
        return Remote(trace_id, span_id, flags)


class CutsTraces(Right):
    def encode(self, context: TraceContext) -> Mapping[str, str]:
        return super().encode(context._replace(trace_id=context.trace_id & (1 << 64) - 1 or 1))


class WritesNewlines(Right):
    def encode(self, context: TraceContext) -> Mapping[str, str]:
        return {"x-right": super().encode(context)["x-right"] + "\n"}


class InventsTraces(Right):
    def decode(self, fields: Mapping[str, str]) -> Remote | None:
        return super().decode(fields) or Remote(1, 2, 1)


class Raises(Right):
    def decode(self, fields: Mapping[str, str]) -> Remote | None:
        text = fields.get("x-right")
        return None if text is None else Remote(*(int(part) for part in text.split(" ")))


WRONG = [
    (CutsTraces, "test_what_is_written_is_read"),
    (WritesNewlines, "test_fields_are_text"),
    (InventsTraces, "test_nothing_is_read_from_nothing"),
    (Raises, "test_damaged_fields_never_raise_and_never_make_impossible_ids"),
]


@pytest.mark.parametrize(("subject", "caught_by"), [*WRONG, (Right, None)])
def test_the_kit_finds_what_is_wrong(
    subject: type, caught_by: str | None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Point:
        name = "other"

        def load(self) -> Any:
            return subject()

    monkeypatch.setattr(entry_points, "_points", lambda group: [Point()])
    formats.registered.cache_clear()
    failures = failed(pytester, FormatKit, "name", "builtins:str('other')", caught_by or "test_")
    formats.registered.cache_clear()
    assert bool(failures) == bool(caught_by)


def test_a_format_that_cannot_be_loaded_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(group: str) -> Any:
        raise ImportError

    monkeypatch.setattr(entry_points, "_points", broken)
    formats.registered.cache_clear()
    assert formats.registered(("osprofiler", "absent")) == {}
    formats.registered.cache_clear()
