# SPDX-License-Identifier: Apache-2.0
"""``asgi_service.py FRAMEWORK SERVER CONFIG_FILE``: an application of Starlette or FastAPI under uvicorn or hypercorn.

It prints its port once it serves, and ends with its standard input.
"""

import asyncio
import socket
import sys
import threading

from oslo_config import cfg
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute

from osprofiler import asgi, initializer, opts, profiler

framework, server, config_file = sys.argv[1:]


def point(name):
    with profiler.Trace(name):
        return threading.get_ident()


def background():
    point("in the background")


def in_thread(request):
    point(f"work {request.path_params['id']}")
    return PlainTextResponse("ok")


async def in_loop(request):
    point("handler")
    return PlainTextResponse("ok", background=BackgroundTask(background))


async def stream(request):
    async def chunks():
        for i in range(2):
            point(f"chunk {i}")
            yield b"chunk"

    return StreamingResponse(chunks())


async def endless(request):
    async def chunks():
        while True:
            yield b"x" * 65536
            await asyncio.sleep(0)

    return StreamingResponse(chunks())


async def fail(request):
    raise LookupError("nothing here")


async def echo(websocket):
    await websocket.accept()
    for _ in range(2):
        point(await websocket.receive_text())
        await websocket.send_text("ok")
    await websocket.close()


async def untouched(request, call_next):
    return await call_next(request)


ROUTES = [
    Route("/servers/{id:int}", in_thread),
    Route("/background", in_loop),
    Route("/stream", stream),
    Route("/endless", endless),
    Route("/fail", fail),
    WebSocketRoute("/ws", echo),
]


def starlette_app():
    from starlette.applications import Starlette

    middleware = [Middleware(BaseHTTPMiddleware, dispatch=untouched)]
    # Around the whole application, so also around Starlette's handler of exceptions.
    return asgi.AsgiMiddleware(Starlette(routes=[Mount("/{tenant}", routes=ROUTES)], middleware=middleware))


def fastapi_app():
    import fastapi

    app, router = fastapi.FastAPI(), fastapi.APIRouter()

    @router.get("/servers/{id}")
    def server_by_id(request: fastapi.Request, id: int):  # noqa: A002
        return in_thread(request)

    @router.get("/background")
    async def respond(tasks: fastapi.BackgroundTasks):
        tasks.add_task(background)
        point("handler")

    for path, endpoint in (("/stream", stream), ("/endless", endless), ("/fail", fail)):
        # FastAPI looks at the parameter's type.
        endpoint.__annotations__["request"] = fastapi.Request
        router.add_api_route(path, endpoint, response_model=None)
    echo.__annotations__["websocket"] = fastapi.WebSocket
    router.add_api_websocket_route("/ws", echo)
    app.include_router(router, prefix="/{tenant}")
    app.add_middleware(BaseHTTPMiddleware, dispatch=untouched)
    app.add_middleware(asgi.AsgiMiddleware)
    return app


opts.set_defaults(cfg.CONF)
cfg.CONF(["--config-file", config_file], project="asgi")
initializer.init_from_conf(cfg.CONF, None, "asgi", framework, "host")
application = {"starlette": starlette_app, "fastapi": fastapi_app}[framework]()
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(64)
print(listener.getsockname()[1], flush=True)


async def until_stdin_ends():
    await asyncio.to_thread(sys.stdin.read)


def with_uvicorn():
    import uvicorn

    running = uvicorn.Server(uvicorn.Config(application, log_level="critical", timeout_graceful_shutdown=5))

    def stop():
        sys.stdin.read()
        running.should_exit = True

    threading.Thread(target=stop, daemon=True).start()
    running.run(sockets=[listener])


def with_hypercorn():
    import hypercorn.asyncio
    import hypercorn.config

    config = hypercorn.config.Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.loglevel = "CRITICAL"
    asyncio.run(hypercorn.asyncio.serve(application, config, shutdown_trigger=until_stdin_ends))


{"uvicorn": with_uvicorn, "hypercorn": with_hypercorn}[server]()
