# SPDX-License-Identifier: Apache-2.0
"""``osprofiler serve`` as a process, and responses over HTTP."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

from tests.unit.wsgi_asking import Response

# The machine's proxy settings are not for 127.0.0.1.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

_ADDRESS = re.compile(r"serving (\S+) at (http://\S+)/(?:,|$)", re.M)


def get(url: str, method: str = "GET", **headers: str) -> Response:
    """The response to one request."""
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        response = _opener.open(request, timeout=60)
    except urllib.error.HTTPError as refused:
        response = refused
    with response:
        names = {name.lower(): value for name, value in response.headers.items()}
        return Response(response.status, names, response.read().decode())


class Serving(NamedTuple):
    """A running ``osprofiler serve``."""

    url: str  # without a slash at the end
    process: subprocess.Popen[str]
    first_line: str


@contextlib.contextmanager
def serving(*arguments: str, how: signal.Signals = signal.SIGTERM) -> Iterator[Serving]:
    """Run ``osprofiler serve`` on a free port for the length of a block. *how* must end it clean, without a word."""
    command = [sys.executable, "-m", "osprofiler.cmd.shell", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        try:
            match = _ADDRESS.search(line)
            assert match, process.stderr.read()
            yield Serving(match[2], process, line)
        finally:
            process.send_signal(how)
            rest, complaints = process.communicate(timeout=60)
        assert (process.returncode, rest, complaints) == (0, "", "")
