# SPDX-License-Identifier: Apache-2.0
"""Every kind of carrier that may be received, what is decided about it, and the documentation's tables of that.

``python -m tests.unit.decision_table`` prints the tables.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from osprofiler.config import kinds
from osprofiler.config.trust import RPC, Trust
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


#: Who sends a request or message, by the words of the table.
PEERS = {
    "10.1.2.3": "10.1.2.3",
    "192.0.2.7": "192.0.2.7",
    "a UNIX socket": None,
    "a message of RPC": RPC,
}

UNSIGNED = {
    "jaeger": {"uber-trace-id": f"{FOREIGN:032x}:{SPAN:016x}:0:1"},
    "w3c": {"traceparent": f"00-{FOREIGN:032x}-{SPAN:016x}-01"},
    "b3": {"b3": f"{FOREIGN:032x}-{SPAN:016x}-1"},
}


def trust_of(text: str) -> Trust:
    return kinds.TRUST.from_option(text, lambda _: None)


class Row(NamedTuple):
    """One kind of carrier, and which unsigned context is trusted."""

    carrier: str  # signed, foreign, both or none
    flag: str  # of what is in it: a name of FLAGS, "" where it carries nothing
    trust: str  # the option trust_incoming

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
        return precedence.decide(self.fields, [KEY], trust=trust_of(self.trust), sample=SAMPLERS[sampler])


def rows() -> Iterator[Row]:
    for carrier, flag in itertools.product(("signed", "foreign", "both"), FLAGS):
        for trust in ("signed", "all", "join") if carrier == "foreign" else ("signed", "all"):
            yield Row(carrier, flag, trust)
    for trust in ("signed", "all"):
        yield Row("none", "", trust)


class TrustRow(NamedTuple):
    """Unsigned context in one format, from one peer."""

    trust: str
    peer: str  # a name of PEERS
    format: str

    def decide(self) -> Decision:
        peer, trust = PEERS[self.peer], trust_of(self.trust)
        return precedence.decide(UNSIGNED[self.format], [KEY], trust=trust, peer=peer)


def trust_rows() -> Iterator[TrustRow]:
    for trust in ("signed", "all"):
        for peer in PEERS:
            yield TrustRow(trust, peer, "w3c")
    for trust in ("10.0.0.0/8", "10.0.0.0/8, rpc"):
        for peer in PEERS:
            yield TrustRow(trust, peer, "w3c")
    for trust, peer in itertools.product(("w3c", "10.0.0.0/8, w3c"), ("10.1.2.3", "192.0.2.7")):
        for format_ in UNSIGNED:
            yield TrustRow(trust, peer, format_)


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
        lines += _cells(row.carrier, row.flag or "-", row.trust, *cells)
    return "\n".join(lines) + "\n"


def trust_table() -> str:
    """The documentation's table of peers and formats, in reStructuredText."""
    lines = [
        ".. list-table::",
        "   :header-rows: 1",
        "",
        *_cells("``trust_incoming``", "Sender", "Format", "The request"),
    ]
    for row in trust_rows():
        lines += _cells(row.trust, row.peer, row.format, words(row.decide()))
    return "\n".join(lines) + "\n"


def _cells(first: str, *others: str) -> list[str]:
    return [f"   * - {first}", *(f"     - {other}" for other in others)]


if __name__ == "__main__":
    print(table(), trust_table(), sep="\n", end="")
