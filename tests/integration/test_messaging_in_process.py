# SPDX-License-Identifier: Apache-2.0
"""RPC over oslo.messaging's in-memory transport: combinations, switches, faults, and untraced calls."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import oslo_messaging
import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from oslo_config import cfg
from oslo_messaging.rpc import client as rpc_client
from oslo_messaging.rpc import server as rpc_server
from oslo_versionedobjects import base as versioned_objects
from oslo_versionedobjects import fields

from osprofiler import config, messaging, profiler
from osprofiler._runtime import guard
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.delivery.base import NullReporter, Reporter
from osprofiler.propagation import envelope
from osprofiler.tracer import global_tracer
from osprofiler.tracer.span import Span
from tests.waiting import wait_until

KEY = "the secret key"


class Recorded(Reporter):
    """A reporter that collects the spans of all threads, in the order of their ends."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def report_span(self, span: Span) -> None:
        self.spans.append(span)

    def kinds(self) -> list[Any]:
        return sorted(span.own_tags.get("span.kind", "") for span in self.spans)


class Endpoint:
    def __init__(self) -> None:
        self.contexts: list[Any] = []
        self.traces: list[str | None] = []

    def look(self, ctxt: Any) -> str:
        here = profiler.get()
        self.contexts.append(ctxt)
        self.traces.append(here.get_base_id() if here is not None else None)
        return "answer"

    def leak(self, ctxt: Any) -> bool:
        """Leave tracing on, like a service's serializer. Returns whether it was on before."""
        was_on = profiler.get() is not None
        profiler.init(KEY, base_id="7bbd2d5c-3c54-4d45-8a9c-9a4b3d1f0a02")
        return was_on


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    tracer = global_tracer.get_tracer()
    reporter = Recorded()
    tracer.report_to(reporter)
    config.publish(enabled=True, hmac_keys=(KEY,))
    with scope.entered(None):
        yield reporter
    messaging.uninstrument()
    tracer.report_to(NullReporter())
    config.reset()


@pytest.fixture
def transport() -> Iterator[Any]:
    cfg.CONF([], project="tests", default_config_files=[])
    made = oslo_messaging.get_rpc_transport(cfg.CONF, url="fake://")
    yield made
    made.cleanup()


@contextlib.contextmanager
def served(transport: Any, endpoint: Any = None, **options: Any) -> Iterator[tuple[Any, Any, Any]]:
    """A client, its server, and the endpoint."""
    endpoint = endpoint or Endpoint()
    target = oslo_messaging.Target(topic="topic", server="server")
    server = oslo_messaging.get_rpc_server(transport, target, [endpoint], executor="threading", **options)
    server.start(override_pool_size=2)
    try:
        yield oslo_messaging.get_rpc_client(transport, target, **options), server, endpoint
    finally:
        server.stop()
        server.wait()


def test_however_instrumentation_is_combined_there_is_one_span_a_side(recorded: Recorded, transport: Any) -> None:
    with served(transport, serializer=messaging.TracingSerializer()) as (client, server, endpoint):
        for _ in range(2):
            messaging.instrument()
            assert messaging.instrument_client(client) is client
            assert messaging.instrument_server(server) is server
        profiler.init(KEY)
        client.call({}, "look")
        client.prepare(timeout=30).prepare(version="1.0").call({}, "look")
        wait_until(lambda: len(recorded.spans) == 4)
    assert recorded.kinds() == ["client", "client", "server", "server"]
    assert endpoint.contexts == [{}, {}]


def test_a_client_traced_by_itself_leaves_others_of_its_transport_alone(recorded: Recorded, transport: Any) -> None:
    with served(transport) as (client, server, endpoint):
        other = oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic="topic"))
        messaging.instrument_client(client)
        messaging.instrument_server(server)
        profiler.init(KEY)
        client.prepare().cast({}, "look")
        wait_until(lambda: len(recorded.spans) == 2)
        other.call({}, "look")
    assert recorded.kinds() == ["consumer", "producer"]
    assert endpoint.traces[1] is None


