# SPDX-License-Identifier: Apache-2.0
"""Templates of paths, from real frameworks behind the middleware."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
import webob
import webob.dec

from osprofiler import asgi, web
from osprofiler.config import switches
from osprofiler.instrumentation import registry, routes
from tests.unit.span_kit import Recorder, spans  # noqa: F401
from tests.unit.test_web import KEY, headers


@pytest.fixture(autouse=True)
def _as_imported() -> Iterator[None]:
    switches.reset()
    registry.instrument("falcon", "flask", "pecan")
    yield
    registry.uninstrument("falcon", "flask", "pecan")
    switches.reset()


def flask_app() -> Any:
    import flask

    app, blueprint = flask.Flask("app"), flask.Blueprint("b", "b")

    @blueprint.route("/servers/<int:id>/<path:rest>")
    def server(**parameters: Any) -> str:
        return "ok"

    app.register_blueprint(blueprint, url_prefix="/v2/<tenant>")
    return app


def routes_app() -> Any:
    import routes
    import routes.middleware

    @webob.dec.wsgify
    def ok(request: webob.Request) -> str:
        if request.environ["routes.route"] is None:
            raise webob.exc.HTTPNotFound
        return "ok"

    mapper = routes.Mapper()
    mapper.connect("/v2/{tenant:[a-z0-9]+}/servers/:id/{rest:.*?}", controller=ok)
    return routes.middleware.RoutesMiddleware(ok, mapper)


class _Server:
    def on_get(self, req: Any, resp: Any, **parameters: Any) -> None:
        resp.media = "ok"


def falcon_app() -> Any:
    import falcon

    app = falcon.App()
    app.add_route("/v2/{tenant}/servers/{id:int}/{rest}", _Server())
    return app


def pecan_app() -> Any:
    import pecan
    from pecan.rest import RestController

    class Servers(RestController):  # type: ignore[misc]
        _custom_actions = {"reboot": ["GET"]}  # noqa: RUF012

        @pecan.expose()
        def get_one(self, id: str, *rest: str) -> str:  # noqa: A002
            return "ok"

        @pecan.expose()
        def get_all(self) -> str:
            return "ok"

        @pecan.expose()
        def reboot(self, id: str) -> str:  # noqa: A002
            return "ok"

    class Ports(RestController):  # type: ignore[misc]
        @pecan.expose()
        def get_one(self, server_id: str, port_id: str) -> str:
            return "ok"

    class Tenant:
        servers = Servers()

    Servers.ports = Ports()  # type: ignore[attr-defined]

    class Version:
        @pecan.expose()
        def _lookup(self, tenant: str, *rest: str) -> Any:
            return Tenant(), rest

    class Files:
        @pecan.expose()
        def _default(self, *path: str) -> str:
            return "ok"

    class Root:
        v2 = Version()
        files = Files()

        @pecan.expose()
        def index(self) -> str:
            return "ok"

    return pecan.Pecan(Root())


def ask(app: Any, path: str, script_name: str = "") -> str:
    """The status of a signed request."""
    environ: dict[str, Any] = {"PATH_INFO": path, "SCRIPT_NAME": script_name, **headers()}
    setup_testing_defaults(environ)
    statuses: list[str] = []
    body = web.WsgiMiddleware(app, hmac_keys=KEY, enabled=True)(environ, lambda status, *_: statuses.append(status))  # type: ignore[arg-type, return-value]
    list(body)
    if hasattr(body, "close"):
        body.close()
    return statuses[0]


def flask_behind_webob() -> Any:
    """Its answer begins when Flask has returned, as keystone's does."""
    app = flask_app()

    @webob.dec.wsgify.middleware
    def middleware(request: webob.Request, app: Any) -> Any:
        return request.get_response(app)

    return middleware(app)


@pytest.mark.parametrize("script_name", ["", "/compute"])
@pytest.mark.parametrize("make", [flask_app, flask_behind_webob, routes_app, falcon_app, pecan_app])
def test_a_template_is_a_tag(spans: Recorder, make: Callable[[], Any], script_name: str) -> None:  # noqa: F811
    assert ask(make(), "/v2/t1/servers/7/x", script_name) == "200 OK"
    span = spans.by_name("wsgi")
    assert span.own_tags["http.route"] == f"{script_name}/v2/{{tenant}}/servers/{{id}}/{{rest}}"
    assert span.operation_name == "wsgi GET"


