# SPDX-License-Identifier: Apache-2.0
"""What the patches of python-novaclient call: a client span for each REST request, and the ``nova --profile`` command.

The command writes its own spans to the store of ``$OSPROFILER_CONNECTION_STRING``; where that is not set it only asks
the services for the trace, as an unpatched one does. ``$OSPROFILER_JAEGER_UI`` is the address of Jaeger's UI.
"""

from __future__ import annotations

import atexit
import os
import re
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from osprofiler import notifier, profiler, web
from osprofiler._runtime import guard
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED
from osprofiler.tracer import global_tracer

__all__ = ["begin", "end", "path_template", "traced"]

CONNECTION_STRING = "OSPROFILER_CONNECTION_STRING"
JAEGER_UI = "OSPROFILER_JAEGER_UI"

#: The name of a request's trace point, and that of the whole command.
REQUEST = "novaclient"
COMMAND = "nova"

#: The services that novaclient speaks to, by the types that catalogs have for them.
_SERVICES = {
    "compute": "nova",
    "image": "glance",
    "network": "neutron",
    "volume": "cinder",
    "volumev2": "cinder",
    "volumev3": "cinder",
    "block-storage": "cinder",
    "identity": "keystone",
    "placement": "placement",
}

_REQUEST_ID = ("x-openstack-request-id", "x-compute-request-id")

# What stands in nova's paths where an id could stand, and is none.
_NOT_IDS = frozenset(
    ("defaults", "detail", "disable", "disable-log-reason", "enable", "force-down", "search", "servers", "statistics")
)
_VERSION = re.compile(r"v\d+(\.\d+)?")
_ID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}|\d+", re.I)
_MAX_SEGMENTS = 8

# Whether there is a store to write spans to; only the command line may have none.
_recording = True
_command: _Command | None = None

# One request


def traced(send: Callable[..., Any]) -> Callable[..., Any]:
    """*send*, novaclient's way to one request: called with URL, method and keywords, it returns response and body."""

    def request(url: str, method: str, /, **kwargs: Any) -> Any:
        point = _open(_service_of(send), url, method, kwargs)
        if point is None:
            return send(url, method, **kwargs)
        try:
            response, body = send(url, method, **kwargs)
        except BaseException as fault:
            _close(point, None, fault)
            raise
        _close(point, response, None)
        return response, body

    return request


def _service_of(send: Callable[..., Any]) -> str:
    """Which service *send*, a method of keystoneauth's adapter, speaks to at this moment: novaclient changes the
    adapter's type while it asks glance or neutron."""
    kind = getattr(getattr(send, "__self__", None), "service_type", None)
    return _SERVICES.get(kind, kind) if isinstance(kind, str) and kind else COMMAND


def _open(service: str, url: str, method: str, kwargs: dict[str, Any]) -> Point | None:
    """Open the request's point, if one is to be recorded, and have its context sent in the request's headers."""
    with guard.Harmless("novaclient.start"):
        here = current.point.get()
        if here is None or not _recording or not here.origin.flags & SAMPLED:
            return None
        split = urlsplit(url)
        template = path_template(split.path)
        point = global_tracer.get_tracer().open_point(
            here,
            REQUEST,
            {"request": {"method": method, "path": split.path, "query": split.query}},
            operation=f"{service} {method} {template}",
            tags={
                "span.kind": "client",
                "component": "python-novaclient",
                "http.method": method,
                "http.url": f"{split.scheme}://{split.netloc.rpartition('@')[2]}{split.path}"
                if split.netloc
                else split.path,
                "http.route": template,
                "peer.service": service,
            },
        )
        # The caller's own dictionary, which keystoneauth sends again with each retry and redirect.
        kwargs.setdefault("headers", {}).update(web.get_trace_id_headers())
        return point
    return None