@versioned_objects.VersionedObjectRegistry.register
class Server(versioned_objects.VersionedObject):
    """As nova's objects are; what is remotable runs where the database is."""

    fields = {"name": fields.StringField()}  # noqa: RUF012

    @versioned_objects.remotable
    def save(self) -> None:
        assert self.name == "one"

    @classmethod
    def get(cls, context: Any, name: str) -> Any:
        return cls(context, name=name)


class Conductor:
    """Runs methods of objects for others."""

    def object_action(self, ctxt: Any, objinst: Any, objmethod: str, args: Any, kwargs: Any) -> Any:
        return {}, getattr(objinst, objmethod)(*args, **kwargs)

    def object_class_action_versions(
        self, ctxt: Any, objname: str, objmethod: str, object_versions: Any, args: Any, kwargs: Any
    ) -> Any:
        return getattr(versioned_objects.VersionedObject.obj_class_from_name(objname, "1.0"), objmethod)(ctxt, *args)


class Remote(versioned_objects.VersionedObjectIndirectionAPI):  # type: ignore[misc]
    """Sends them there, as nova's conductor API does."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def object_action(self, context: Any, objinst: Any, objmethod: str, args: Any, kwargs: Any) -> Any:
        arguments = {"objinst": objinst, "objmethod": objmethod, "args": args, "kwargs": kwargs}
        return self._client.call({}, "object_action", **arguments)

    def object_class_action_versions(
        self, context: Any, objname: str, objmethod: str, object_versions: Any, args: Any, kwargs: Any
    ) -> Any:
        return self._client.call(
            {},
            "object_class_action_versions",
            objname=objname, objmethod=objmethod, object_versions=object_versions, args=args, kwargs=kwargs,
        )  # fmt: skip


def test_methods_of_versioned_objects_are_named(recorded: Recorded, transport: Any) -> None:
    messaging.instrument()
    serializer = versioned_objects.VersionedObjectSerializer()
    with served(transport, endpoint=Conductor(), serializer=serializer) as (client, _, _):
        server = Server({}, name="one")
        server.indirection_api = Remote(client)
        profiler.init(KEY)
        server.save()
        Remote(client).object_class_action_versions({}, "Server", "get", {"Server": "1.0"}, ["two"], {})
        wait_until(lambda: len(recorded.spans) == 4)
    assert sorted(span.operation_name for span in recorded.spans) == ["rpc Server.get"] * 2 + ["rpc Server.save"] * 2
    assert {(span.start_info["rpc"]["method"], span.start_info["rpc"]["action"]) for span in recorded.spans} == {
        ("object_action", "Server.save"),
        ("object_class_action_versions", "Server.get"),
    }


def test_uninstrument_puts_everything_back(recorded: Recorded, transport: Any) -> None:
    before = rpc_client._BaseCallContext.call, rpc_server.RPCServer._process_incoming
    messaging.instrument()
    assert rpc_client._BaseCallContext.call is not before[0]
    messaging.uninstrument()
    assert (rpc_client._BaseCallContext.call, rpc_server.RPCServer._process_incoming) == before
    with served(transport) as (client, _, endpoint):
        profiler.init(KEY)
        assert client.call({"a": 1}, "look") == "answer"
    assert recorded.spans == []
    assert endpoint.contexts == [{"a": 1}]


def test_a_dispatch_is_a_unit_of_work_by_itself(recorded: Recorded, transport: Any) -> None:
    """Without the isolation of work items: not every process has it."""
    messaging.instrument()
    with served(transport) as (client, _, _):
        assert [client.call({}, "leak") for _ in range(6)] == [False] * 6  # two workers do it
    assert recorded.spans == []


def test_it_loads_no_oslo_messaging_and_takes_hold_when_the_service_does() -> None:
    program = """
