# SPDX-License-Identifier: Apache-2.0
"""Tags of server spans that say what a request is in OpenStack: its ids, its user and project, and its resources.

The sources are a context dictionary of oslo.context, the path of a URL, and the arguments of a remote procedure call.
A value that is not short text is left out, so no code of the service runs here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from osprofiler._runtime import guard
from osprofiler.context.identity import NOBODY, Identity
from osprofiler.records import names

#: The keys of oslo.context's ``RequestContext.to_dict`` and their tags; of the keys for one tag, the newest first.
_CONTEXT_TAGS = (
    ("request_id", names.REQUEST_ID),
    ("global_request_id", names.GLOBAL_REQUEST_ID),
    ("user_id", names.USER_ID),
    ("user", names.USER_ID),
    ("project_id", names.PROJECT_ID),
    ("project", names.PROJECT_ID),
    ("tenant", names.PROJECT_ID),
    ("domain_id", names.DOMAIN_ID),
    ("domain", names.DOMAIN_ID),
)

#: The headers of a response with the id of its request; the first one counts.
_REQUEST_ID_HEADERS = ("x-openstack-request-id", "x-compute-request-id")

#: The keys of WSGI that keystonemiddleware sets for a valid token: auth_token, and external_oauth2_token.
_CHECKED = frozenset(("keystone.token_info", "external.token_info"))

#: Collections in URLs to the kind of their resources. A collection that is not here makes no tag, because clients can
#: make up paths, and each kind is a tag of its own.
_COLLECTIONS = {
    "allocations": "consumer",
    "backups": "backup",
    "clusters": "cluster",
    "containers": "container",
    "flavors": "flavor",
    "floatingips": "floating_ip",
    "images": "image",
    "listeners": "listener",
    "loadbalancers": "load_balancer",
    "networks": "network",
    "nodes": "node",
    "os-interface": "port",
    "os-server-groups": "server_group",
    "os-volume_attachments": "volume",
    "pools": "pool",
    "ports": "port",
    "resource_providers": "resource_provider",
    "routers": "router",
    "security-groups": "security_group",
    "servers": "server",
    "shares": "share",
    "snapshots": "snapshot",
    "stacks": "stack",
    "subnets": "subnet",
    "volumes": "volume",
    "zones": "zone",
}

#: The name of an argument, or of a versioned object in lower case, to the kind of the resource.
_ARGUMENTS = {**{kind: kind for kind in _COLLECTIONS.values()}, "instance": "server"}

_MAX_CHARS = 255
_MAX_ARGUMENTS = 64

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_IS_UUID = re.compile(_UUID, re.I | re.A)
_RESOURCE = re.compile(rf"/({'|'.join(map(re.escape, _COLLECTIONS))})/({_UUID})(?![^/.])", re.I | re.A)


def request_id(headers: Mapping[str, str]) -> str | None:
    """The id that a service has given to a request. *headers*: those of its response; the mapping ignores case."""
    return next((value for name in _REQUEST_ID_HEADERS if (value := headers.get(name))), None)


def of_context(context: Mapping[Any, Any]) -> dict[str, str]:
    """The tags for a *context* dictionary of oslo.context. Never raises."""
    tags: dict[str, str] = {}
    try:
        for key, tag in _CONTEXT_TAGS:
            value = context.get(key)  # most are None
            if value is not None and tag not in tags and _text(value):
                tags[tag] = value
    except Exception as fault:
        guard.swallow("openstack.context", fault)
    return tags


def identity_of_context(context: Mapping[Any, Any]) -> Identity:
    """Who sends a request with a *context* dictionary of oslo.context. Never raises."""
    with guard.Harmless("openstack.context"):
        roles = context.get("roles")
        return Identity(
            project=_texts(context, "project_id", "project", "tenant", "project_name"),
            user=_texts(context, "user_id", "user", "user_name"),
            role=tuple(filter(_text, roles)) if isinstance(roles, (list, tuple)) else (),
        )
    return NOBODY


def identity_of_environ(environ: Mapping[str, Any]) -> Identity | None:
    """Who sends a WSGI request, as keystonemiddleware has found out; None if it has not, or not yet.

    A client can send its headers too. keystonemiddleware removes these first. Once a token is valid, it adds a key that
    no header can make, logs, and then writes its own headers.
    """
    if _CHECKED.isdisjoint(environ) or "HTTP_X_USER_ID" not in environ:
        return None
    roles = environ.get("HTTP_X_ROLES")
    return Identity(
        project=_texts(environ, "HTTP_X_PROJECT_ID", "HTTP_X_PROJECT_NAME"),
        user=_texts(environ, "HTTP_X_USER_ID", "HTTP_X_USER_NAME"),
        role=tuple(role.strip() for role in roles.split(",")) if isinstance(roles, str) else (),
    )


def _texts(values: Mapping[Any, Any], *keys: str) -> tuple[str, ...]:
    return tuple(text for key in keys if (text := _text(values.get(key))))


def of_path(path: str) -> dict[str, str]:
    """The tags for the resources that the *path* of a URL names; of two of one kind, the first."""
    tags: dict[str, str] = {}
    for collection, resource_id in _RESOURCE.findall(path):
        tags.setdefault(names.RESOURCE_ID.format(_COLLECTIONS[collection.lower()]), resource_id.lower())
    return tags


def of_arguments(arguments: Any) -> dict[str, str]:
    """The tags for the resources in the *arguments* of a call, by name, as they are in its message. Never raises.

    An argument counts if it is a UUID (``volume_id``, ``instance_uuid``) or a serialized versioned object
    (``instance``, or any name). Of a list only a sole item counts: one tag cannot name several resources.
    """
    tags: dict[str, str] = {}
    if isinstance(arguments, Mapping) and len(arguments) <= _MAX_ARGUMENTS:
        with guard.Harmless("openstack.arguments"):
            for kind, resource_id in _resources(arguments):
                tags.setdefault(names.RESOURCE_ID.format(kind), resource_id.lower())
    return tags


def _resources(arguments: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """The kind and id of each resource in *arguments*."""
    for name, value in arguments.items():
        if isinstance(value, list) and len(value) == 1 and isinstance(name, str):
            name, value = name.removesuffix("s"), value[0]
        if isinstance(value, Mapping):
            name, value = _object(value)
        if isinstance(value, str) and isinstance(name, str) and _IS_UUID.fullmatch(value):
            kind = _ARGUMENTS.get(name.removesuffix("_uuid").removesuffix("_id").lower())
            if kind:
                yield kind, value


def _object(primitive: Mapping[Any, Any]) -> tuple[Any, Any]:
    """The class and UUID of a versioned object, serialized by oslo.versionedobjects; else a pair of None.

    Its keys are ``nova_object.name``, ``versioned_object.name`` and the like, by the project. An object that is part of
    a server, such as a block device or a request to build it, counts as that server.
    """
    for key in primitive:
        if isinstance(key, str) and key.endswith("_object.name"):
            data = primitive.get(f"{key.removesuffix('name')}data")
            if isinstance(data, Mapping):
                of_server = data.get("instance_uuid")
                return ("instance", of_server) if of_server else (primitive[key], data.get("uuid") or data.get("id"))
    return None, None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _MAX_CHARS else None
