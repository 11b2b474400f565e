# SPDX-License-Identifier: Apache-2.0
"""``make bench`` and ``make bench-quick``: measure, print the tables, keep every value in a JSON file.

Exit status 1 if spans of this project were lost or changed on the way; a goal that is missed is only told.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import collect, goals, sets, stores, table
from benchmarks.environments import Contender, contenders
from benchmarks.figures import Figures

_PARTS = ("micro", "resting", "spans", "memory", "burst", "imports", "latency", "show")
_LONG = ("stores", "sets")  # only if asked for: they write very many spans


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and smaller bursts, under two minutes")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="where to keep every value")
    parser.add_argument("--only", action="append", choices=(*_PARTS, *_LONG), help="only this part; may be given again")
    parser.add_argument("--contender", action="append", choices=list(contenders()), help="only this one")
    parser.add_argument(
        "--store",
        action="append",
        metavar="STORE",
        help="the large store: sqlite, a server of tests.servers, or a connection string; may be given again; default: "
        + ", ".join(stores.DEFAULT),
    )
    parser.add_argument("--filled", action="store_true", help="the stores hold the traces of an earlier run")
    args = parser.parse_args()
    size = collect.QUICK if args.quick else collect.FULL
    parts = args.only or _PARTS
    figures = Figures()
    known = {name: one for name, one in contenders().items() if not args.contender or name in args.contender}
    for contender in known.values():
        contender.python()

    def those(*names: str) -> list[Contender]:
        return [known[name] for name in names if name in known]

    if "spans" in parts:
        collect.spans(known.values(), size, figures)
    if "micro" in parts:
        collect.micro(those("ours", "stock-noop", "jaeger", "otel", "ddtrace"), size, figures)
    if "resting" in parts and "ours" in known:
        collect.resting(known["ours"], size, figures)
    if "memory" in parts:
        collect.memory(those("ours", "jaeger", "otel", "ddtrace"), figures)
    if "burst" in parts:
        for contender in those("ours", "ours-udp"):
            collect.burst(contender, size, figures)
    if "imports" in parts:
        modules = {
            "ours": "osprofiler.profiler",
            "stock-noop": "osprofiler.profiler",
            "jaeger": "jaeger_client",
            "otel": "opentelemetry.sdk.trace.export",
            "ddtrace": "ddtrace.trace",
        }
        collect.imports([(one, modules[one.name]) for one in those(*modules)], size, figures)
    if "latency" in parts:
        collect.latency(those("bare", "ours", "stock-noop", "oslo"), size, figures)
    if "show" in parts and "ours" in known:
        collect.show(known["ours"], size, figures)
    columns = list(known)
    if "stores" in parts and "ours" in known:
        columns += stores.stores(args.store or stores.DEFAULT, known["ours"], size, figures, args.filled)
    if "sets" in parts and "ours" in known:
        columns += [name for name in sets.sets(known["ours"], size, figures) if name not in columns]
    found = list(goals.goals(figures, size.burst))
    print(table.text(figures, found, columns))
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(table.as_json(figures, found))
    print(f"\nevery value is in {args.json}", file=sys.stderr)
    return 1 if figures.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
