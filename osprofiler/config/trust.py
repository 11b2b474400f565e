# SPDX-License-Identifier: Apache-2.0
"""Which unsigned context a service continues: the value of ``trust_incoming``."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Callable, Iterable

from osprofiler.config.conditions import address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: The peer that sent a message of RPC. A message does not show the address of its sender.
RPC = "rpc"

_NOBODY = frozenset(("signed", "none", "false", "no", "off", "0"))
_EVERYBODY = frozenset(("all", "true", "yes", "on", "1"))
_JOIN = "join"


@dataclasses.dataclass(frozen=True)
class Trust:
    """Which unsigned context counts. False as a truth value if none does."""

    somebody: bool = False
    networks: tuple[Network, ...] = ()  # of trusted peers
    rpc: bool = False  # messages of RPC are trusted
    formats: tuple[str, ...] = ()  # trusted formats; empty: all
    join: bool = False  # the ids of the context are continued, but this service decides whether to record

    def __bool__(self) -> bool:
        return self.somebody

    def trusts(self, peer: str | None) -> bool:
        """Whether context of *peer* counts: an IP address, :data:`RPC`, or None if it is not known."""
        if not self.somebody:
            return False
        if not (self.networks or self.rpc):
            return True
        if peer == RPC:
            return self.rpc
        sender = address(peer or "")  # None: a UNIX socket, or nothing
        return sender is not None and any(sender in network for network in self.networks)

    def reads(self, name: str) -> bool:
        """Whether context in the format *name* counts."""
        return not self.formats or name in self.formats

    def __str__(self) -> str:
        """The words of the option."""
        if not self.somebody:
            return "signed"
        words = [*map(str, self.networks), *([RPC] if self.rpc else []), *self.formats]
        return ", ".join([*(words or ["all"]), *([_JOIN] if self.join else [])])


SIGNED = Trust()
ALL = Trust(somebody=True)


def parse(words: Iterable[str], unknown: Callable[[list[str]], list[str]]) -> Trust:
    """The trust that *words* describe; *unknown* returns those of them that are no formats.

    Raises ValueError for the first word that cannot be used.
    """
    wanted = [word.strip().lower() for word in words if word.strip()]
    join = _JOIN in wanted
    who = [word for word in dict.fromkeys(wanted) if word != _JOIN]
    alone = next((word for word in who if word in _NOBODY | _EVERYBODY), None)
    if alone is not None and len(who) > 1:
        raise ValueError(f"{alone} cannot stand together with {next(word for word in who if word != alone)}")
    if alone in _NOBODY or not wanted:
        if join:
            raise ValueError(f"{alone} cannot stand together with {_JOIN}")
        return SIGNED
    if alone is not None:
        return Trust(somebody=True, join=join)
    if "osprofiler" in who:
        raise ValueError("osprofiler is the signed format, which always counts")
    peers = [word for word in who if word == RPC or "/" in word or address(word)]
    formats = [word for word in who if word not in peers]
    if no_formats := unknown(formats):
        raise ValueError(
            f"{no_formats[0]!r} is not signed, all, join, rpc, a network such as 10.0.0.0/8, or one of the formats "
            "jaeger, w3c, b3"
        )
    networks = tuple(_network(word) for word in peers if word != RPC)
    return Trust(True, networks, RPC in peers, tuple(formats), join)


def _network(word: str) -> Network:
    try:
        return ipaddress.ip_network(word)
    except ValueError as error:
        raise ValueError(f"{word} is not a network: {error}") from None
