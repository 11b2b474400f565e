# SPDX-License-Identifier: Apache-2.0
"""``web_chain.py FRAMEWORK CONFIG_FILE DATABASE [NEXT]``: a service that writes a row and then asks the service NEXT.

FRAMEWORK is fastapi (under uvicorn, asks by httpx), aiohttp (asks by its own client) or flask (under waitress, asks by
urllib3). It prints its port once it serves, and ends with its standard input.
"""

import asyncio
import socket
import sys
import threading

import sqlalchemy
from oslo_config import cfg

from osprofiler import asgi, initializer, opts, web
from osprofiler import sqlalchemy as traced_sqlalchemy

framework, config_file, database, *following = sys.argv[1:]

opts.set_defaults(cfg.CONF)
cfg.CONF(["--config-file", config_file], project="chain")
initializer.init_from_conf(cfg.CONF, None, "chain", framework, "host")
engine = sqlalchemy.create_engine(f"sqlite:///{database}")
traced_sqlalchemy.add_tracing(sqlalchemy, engine, "db")
engine.connect().close()  # the pool has a connection, so no request makes one
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(64)


def write_row():
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("INSERT INTO orders VALUES (1)"))


def serve_fastapi():
    import fastapi
    import httpx
    import uvicorn

    app = fastapi.FastAPI()
    app.add_middleware(asgi.AsgiMiddleware)

    @app.get("/orders/{number}")
    async def order(number: int):
        await asyncio.to_thread(write_row)
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{following[0]}/orders/{number}")).text

    @app.get("/plain/{number}")
    def plain_order(number: int):
        write_row()
        with httpx.Client() as client:
            return client.get(f"{following[0]}/orders/{number}").text

    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))

    def stop():
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=stop, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    server.run(sockets=[listener])


def serve_aiohttp():
    import aiohttp
    from aiohttp import web as aiohttp_web

    async def order(request):
        await asyncio.to_thread(write_row)
        url = f"{following[0]}/orders/{request.match_info['number']}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return aiohttp_web.Response(text=await response.text())

    async def main():
        app = aiohttp_web.Application()
        app.router.add_get("/orders/{number:[0-9]+}", order)
        runner = aiohttp_web.AppRunner(app)
        await runner.setup()
        await aiohttp_web.SockSite(runner, listener).start()
        print(listener.getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await runner.cleanup()

    asyncio.run(main())


def serve_flask():
    import flask
    from waitress.server import create_server

    app = flask.Flask("chain")

    @app.route("/orders/<int:number>")
    def order(number):
        write_row()
        return "done"

    server = create_server(web.WsgiMiddleware(app), sockets=[listener], threads=2)

    def stop():
        sys.stdin.read()
        server.trigger.pull_trigger(server.close)

    threading.Thread(target=stop, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    server.run()


{"fastapi": serve_fastapi, "aiohttp": serve_aiohttp, "flask": serve_flask}[framework]()
