# SPDX-License-Identifier: Apache-2.0
"""Flask: the template of a request's path, for the span of the middleware around it.

Flask forgets the route when the application returns, and its answer may begin after that, in a middleware of WebOb.
"""

from __future__ import annotations

from typing import Any

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.instrumentation import routes


def _match_request(original: Method) -> Method:
    def match_request(self: Any) -> Any:
        result = original(self)
        with guard.Harmless("flask.route"):
            rule = self.request.url_rule
            if rule is not None:
                self.request.environ[routes.ROUTE] = routes.of_werkzeug(rule.rule)
        return result

    return match_request


_wrapping = Wrapping(Target("flask.ctx", "RequestContext", "match_request", _match_request))

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
