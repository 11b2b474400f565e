# SPDX-License-Identifier: Apache-2.0
"""``peer.py '<options as JSON>'``: one side of a pair, a service that one kind of tracer traces, over REST and RPC.

A server prints its port, serves until its standard input ends, and answers with what it finds of the sender's trace. A
client asks each of ``targets`` in each of ``formats``, and prints the answers with its own ids.
"""

import contextlib
import importlib
import json
import os
import sys
import threading
import urllib.request
import warnings
from wsgiref.simple_server import WSGIRequestHandler, make_server

warnings.simplefilter("ignore")
options = json.loads(sys.argv[1])

import oslo_messaging  # noqa: E402
from oslo_config import cfg  # noqa: E402

cfg.CONF([], project="pairs", default_config_files=[])


class Peer:
    """A kind of tracer in a service. A kind overrides what its services do."""

    serializer = None

    def __init__(self, options):
        """Set the tracer up: *options* has ``role``, and ``sampled``, which is what a client decides."""

    def around(self, application):
        """*application* behind the kind's middleware."""
        return application

    @contextlib.contextmanager
    def received(self, fields):
        """Continue the trace in *fields*, where no middleware does."""
        yield

    def seen(self, environ):
        """What the service finds: its own ``trace`` and ``parent``, and whether it is ``recorded``, or None.

        *environ*: of a web request; None in a message.
        """

    def run(self, format_, work):
        """Call *work* in a trace that begins here, whose context is sent in *format_*."""

    def headers(self):
        """The headers of a web request that *work* sends."""

    def message(self):
        """The context dictionary of a message that *work* sends."""
        return {}

    def trace(self):
        """The id of the current trace, in *work*."""

    def spans(self):
        """The ids of all spans of the last run."""


def main():
    peer = importlib.import_module(f"kind_{options['kind']}").Made(options)
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=options["url"])
    if options["role"] == "server":
        serve(peer, transport)
    else:
        print(json.dumps([answers(peer, transport, format_) for format_ in options["formats"]]), flush=True)
    os._exit(0)  # oslo.messaging's threads would keep a client waiting


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Endpoint:
    def __init__(self, peer):
        self._peer = peer

    def seen(self, ctxt):
        fields = {name.lower(): value for name, value in ctxt.items() if isinstance(value, str)}
        with self._peer.received(fields):
            return self._peer.seen(None)


def serve(peer, transport):
    def application(environ, start_response):
        names = [name for name in environ if name.startswith("HTTP_")]
        with peer.received({name[5:].replace("_", "-").lower(): environ[name] for name in names}):
            body = json.dumps(peer.seen(environ)).encode()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [body]

    target = oslo_messaging.Target(topic=options["topic"], server="one")
    rpc = oslo_messaging.get_rpc_server(
        transport, target, [Endpoint(peer)], executor="threading", serializer=peer.serializer
    )
    rpc.start()
    rest = make_server("127.0.0.1", 0, peer.around(application), handler_class=Quiet)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    print(rest.server_port, flush=True)
    sys.stdin.read()


def answers(peer, transport, format_):
    """What each target has seen, by its name and the transport; and the client's own ids."""
    result = {"seen": {}}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def work():
        result["trace"] = peer.trace()
        for target in options["targets"]:
            request = urllib.request.Request(f"http://127.0.0.1:{target['port']}/", headers=peer.headers())
            with opener.open(request, timeout=60) as answer:
                rest = json.load(answer)
            client = oslo_messaging.get_rpc_client(
                transport, oslo_messaging.Target(topic=target["topic"]), serializer=peer.serializer
            )
            result["seen"][target["name"]] = {"REST": rest, "RPC": client.call(peer.message(), "seen")}

    peer.run(format_, work)
    result["spans"] = peer.spans()
    return result


def environ():
    """The WSGI environment of the request in which a client that has middleware sends its own."""
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "client",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": None,
        "wsgi.errors": sys.stderr,
    }


def answer(application):
    """Run *application* for one request, to the end of its body."""
    body = application(environ(), lambda *_: None)
    list(body)
    getattr(body, "close", lambda: None)()


if __name__ == "__main__":
    sys.modules["peer"] = sys.modules["__main__"]
    main()