def _close(point: Point, response: Any, fault: BaseException | None) -> None:
    with guard.Harmless("novaclient.stop"):
        info = None
        if response is not None:
            said = {"status": response.status_code}
            request_id = next((value for name in _REQUEST_ID if (value := response.headers.get(name))), None)
            if request_id is not None:
                said["request_id"] = request_id
            info = {"response": said}
            if point.span is not None:
                point.span.set_tag("http.status_code", response.status_code)
                if request_id is not None:
                    point.span.set_tag("request_id", request_id)
                if response.status_code >= 400:
                    point.span.set_tag("error", True)
        point.end(info, fault)


def path_template(path: str) -> str:
    """A path of nova's API with what names one thing in it replaced by ``{id}``: ``/servers/{id}/action``.

    Its paths take turns: a collection, one thing in it, a collection of that.
    """
    segments = [segment for segment in path.split("/") if segment]
    if segments and _VERSION.fullmatch(segments[0]):
        del segments[0]
        if segments and _ID.fullmatch(segments[0]):  # the project, in older URLs
            del segments[0]
    template = [
        "{id}" if _ID.fullmatch(segment) or (number % 2 and segment not in _NOT_IDS) else segment
        for number, segment in enumerate(segments[:_MAX_SEGMENTS])
    ]
    return "/" + "/".join(template)


# The command


class _Command:
    """One run of ``nova --profile``."""

    def __init__(self, point: Point | None, base_id: str) -> None:
        self.point = point
        self.base_id = base_id

    def end(self, name: str, fault: BaseException | None) -> None:
        with guard.Harmless("novaclient.end"):
            if self.point is not None:
                self.point.end({"command": name} if name else None, fault)
        with guard.Harmless("novaclient.show"):
            # With a failed command, what was asked for is on standard output only in part, if at all.
            print(_how_to_show(self.base_id), file=sys.stdout if fault is None else sys.stderr)


class _Failed(Exception):
    """The command did not come to its end."""


def begin(hmac_key: str) -> None:
    """Begin the trace of a command: with a span for the whole of it, where there is a store to write spans to."""
    global _command, _recording
    with guard.Harmless("novaclient.begin"):
        began = profiler.init(hmac_key)
        store = os.environ.get(CONNECTION_STRING)
        _recording = bool(store)
        point = None
        if store:
            _write_to(store)
            here = current.point.get()
            if here is not None and here.origin.flags & SAMPLED:
                point = global_tracer.get_tracer().open_point(here, COMMAND)
        if _command is None:
            atexit.register(_at_exit)
        _command = _Command(point, began.get_base_id())


def _write_to(store: str) -> None:
    from osprofiler.delivery import exits

    exits.install()
    notifier.set(notifier.create(store, project="python", service="novaclient", host=os.uname().nodename))


def end(command: Callable[..., Any]) -> None:
    """End the trace of a command, which *command* has done, and print how to look at it."""
    global _command
    ended, _command = _command, None
    if ended is not None:
        ended.end(getattr(command, "__name__", "").removeprefix("do_").replace("_", "-"), None)


def _at_exit() -> None:
    global _command
    failed, _command = _command, None
    if failed is not None:
        failed.end("", _Failed())


def _how_to_show(base_id: str) -> str:
    lines = [
        f"Trace ID: {base_id}",
        "To display trace use the command:\n",
        f"  osprofiler trace show --html {base_id} ",
    ]
    ui = _jaeger_ui()
    if ui:
        lines.append(f"\nIn Jaeger: {ui}/trace/{base_id.replace('-', '')}")
    return "\n".join(lines)


def _jaeger_ui() -> str:
    """Jaeger's UI, as the environment or the connection string names it; "" where neither does."""
    named = os.environ.get(JAEGER_UI, "")
    store = os.environ.get(CONNECTION_STRING, "")
    if not named and store.startswith("jaeger"):
        named = next(iter(parse_qs(urlsplit(store).query).get("query", ())), "")
    return named.rstrip("/")
