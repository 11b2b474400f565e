# SPDX-License-Identifier: Apache-2.0
"""Falcon: the template of a request's path, which Falcon keeps to itself, for the span of the middleware around it."""

from __future__ import annotations

from typing import Any

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.instrumentation import routes


def _get_responder(original: Method) -> Method:
    def get_responder(self: Any, req: Any) -> Any:
        found = original(self, req)
        with guard.Harmless("falcon.route"):
            *_, template = found
            if template is not None:
                # In ASGI a request has a scope, in WSGI an environment.
                (getattr(req, "scope", None) or req.env)[routes.ROUTE] = template
        return found

    return get_responder


# falcon.asgi.App inherits it.
_wrapping = Wrapping(Target("falcon.app", "App", "_get_responder", _get_responder))

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
