# SPDX-License-Identifier: Apache-2.0
"""The adapter of python-novaclient: each request is a client span, named by the service and the path's template."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from osprofiler.context import current
from osprofiler.context.trace_context import SAMPLED
from osprofiler.handlers import http_client, openstack

#: The name of a request's trace point.
REQUEST = "novaclient"

#: The services that novaclient calls, by their types in the service catalog.
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
_DEFAULT_SERVICE = "nova"

# Segments of nova's paths that stand in the place of an id, and are not one.
_NOT_IDS = frozenset(
    ("defaults", "detail", "disable", "disable-log-reason", "enable", "force-down", "search", "servers", "statistics")
)
_VERSION = re.compile(r"v\d+(\.\d+)?")
_ID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}|\d+", re.I)
_MAX_SEGMENTS = 8

# Whether requests are client spans. The command line turns it off if it has no store.
_recording = True


class _Outgoing(NamedTuple):
    service: str
    url: str
    method: str
    kwargs: dict[str, Any]


class _NovaClient:
    """Describes novaclient's requests and responses to the handler."""

    name = REQUEST
    component = "python-novaclient"

    def request(self, outgoing: _Outgoing) -> http_client.Request:
        method, url = outgoing.method, urlsplit(outgoing.url)
        template = path_template(url.path)
        info = {"request": {"method": method, "path": url.path, "query": url.query}}
        tags = {"http.route": template, "peer.service": outgoing.service}
        operation = f"{outgoing.service} {method} {template}"
        return http_client.Request(REQUEST, method, url, info, tags, operation)

    def with_headers(self, outgoing: _Outgoing, headers: Mapping[str, str]) -> _Outgoing:
        """Change the caller's dictionary: keystoneauth sends it again with each retry and redirect."""
        outgoing.kwargs.setdefault("headers", {}).update(headers)
        return outgoing

    def response(self, received: Any) -> http_client.Response:
        response, _ = received
        info, tags = {"status": response.status_code}, {}
        request_id = openstack.request_id(response.headers)
        if request_id is not None:
            info["request_id"] = tags["request_id"] = request_id
        return http_client.Response(response.status_code, {"response": info}, tags)


_LIBRARY = _NovaClient()


def record(on: bool) -> None:
    """*on*: make requests client spans (the default). Otherwise they only ask the services for a trace."""
    global _recording
    _recording = on


def traced(send: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap *send*, which sends one request of novaclient: ``send(url, method, **kwargs)`` -> (response, body)."""

    def request(url: str, method: str, /, **kwargs: Any) -> Any:
        here = current.point.get()
        if here is None or not _recording or not here.origin.flags & SAMPLED:
            return send(url, method, **kwargs)
        outgoing = _Outgoing(_service_of(send), url, method, kwargs)
        return http_client.exchange(_LIBRARY, here, outgoing, lambda out: send(out.url, out.method, **out.kwargs))

    return request


def _service_of(send: Callable[..., Any]) -> str:
    """The service that *send*, a method of keystoneauth's adapter, calls now.

    novaclient changes the adapter's type while it calls glance or neutron.
    """
    service_type = getattr(getattr(send, "__self__", None), "service_type", None)
    if isinstance(service_type, str) and service_type:
        return _SERVICES.get(service_type, service_type)
    return _DEFAULT_SERVICE


def path_template(path: str) -> str:
    """A path of nova's API with ``{id}`` in place of each id: ``/servers/{id}/action``.

    The segments of a path alternate: a collection, one object of it, a collection of this object.
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
