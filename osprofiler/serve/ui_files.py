# SPDX-License-Identifier: Apache-2.0
"""The files of Jaeger's UI, from the folder that holds its build: ``index.html``, and ``static`` with all others.

Jaeger puts values into ``index.html`` in place of defaults that it finds there as text; so does this. Sources:
``static_handler.go`` of Jaeger 1.76 and 2.20.
"""

from __future__ import annotations

import json
import mimetypes
import re
from http import HTTPStatus
from pathlib import Path

import osprofiler
from osprofiler import exc
from osprofiler.serve.parameters import Parameters
from osprofiler.serve.responses import HTML, Refused, Response, Route

_DEFAULTS = {
    "JAEGER_CONFIG": "DEFAULT_CONFIG",
    "JAEGER_STORAGE_CAPABILITIES": "DEFAULT_STORAGE_CAPABILITIES",  # before 2.20
    "JAEGER_BACKEND_CAPABILITIES": "DEFAULT_BACKEND_CAPABILITIES",
    "JAEGER_VERSION": "DEFAULT_VERSION",
}
_BASE = re.compile(r'<base href="/"')

#: The UI has scripts in its page, adds styles, and computes the layout of graphs in workers.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; connect-src 'self'; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_FOR_EVER = "public, max-age=31536000, immutable"  # the names of these files change with their content


class UiFiles:
    """The UI in *folder*, served below *base_path*. *config*: a JSON file with the UI's configuration.

    Raises CommandError if they cannot be read.
    """

    def __init__(self, folder: Path, base_path: str, config: Path | None = None) -> None:
        self._static = (folder / "static").resolve()
        try:
            index = (folder / "index.html").read_text("utf-8")
            values = {} if config is None else {"JAEGER_CONFIG": _checked(config)}
        except (OSError, UnicodeError) as fault:
            raise exc.CommandError(
                f"cannot read {getattr(fault, 'filename', None) or folder}: "
                f"{getattr(fault, 'strerror', None) or 'it is not UTF-8'}; --ui is the folder with the index.html of "
                "a built Jaeger UI"
            ) from None
        values["JAEGER_STORAGE_CAPABILITIES"] = {"archiveStorage": False}
        values["JAEGER_BACKEND_CAPABILITIES"] = {
            "archiveStorage": False,
            "metricsStorage": False,
            "searchWithoutServiceName": True,
            "aiAssistant": False,
        }
        values["JAEGER_VERSION"] = {
            "gitCommit": "",
            "gitVersion": f"osprofiler {osprofiler.__version__}",
            "buildDate": "",
        }
        for name, value in values.items():
            # Inside a script element no text may end it.
            text = json.dumps(value).replace("<", "\\u003c")
            pattern = re.compile(rf"{name} *= *{_DEFAULTS[name]};")
            index = pattern.sub(lambda _, text=text, name=name: f"{name} = {text};", index)  # type: ignore[misc]
        self._index = _with_base(index, base_path).encode("utf-8")

    def routes(self) -> list[Route]:
        """The routes of the UI. The last one has every path: the UI finds the way itself."""
        return [
            Route(re.compile(r"/static/(.+)"), self._file),
            Route(re.compile(r"/(?!api/|osprofiler/).*"), lambda parameters: self._page()),
        ]

    def _page(self) -> Response:
        return Response(HTTPStatus.OK, HTML, self._index, policy=_POLICY)

    def _file(self, name: str, parameters: Parameters) -> Response:
        try:
            path = (self._static / name).resolve()
            if path.is_relative_to(self._static) and path.is_file():
                kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
                return Response(HTTPStatus.OK, kind, path.read_bytes(), policy=_POLICY, cache=_FOR_EVER)
        except (OSError, ValueError):
            pass
        raise Refused(HTTPStatus.NOT_FOUND, "no such file")


def _with_base(index: str, base_path: str) -> str:
    """*index* with the path of the UI. Since 2.19 a script of the page guesses it, wrongly below ``/traces``."""
    base = f'<base href="{base_path}/"'
    with_base, count = _BASE.subn(base, index)
    # Of two such elements the first counts.
    return with_base if count else index.replace("<head>", f"<head>{base} />", 1)


def _checked(config: Path) -> object:
    try:
        return json.loads(config.read_text("utf-8"))
    except ValueError as fault:
        raise exc.CommandError(f"{config} is not JSON: {fault}") from None
