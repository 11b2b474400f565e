# SPDX-License-Identifier: Apache-2.0
"""The template of a request's path, such as ``/servers/{id}``, from what a framework leaves in the request.

Frameworks write parameters in different ways. Here all of them are ``{name}``. No framework is imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: Key of a WSGI environment or ASGI scope: the template, from a framework that does not leave one by itself.
ROUTE = "osprofiler.route"

_WITH_CONVERTER = re.compile(r"\{([^{}:]+):[^{}]*\}")  # {id:int}
_WERKZEUG = re.compile(r"<(?:[^<>]*:)?([^<>:]+)>")  # <int:id>


def of_environ(environ: Mapping[str, Any]) -> str | None:
    """The template from a WSGI environment; None if it has none. For Falcon, Flask, Pecan and Routes."""
    template = environ.get(ROUTE)
    if template is None:
        template = _of_routes(environ)
    return None if template is None else f"{environ.get('SCRIPT_NAME', '')}{plain(template)}"


def of_scope(scope: Mapping[str, Any], path: str) -> str | None:
    """The template from an ASGI scope; None if it has none, or not all of it. For Starlette, FastAPI and Falcon.

    *path*: the path with which the request came. Starlette leaves only the innermost route, without the template of a
    mount or of an included router. The path and its parameters tell the rest.
    """
    if (template := scope.get(ROUTE)) is not None:
        return f"{scope.get('root_path', '')}{plain(template)}"
    parameters = scope.get("path_params")
    end = getattr(scope.get("route") or _route_to(scope.get("endpoint"), scope.get("router")), "path_format", None)
    if not isinstance(end, str) or not isinstance(parameters, Mapping):
        return None
    try:
        segments = end.format_map(parameters).count("/")
    except Exception:  # a mount of another application, whose rest of the path is not among the parameters
        return None
    names = {str(value): f"{{{name}}}" for name, value in parameters.items() if f"{{{name}}}" not in end}
    start = path.split("/")[: -segments or None]
    template = "/".join([names.get(segment, segment) for segment in start]) + end
    is_whole = all(f"{{{name}}}" in template for name in parameters)
    return template if is_whole else None


def _route_to(endpoint: Any, router: Any) -> Any:
    """The only route that leads to *endpoint*, for a Starlette (1.0 and older) that leaves no route."""
    if endpoint is None:
        return None
    found, routers = [], [router]
    for each in routers:
        for route in getattr(each, "routes", None) or ():
            if getattr(route, "endpoint", None) is endpoint:
                found.append(route)
            routers.append(route)
    return found[0] if len(found) == 1 else None


def plain(template: str) -> str:
    """*template* with parameters as ``{name}``, without their types."""
    return _WITH_CONVERTER.sub(r"{\1}", template)


def of_werkzeug(rule: str) -> str:
    """The template for a *rule* of werkzeug and Flask: ``/servers/<int:id>``."""
    return _WERKZEUG.sub(r"{\1}", rule)


def _of_routes(environ: Mapping[str, Any]) -> str | None:
    parts = getattr(environ.get("routes.route"), "routelist", None)
    if parts is None:
        return None
    return "".join(part if isinstance(part, str) else f"{{{part['name']}}}" for part in parts)
