# SPDX-License-Identifier: Apache-2.0
"""Every kind of carrier that may be received, what is decided about it, and the documentation's table of that.

``python -m tests.unit.decision_table`` prints the table.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from osprofiler.context.trace_context import TraceContext
from osprofiler.propagation import precedence, signed
from osprofiler.propagation.precedence import Decision, Sample

KEY = "key"
SIGNED, FOREIGN = 0x0AF7651916CD43DD8448EB211C80319C, 0x4BF92F3577B34DA6A3CE929D0E0E4736
SPAN = 0xB7AD6B7169203331

FLAGS = {"sampled": 1, "not sampled": 0, "debug": 3}
SAMPLERS: dict[str, Sample | None] = {
    "none": None,
    "yes": lambda _: (True, {"sampler.type": "const"}),
    "no": lambda _: (False, {}),
}


class Row(NamedTuple):
    """One kind of carrier, and whether unsigned context is trusted."""

    carrier: str  # signed, foreign, both or none
    flag: str  # of what is in it: a name of FLAGS, "" where it carries nothing
    trusted: bool

    @property
    def fields(self) -> dict[str, str]:
        flags = FLAGS.get(self.flag, 0)
        fields = {}
        if self.carrier in ("signed", "both"):
            context = TraceContext.from_ids(SIGNED, SPAN, flags=flags, hmac_key=KEY)
            fields["x-trace-context"] = signed.encode(context)
        if self.carrier in ("foreign", "both"):
            fields["uber-trace-id"] = f"{FOREIGN:032x}:{SPAN:016x}:0:{flags}"
        return fields

    def decide(self, sampler: str) -> Decision:
        return precedence.decide(self.fields, [KEY], trusted=self.trusted, sample=SAMPLERS[sampler])


def rows() -> Iterator[Row]:
    for carrier, flag, trusted in itertools.product(("signed", "foreign", "both"), FLAGS, (False, True)):
        yield Row(carrier, flag, trusted)
    for trusted in (False, True):
        yield Row("none", "", trusted)


def words(decision: Decision) -> str:
    """*decision* as the table has it."""
    context = decision.context
    if context is None:
        return "untraced"
    trace = {SIGNED: "signed", FOREIGN: "foreign"}.get(context.trace_id, "new")
    recorded = "recorded" if context.sampled else "not recorded"
    return f"{trace}, {recorded}" + (", tags" if "foreign.uber-trace-id" in decision.tags else "")


def table() -> str:
    """The documentation's table, in reStructuredText."""
    lines = [
        ".. list-table::",
        "   :header-rows: 1",
        "",
        *_cells("Carrier", "Its flag", "``trust_incoming``", "No sampler", "Sampler: yes", "Sampler: no"),
    ]
    for row in rows():
        cells = (words(row.decide(sampler)) for sampler in SAMPLERS)
        lines += _cells(row.carrier, row.flag or "-", "true" if row.trusted else "false", *cells)
    return "\n".join(lines) + "\n"


def _cells(first: str, *others: str) -> list[str]:
    return [f"   * - {first}", *(f"     - {other}" for other in others)]


if __name__ == "__main__":
    print(table(), end="")
