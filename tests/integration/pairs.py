# SPDX-License-Identifier: Apache-2.0
"""Every pair of tracers, over REST and RPC: whether the second continues the trace of the first.

``python -m tests.integration.pairs doc/source/propagation.rst`` measures all and writes the documentation's table.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from osprofiler.testing import tables
from tests import environments, stock
from tests.servers import Rabbit

#: The name in the marks on the page.
NAME = "tests.integration.pairs"

PROGRAM = Path(__file__).parent / "programs" / "pairs" / "peer.py"

_MESSAGING = "oslo.messaging>=18.3"
_OPENTELEMETRY = (
    "opentelemetry-sdk>=1.45",
    "opentelemetry-exporter-otlp-proto-http>=1.45",
    "opentelemetry-propagator-b3>=1.45",
    "opentelemetry-propagator-jaeger>=1.45",
    _MESSAGING,
    "oslo.middleware>=8.2",
)

TITLES = {
    "ours": "osprofiler 5",
    "jaeger_client": "jaeger-client",
    "opentelemetry": "OpenTelemetry",
    "stock": "osprofiler 4.4",
    "oslo": "oslo's OpenTelemetry",
}

#: The formats in which each kind can send its context.
FORMATS = {
    "ours": ("signed", "jaeger", "w3c", "b3 multi"),
    "jaeger_client": ("jaeger", "b3 multi"),
    "opentelemetry": ("w3c", "b3 single", "b3 multi", "jaeger"),
    "stock": ("signed",),
    "oslo": ("w3c",),
}


class Server(NamedTuple):
    """A column of the table."""

    title: str
    kind: str
    options: dict[str, str]


SERVERS = (
    Server("osprofiler 5", "ours", {}),
    Server("with a sampler", "ours", {"sampler": "const:1"}),
    Server("``trust_incoming = all``", "ours", {"trust": "all"}),
    Server("``join``", "ours", {"trust": "join", "sampler": "const:1"}),
    *(Server(title, kind, {}) for kind, title in TITLES.items() if kind != "ours"),
)


class Row(NamedTuple):
    """A row of the table: what a client sends."""

    kind: str
    format: str
    sampled: bool


def rows() -> Iterator[Row]:
    for kind, formats in FORMATS.items():
        for format_ in formats:
            yield Row(kind, format_, True)
            if kind != "stock":  # it cannot say no
                yield Row(kind, format_, False)


Cells = dict[str, str]  # of a row, by the title of the server


def python(kind: str) -> Path:
    """The interpreter of a peer. Raises NotMade."""
    if kind == "stock":
        return stock.python()
    if kind == "jaeger_client":
        return environments.python("jaeger-client-peer", "jaeger-client==4.8.0", "six", _MESSAGING)
    if kind in ("opentelemetry", "oslo"):
        return environments.python("opentelemetry-peer", *_OPENTELEMETRY)
    return Path(sys.executable)


def measure(rabbit: Rabbit, wanted: Iterable[Row], servers: Iterable[Server] = SERVERS) -> dict[Row, Cells]:
    """The cells of the rows *wanted*. Raises NotMade where an environment cannot be made."""
    cells: dict[Row, Cells] = {}
    with contextlib.ExitStack() as running:
        targets = [running.enter_context(_serving(rabbit, server)) for server in servers]
        clients: dict[tuple[str, bool], list[str]] = {}
        for row in wanted:
            clients.setdefault((row.kind, row.sampled), []).append(row.format)
        for (kind, sampled), formats in clients.items():
            options = {"role": "client", "sampled": sampled, "formats": formats, "targets": targets}
            for format_, result in zip(formats, _ask(rabbit, kind, options), strict=True):
                cells[Row(kind, format_, sampled)] = {
                    server: _cell(result, seen, sampled) for server, seen in result["seen"].items()
                }
    return cells


def _command(rabbit: Rabbit, kind: str, options: dict[str, Any]) -> list[str]:
    return [str(python(kind)), str(PROGRAM), json.dumps({"url": rabbit.url, "kind": kind, **options})]


@contextlib.contextmanager
def _serving(rabbit: Rabbit, server: Server) -> Iterator[dict[str, Any]]:
    topic = f"pair-{uuid.uuid4().hex}"
    command = _command(rabbit, server.kind, {"role": "server", "topic": topic, **server.options})
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environments.variables()
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield {"name": server.title, "topic": topic, "port": int(process.stdout.readline())}
        finally:
            process.stdin.close()


def _ask(rabbit: Rabbit, kind: str, options: dict[str, Any]) -> list[dict[str, Any]]:
    done = subprocess.run(
        _command(rabbit, kind, options),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
        env=environments.variables(),
    )
    answers: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def _cell(client: dict[str, Any], seen: dict[str, Any], sampled: bool) -> str:
    texts = {transport: words(client, one, sampled) for transport, one in seen.items()}
    if len(set(texts.values())) == 1:
        return texts["REST"]
    return "; ".join(f"{transport}: {text}" for transport, text in texts.items())


def words(client: dict[str, Any], seen: dict[str, Any] | None, sampled: bool) -> str:
    """What a server has made of the context of a *client*."""
    if seen is None:
        return "untraced"
    same = seen["trace"] == client["trace"]
    if not seen["recorded"]:
        return "no" if same else "untraced"
    if not same:
        return "own, tags" if seen.get("tags") else "own"
    if sampled:
        assert seen["parent"] in client["spans"], (seen, client)
    text = "one" if sampled else "one, recorded"
    return f"{text}, baggage" if seen["baggage"] else text


def table(cells: dict[Row, Cells]) -> str:
    """The table as reStructuredText."""
    head = ["Sender", "Format", "Sampled", *(server.title for server in SERVERS)]
    lines = [[*_titles(row), *(found[server.title] for server in SERVERS)] for row, found in cells.items()]
    return tables.list_table([head, *lines])


def read(table: str) -> dict[Row, Cells]:
    """The cells in the text of a :func:`table`."""
    width = 3 + len(SERVERS)
    texts = [line[5:].lstrip("- ") for line in table.splitlines() if line.startswith(("   * - ", "     - "))]
    lines = {tuple(texts[at : at + 3]): texts[at + 3 : at + width] for at in range(width, len(texts), width)}
    titles = [server.title for server in SERVERS]
    return {row: dict(zip(titles, lines[_titles(row)], strict=True)) for row in rows()}


def _titles(row: Row) -> tuple[str, str, str]:
    return TITLES[row.kind], row.format, "yes" if row.sampled else "no"


def main(page: str) -> None:
    with Rabbit() as rabbit:
        measured = measure(rabbit, rows())
    tables.put_between_marks(page, NAME, table({row: measured[row] for row in rows()}))


if __name__ == "__main__":
    main(sys.argv[1])
