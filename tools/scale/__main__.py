# SPDX-License-Identifier: Apache-2.0
"""``make scale``: run a large Jaeger on this machine, feed it, find every span again, and analyse them."""

import argparse
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from osprofiler.records.record import timestamp
from tests.servers import Missing, StartFailed
from tools.scale import analysis, feeding, figures, stored
from tools.scale.cluster import Cluster
from tools.scale.shape import DAY_US, LEAST_SPANS

Say = Callable[[str], None]

_ANALYSED = 1_000  # traces that the commands read: through the query service they come one by one
_STALLED_S = 120.0
_SHARE = 20  # the time is right to a twentieth: to ask more often would slow the index
_LEAST_S, _MOST_S = 0.5, 10.0
_NEWS_S = 15.0


class NotFound(Exception):
    """Spans of the feed are not in the index; the text counts them."""


def main() -> int:
    """Run the command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="make scale", description=__doc__)
    for name, least, default, text in (
        ("--spans", 1, 20_000, "how many spans to send"),
        ("--trace-spans", LEAST_SPANS, 20, "how many of them make a trace"),
        ("--processes", 1, 4, "how many processes send them"),
        ("--collectors", 1, 2, "how many collectors take them"),
        ("--partitions", 1, 4, "partitions of Kafka's topic"),
        ("--shards", 1, 2, "shards of the index of a day"),
        ("--reads", 0, 200, "how many traces to read back and compare"),
    ):
        help_text = f"{text} (default: {default:,})"
        parser.add_argument(name, type=_number(least), default=default, metavar="N", help=help_text)
    parser.add_argument(
        "--wire", choices=("jaeger", "otlp"), default="jaeger", help="the protocol to the collectors (default: jaeger)"
    )
    parser.add_argument("--no-analysis", dest="analyse", action="store_false", help="only send, count and compare")
    parser.add_argument("--keep", action="store_true", help="then run until Ctrl-C, and say where everything is")
    args = parser.parse_args()
    for number in signal.SIGTERM, signal.SIGINT:  # a shell starts what is in the background without the latter
        signal.signal(number, signal.default_int_handler)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:5.0f} s] {text}", flush=True)

    faults = (Missing, StartFailed, feeding.Failed, analysis.Failed, stored.NoAnswer, NotFound)
    try:
        with Cluster(args.collectors, args.partitions, args.shards, say) as cluster:
            try:
                for line in figures.lines(_run(args, cluster, say)):
                    print(line, flush=True)
            except faults as fault:
                _show_logs(cluster)
                raise fault from None
            if args.keep:
                for line in figures.lines(cluster.addresses()):
                    print(line)
                say("it runs; Ctrl-C stops it")
                with contextlib.suppress(KeyboardInterrupt):
                    signal.pause()
    except faults as fault:
        print(fault, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _run(args: argparse.Namespace, cluster: Cluster, say: Say) -> Iterator[tuple[str, str]]:
    """Feed the cluster, and look. Yields each figure: its name and its text."""
    now_us = time.time_ns() // 1000
    feeds = feeding.feeds(
        spans=args.spans,
        spans_a_trace=args.trace_spans,
        processes=args.processes,
        seed=now_us,
        start_us=now_us - DAY_US,
        end_us=now_us,
    )
    traces = sum(feed.traces for feed in feeds)
    spans = traces * args.trace_spans
    index = stored.Index(cluster.index_url)
    stores = [cluster.store(args.wire, process) for process in range(args.processes)]
    say(f"{args.processes} processes send {spans:,} spans in {traces:,} traces")
    yield "machine", figures.machine()
    news = _News(index, say)
    fed = feeding.run(feeds, stores, news)
    say("all are acknowledged; waiting until the index has them")
    _wait_until_found(index, spans, fed.began, news)
    found_s = time.monotonic() - fed.began
    yield "spans", f"{spans:,} in {traces:,} traces, {args.processes} processes, {args.wire}"
    yield "acknowledged", f"after {fed.seconds:.1f} s, {spans / fed.seconds:,.0f} spans/s"
    yield "in the index", f"after {found_s:.1f} s, {spans / found_s:,.0f} spans/s"
    feeding_s = sum(result.processor_s for result in fed.results)
    yield "processor, a span", figures.processor(cluster.servers, feeding_s, spans)
    trace_ids = [result.trace_ids for result in fed.results]
    say("counting the spans of each trace")
    count = stored.census(index, [trace_id for some in trace_ids for trace_id in some], args.trace_spans)
    if count.whole != traces:
        raise NotFound(f"{count.whole:,} of {traces:,} traces are whole: {count}")
    yield "whole", f"{count.whole:,} traces, {count.spans:,} spans; {count.doubled:,} stored twice"
    say(f"reading {args.reads} traces from the query service")
    began = time.monotonic()
    differences = stored.sample(cluster.query_url, feeds, trace_ids, args.reads)
    if differences:
        raise NotFound(f"{len(differences)} of {args.reads} traces differ from what was sent; {differences[0]}")
    yield "read back", f"{min(args.reads, traces)} traces, each as it was made, in {time.monotonic() - began:.1f} s"
    yield "memory, at most", figures.memory(cluster.servers)
    index_bytes, topic_bytes = index.bytes_on_disk() / spans, cluster.broker.topic_bytes / spans
    yield "on disk", f"{index_bytes:.0f} bytes a span in the index, {topic_bytes:.0f} in Kafka"
    if args.analyse:
        timed = analysis.aggregations(index, feeds)
        yield timed.name, str(timed)
        read = min(traces, _ANALYSED)
        answers: dict[str, analysis.Rows] = {}
        yield from _analyse(cluster.store(), now_us - DAY_US * read // traces, read, answers, say)
        if read == traces:  # both halves
            yield "changed most", answers["changes"][0][0]


def _analyse(
    store: str, since_us: int, traces: int, answers: dict[str, analysis.Rows], say: Say
) -> Iterator[tuple[str, str]]:
    """Run the commands on the newest *traces*, those since *since_us*. Puts the rows of each query into *answers*."""
    say(f"analysing the newest {traces:,} traces through the query service")
    since = timestamp(since_us)
    for timed in analysis.commands(store, since):
        yield timed.name, str(timed)
    with tempfile.TemporaryDirectory(prefix="osprofiler-scale-") as folder:
        timed = analysis.export(store, since, Path(folder))
        yield timed.name, str(timed)
        for name, timed, rows in analysis.sql(Path(folder)):
            answers[name] = rows
            yield timed.name, str(timed)


class _News:
    """Says now and then how many spans are in the index."""

    def __init__(self, index: stored.Index, say: Say) -> None:
        self._index, self._say = index, say
        self._told = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self._told > _NEWS_S:
            self._say(f"{self._index.count():,} spans are in the index")
            self._told = time.monotonic()


def _wait_until_found(index: stored.Index, spans: int, began: float, news: _News) -> None:
    """Wait while documents come, since *began*. Raises NotFound if none has come for a while."""
    count, grew = 0, time.monotonic()
    while (seen := index.count()) < spans:
        now = time.monotonic()
        if seen > count:
            count, grew = seen, now
        elif now - grew > _STALLED_S:
            raise NotFound(f"{count:,} of {spans:,} spans are in the index, and no more came for {_STALLED_S:.0f} s")
        news()
        time.sleep(min(max((now - began) / _SHARE, _LEAST_S), _MOST_S))


def _show_logs(cluster: Cluster) -> None:
    for name, server in cluster.servers.items():
        if not server.serves():
            print(f"{name} does not answer; the end of its log:\n{server.log_tail()}", file=sys.stderr)


def _number(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"a number from {least}, not {text!r}")
        return int(text)

    return number


if __name__ == "__main__":
    sys.exit(main())