@pytest.mark.parametrize("make", [flask_app, routes_app, falcon_app, pecan_app])
def test_a_path_without_a_route_has_no_template(spans: Recorder, make: Callable[[], Any]) -> None:  # noqa: F811
    assert ask(make(), "/nothing").startswith("404")
    assert "http.route" not in spans.by_name("wsgi").own_tags


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/", "/"),
        ("/v2/t1/servers", "/v2/{tenant}/servers"),
        ("/v2/t1/servers/7", "/v2/{tenant}/servers/{id}"),
        ("/v2/servers/servers/servers", "/v2/{tenant}/servers/{id}"),
        ("/v2/t1/servers/7/reboot", "/v2/{tenant}/servers/{id}/reboot"),
        ("/v2/t1/servers/7/ports/8", "/v2/{tenant}/servers/{server_id}/ports/{port_id}"),
        ("/files/a/b/c", "/files/{path}"),
    ],
)
def test_pecan_s_objects_make_a_template(spans: Recorder, path: str, template: str) -> None:  # noqa: F811
    assert ask(pecan_app(), path) == "200 OK"
    assert spans.by_name("wsgi").own_tags["http.route"] == template


def test_falcon_in_asgi(spans: Recorder) -> None:  # noqa: F811
    import falcon.asgi

    class Server:
        async def on_get(self, req: Any, resp: Any, **parameters: Any) -> None:
            resp.media = "ok"

    app = falcon.asgi.App()
    app.add_route("/servers/{id:int}", Server())
    signed = [(name[5:].replace("_", "-").lower().encode(), value.encode()) for name, value in headers().items()]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/servers/7",
        "query_string": b"",
        "headers": signed,
    }

    async def main() -> None:
        received = iter([{"type": "http.request"}])

        async def receive() -> Any:
            return next(received, None) or await asyncio.Event().wait()

        async def send(message: Any) -> None:
            pass

        await asgi.AsgiMiddleware(app, hmac_keys=KEY)(scope, receive, send)

    asyncio.run(main())
    assert spans.by_name("asgi").own_tags["http.route"] == "/servers/{id}"


class _Route:
    def __init__(self, path_format: str) -> None:
        self.path_format = path_format


@pytest.mark.parametrize(
    ("path", "end", "parameters", "template"),
    [
        ("/servers/7", "/servers/{id}", {"id": 7}, "/servers/{id}"),
        ("/v2/servers/7", "/servers/{id}", {"id": 7}, "/v2/servers/{id}"),
        ("/tenants/t1/servers/t1", "/servers/{id}", {"id": "t1", "tenant": "t1"}, "/tenants/{tenant}/servers/{id}"),
        ("/a/x/y", "/a/{rest}", {"rest": "x/y"}, "/a/{rest}"),
        ("/b/007/x", "/x", {"id": 7}, None),  # a converter has changed it, so it cannot be recognised
        ("/static/file", "/static/{path}", {}, None),
        ("/", "/", {}, "/"),
        ("/", "", {}, "/"),
    ],
)
def test_starlette_leaves_only_the_end(path: str, end: str, parameters: dict[str, Any], template: str | None) -> None:
    scope = {"route": _Route(end), "path_params": parameters}
    assert routes.of_scope(scope, path) == template


@pytest.mark.parametrize(("path", "template"), [("/t/t1/servers/7", "/t/{tenant}/servers/{id}"), ("/one/7", None)])
def test_older_starlettes_leave_only_the_endpoint(path: str, template: str | None) -> None:
    from starlette.routing import Mount, Route, Router

    async def server(request: Any) -> None:
        pass

    async def several(request: Any) -> None:
        pass

    router = Router(
        [
            Mount("/t/{tenant}", routes=[Route("/servers/{id}", server), Route("/", several)]),
            Route("/one/{id}", several),
            Route("/two/{id}", several),
        ]
    )
    endpoint = server if template else several
    parameters = {"tenant": "t1", "id": "7"} if template else {"id": "7"}
    assert routes.of_scope({"endpoint": endpoint, "router": router, "path_params": parameters}, path) == template
