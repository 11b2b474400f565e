# SPDX-License-Identifier: Apache-2.0
"""``osprofiler serve``: the traces of a store over HTTP, as Jaeger's query service and as pages of our own."""

from __future__ import annotations

import argparse
import gc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from osprofiler.cmd import cliutils, input_files, sources
from osprofiler.connection import strings

if TYPE_CHECKING:
    from osprofiler.serve.gate import Gate

_PORT = 16686  # of Jaeger's query service
_LEAST_KEY_CHARS = 16


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, not {text!r}")
    return int(text)


def _base_path(text: str) -> str:
    path = text.rstrip("/")
    if path and (not path.startswith("/") or set(path) & set("\"'<>?#\\ ") or not path.isprintable()):
        raise argparse.ArgumentTypeError(f"expected a path like /jaeger, not {text!r}")
    return path


@cliutils.examples(
    "osprofiler serve --connection-string redis://localhost",
    "osprofiler serve --connection-string mysql+pymysql://osprofiler:secret@db/osprofiler --ui jaeger-ui/build",
    "osprofiler serve --host 0.0.0.0 --password-file /etc/osprofiler/serve-account",
)
@sources.store
@cliutils.arg(
    "--host",
    dest="listen_host",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="the address to listen on (default: 127.0.0.1, only for this machine)",
)
@cliutils.arg(
    "--port",
    dest="listen_port",
    type=_port,
    default=_PORT,
    metavar="N",
    help=f"the port to listen on (default: {_PORT}, as Jaeger's; 0: any free one)",
)
@cliutils.arg(
    "--base-path",
    dest="base_path",
    type=_base_path,
    default="",
    metavar="/PATH",
    help="serve below this path, for a proxy that has other pages too",
)
@cliutils.arg(
    "--ui", type=Path, metavar="FOLDER", help="the folder of a built Jaeger UI, with its index.html; served at /"
)
@cliutils.arg(
    "--ui-config", dest="ui_config", type=Path, metavar="FILE", help="the configuration of Jaeger's UI, in JSON"
)
@cliutils.arg(
    "--password-file",
    dest="password_file",
    type=Path,
    metavar="FILE",
    help="answer only requests with this account (basic authentication); the first line of the file is user:password",
)
@cliutils.arg(
    "--key-file",
    dest="key_file",
    type=Path,
    metavar="FILE",
    help=f"answer only requests with this key (Authorization: Bearer KEY); it is the first line of the file, and has "
    f"at least {_LEAST_KEY_CHARS} characters; with --password-file too, a request needs one of the two",
)
def run(args: argparse.Namespace) -> int:
    """Serve the traces of a store over HTTP, for Jaeger's UI and for a browser.

    It answers Jaeger's query API, and has pages of its own at /osprofiler/. It only reads. It listens on the loopback
    interface; on another address only with --password-file or --key-file. Ctrl-C or SIGTERM ends it.
    """
    from osprofiler.serve import application, server
    from osprofiler.serve.store import Store
    from osprofiler.serve.ui_files import UiFiles

    gate = _gate(args)
    if args.ui_config and not args.ui:
        raise sources.BadInput("--ui-config is for the UI of --ui")
    ui = UiFiles(args.ui, args.base_path, args.ui_config) if args.ui else None
    store = Store(partial(sources.driver, args))
    served = application.of(store, gate, args.base_path, ui)

    def tell(port: int) -> None:
        address = f"http://{strings.place(args.listen_host, port)}{args.base_path}/"
        own = f", our pages at {address}osprofiler/" if ui else ""
        print(f"osprofiler: serving {store.shown} at {address}{own}", flush=True)

    gc.enable()  # a command goes without; a server must not
    try:
        server.run(served, args.listen_host, args.listen_port, tell)
    finally:
        store.close()
    return 0


def _gate(args: argparse.Namespace) -> Gate:
    from osprofiler.serve.gate import Gate, is_loopback

    account = input_files.first_line(args.password_file) if args.password_file else None
    if account is not None and not all(account.partition(":")):
        raise sources.BadInput(f"the first line of {args.password_file} is not user:password")
    key = input_files.first_line(args.key_file) if args.key_file else None
    if key is not None and len(key) < _LEAST_KEY_CHARS:
        raise sources.BadInput(f"the key in {args.key_file} has fewer than {_LEAST_KEY_CHARS} characters")
    if account is None and key is None and not is_loopback(args.listen_host):
        raise sources.BadInput(
            f"--host {args.listen_host} can be reached from other machines: protect the traces with --password-file or "
            "--key-file"
        )
    return Gate(account, key)