import sys
from osprofiler import messaging
messaging.instrument()
assert not {"oslo_messaging", "jaeger_client", "tornado", "thrift"} & sys.modules.keys()
from oslo_messaging import transport
from oslo_messaging.rpc import client, server
wrapped = client._BaseCallContext.cast, transport.Transport._send, server.RPCServer._process_incoming
assert all(method.__wrapped__ for method in wrapped)
messaging.uninstrument()
now = client._BaseCallContext.cast, transport.Transport._send, server.RPCServer._process_incoming
assert not any(hasattr(method, "__wrapped__") for method in now)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_a_fanout_over_one_dictionary_reaches_each_receiver_whole(recorded: Recorded, transport: Any) -> None:
    messaging.instrument()
    second = oslo_messaging.get_rpc_server(
        transport, oslo_messaging.Target(topic="topic", server="second"), [Endpoint()], executor="threading"
    )
    second.start(override_pool_size=1)
    with served(transport) as (client, _, _):
        profiler.init(KEY)
        client.prepare(server=None, fanout=True).cast({}, "look")
        wait_until(lambda: len(recorded.spans) == 3)
    second.stop()
    second.wait()
    producer = next(span for span in recorded.spans if span.own_tags["span.kind"] == "producer")
    consumers = [span for span in recorded.spans if span is not producer]
    assert all(span.parent_span_id == producer.span_id and span.follows for span in consumers)


def test_a_sampler_starts_a_trace_for_a_message_that_asks_for_none(recorded: Recorded, transport: Any) -> None:
    messaging.instrument()
    tracer = global_tracer.get_tracer()
    sampler, tracer.sampler = tracer.sampler, _Always()
    config.publish(sampler="const:1")
    try:
        with served(transport) as (client, _, endpoint):
            client.call({}, "look")
            wait_until(lambda: recorded.spans)
            # A request that another service has decided not to sample stays so.
            current.point.set(Point(None, None, Origin.from_ids(7 << 64 | 5, 9, flags=0)))
            client.call({}, "look")
    finally:
        tracer.sampler = sampler
    (span,) = recorded.spans
    assert (span.operation_name, span.parent_id, span.origin.hmac_key) == ("rpc look", None, KEY)
    assert endpoint.traces == [span.origin.base_id, None]


def test_while_rpc_is_not_traced_messages_still_pass_the_trace_on(recorded: Recorded, transport: Any) -> None:
    """The switch changes while client and server live."""
    messaging.instrument()
    with served(transport) as (client, _, endpoint):
        for on, kinds in ((True, ["client", "server"]), (False, []), (True, ["client", "server"])):
            config.publish(trace_rpc=on)
            recorded.spans.clear()
            profiler.init(KEY)
            with profiler.Trace("above"):
                client.call({}, "look")
                here = profiler.get()
                assert here is not None
                assert endpoint.traces[-1] == here.get_base_id()
            wait_until(lambda wanted=["", *kinds]: recorded.kinds() == wanted)  # type: ignore[misc]
            profiler.clean()
    assert endpoint.contexts == [{}] * 3


def test_points_of_a_server_are_below_the_clients_while_rpc_is_not_traced(recorded: Recorded, transport: Any) -> None:
    class Working(Endpoint):
        @profiler.trace("inside")
        def work(self, ctxt: Any) -> None:
            pass

    messaging.instrument()
    config.publish(trace_rpc=False)
    with served(transport, Working()) as (client, _, _):
        profiler.init(KEY)
        with profiler.Trace("above"):
            client.call({}, "work")
        wait_until(lambda: len(recorded.spans) == 2)
    inside, above = recorded.spans
    assert (inside.operation_name.rpartition(".")[2], inside.parent_span_id) == ("work", above.span_id)


def test_while_rpc_is_not_traced_no_sampler_is_asked(recorded: Recorded, transport: Any) -> None:
    messaging.instrument()
    tracer = global_tracer.get_tracer()
    sampler, tracer.sampler = tracer.sampler, _Always()
    config.publish(sampler="const:1", trace_rpc=False)
    try:
        with served(transport) as (client, _, endpoint):
            client.call({}, "look")
    finally:
        tracer.sampler = sampler
    assert (recorded.spans, endpoint.traces) == ([], [None])


class _Always:
    def is_sampled(self, trace_id: int, operation: str = "") -> tuple[bool, dict[str, Any]]:
        return True, {"sampler.type": "const"}


@pytest.mark.parametrize("broken", ["get_tracer", "inject", "extract"])
def test_a_fault_of_tracing_costs_no_rpc(
    recorded: Recorded, transport: Any, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("tracing is broken")

    messaging.instrument()
    profiler.init(KEY)
    owner = global_tracer if broken == "get_tracer" else envelope
    before = sum(value for name, value in guard.counters.items() if name.startswith("fault.messaging"))
    with served(transport) as (client, _, _):
        with monkeypatch.context() as patch:
            patch.setattr(owner, broken, fail)
            assert client.call({"a": 1}, "look") == "answer"
            client.prepare().cast({"a": 1}, "look")
        assert sum(value for name, value in guard.counters.items() if name.startswith("fault.messaging")) > before


class KeyCarrier(oslo_messaging.NoOpSerializer):  # type: ignore[misc]
    """A service's serializer, which the service also gives to its notifier."""

    def serialize_context(self, ctxt: Mapping[str, Any]) -> dict[str, Any]:
        return {"user": "u", "trace_info": {"hmac_key": KEY, "base_id": "b", "parent_id": "p"}}


def test_a_notification_takes_no_key_along(recorded: Recorded) -> None:
    messaging.instrument()
    cfg.CONF([], project="tests", default_config_files=[])
    notifications = oslo_messaging.get_notification_transport(cfg.CONF, url="fake://")
    notifier = oslo_messaging.Notifier(
        notifications, publisher_id="p", driver="messaging", topics=["events"], serializer=KeyCarrier()
    )
    profiler.init(KEY)
    notifier.info({}, "event", {})
    exchange = notifications._driver._exchange_manager.get_exchange("openstack")
    ((context, _, _, _),) = exchange._get_topic_queue("events.info")
    assert context == {"user": "u"}
    assert recorded.spans == []


@pytest.fixture
def native_tracing() -> Iterator[InMemorySpanExporter]:
    """oslo.messaging's own OpenTelemetry tracing, switched on."""
    if "oslo_messaging_tracing" not in cfg.CONF:
        pytest.skip("this oslo.messaging has no tracing of its own")
    exporter = InMemorySpanExporter()
    provider = otel.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        otel.set_tracer_provider(provider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    cfg.CONF.set_override("tracing_enabled", True, group="oslo_messaging_tracing")
    yield exporter
    cfg.CONF.clear_override("tracing_enabled", group="oslo_messaging_tracing")
    exporter.shutdown()


def test_with_native_tracing_kept_apart_both_traces_are_whole(
    recorded: Recorded, transport: Any, native_tracing: InMemorySpanExporter
) -> None:
    config.publish(opentelemetry="off")
    messaging.instrument()
    with served(transport) as (client, _, endpoint):
        profiler.init(KEY)
        assert client.call({}, "look") == "answer"
        wait_until(lambda: len(recorded.spans) == 2 and len(native_tracing.get_finished_spans()) == 2)
    server, client_span = sorted(recorded.spans, key=lambda span: span.parent_id is None)
    assert server.parent_span_id == client_span.span_id
    consumer, producer = sorted(native_tracing.get_finished_spans(), key=lambda span: span.parent is None)
    assert consumer.parent is not None
    assert consumer.parent.span_id == producer.context.span_id
    assert endpoint.traces == [server.origin.base_id]


def test_a_server_with_native_tracing_alone_joins_our_clients_trace(
    recorded: Recorded, transport: Any, native_tracing: InMemorySpanExporter
) -> None:
    cfg.CONF.clear_override("tracing_enabled", group="oslo_messaging_tracing")
    with served(transport) as (client, _, _):
        messaging.instrument_client(client)
        profiler.init(KEY)
        context = client.prepare()
        send = context.transport._shared._send

        def switched(*arguments: Any, **options: Any) -> Any:  # on for the receiver, off for the sender
            cfg.CONF.set_override("tracing_enabled", True, group="oslo_messaging_tracing")
            return send(*arguments, **options)

        context.transport._shared._send = switched
        context.call({}, "look")
        wait_until(native_tracing.get_finished_spans)
    (consumer,) = native_tracing.get_finished_spans()
    (ours,) = recorded.spans
    assert consumer.parent is not None
    assert (consumer.parent.trace_id, consumer.parent.span_id) == (ours.trace_id, ours.span_id)
