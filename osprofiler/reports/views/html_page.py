# SPDX-License-Identifier: Apache-2.0
"""Put together a page from its parts: one HTML file with its style, its script, and its data as JSON.

Text of traces is untrusted. It is in the page as JSON, in which no character can end the script element. A page's
script only adds it as text nodes. The page's policy forbids other scripts and all loading.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from osprofiler.reports import wording

_PAGE = Path(__file__).parent / "page"

# Escapes in JSON: a backslash, a pair of surrogates, a single surrogate. A single one is not a character and can crash
# a browser.
_SURROGATES = re.compile(r"\\\\|\\ud[89ab]..\\ud[c-f]..|\\ud[89a-f]..")

_ESCAPES = [(char, f"\\u{ord(char):04x}") for char in "<>&"]


def text(
    frame: str, styles: Sequence[str], scripts: Sequence[str], title: str, data: Iterable[str], services: str = ""
) -> Iterator[str]:
    """The page, in pieces. *frame*, *styles* and *scripts* are files of the folder ``page``; *data*: pieces of JSON.

    *services* is markup, in which the caller has escaped the text of traces.
    """
    script = _joined(scripts)
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    before, after = (_PAGE / frame).read_text("utf-8").split("@DATA@")
    yield _head(styles, title, f"script-src 'sha256-{digest}'; ") + before.replace("@SERVICES@", services)
    yield from data
    yield after.replace("@SCRIPT@", script)


def static(frame: str, styles: Sequence[str], title: str, body: str, *, has_form: bool = False) -> str:
    """A page without a script. *body* is markup, in which the caller has escaped the text of traces.

    *has_form*: it may send forms to the server that it comes from.
    """
    text = (_PAGE / frame).read_text("utf-8").replace("@TITLE@", _escaped(title))
    return _head(styles, title, forms="'self'" if has_form else "'none'") + text.replace("@BODY@", body)


def _head(styles: Sequence[str], title: str, scripts: str = "", forms: str = "'none'") -> str:
    """All that is before the body. *scripts*: what the policy of the page says of scripts; "" forbids them.

    *forms*: where the policy lets forms go.
    """
    head = (_PAGE / "head.html").read_text("utf-8").replace("@SCRIPTS@", scripts).replace("@FORMS@", forms)
    style = "".join((_PAGE / name).read_text("utf-8") for name in styles)
    return head.replace("@STYLE@", style).replace("@TITLE@", _escaped(title))


def _escaped(title: str) -> str:
    return html.escape(wording.one_line(title))


def _joined(scripts: Sequence[str]) -> str:
    """The scripts in one function, so that the browser has no global names of them."""
    parts = "\n".join((_PAGE / name).read_text("utf-8") for name in scripts)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def json_text(value: Any) -> str:
    """JSON for a script element: ``</script>`` and ``<!--`` cannot occur in it."""
    try:
        text = _encode(value)
    except ValueError:  # NaN and infinities: Python's JSON has them, a browser's does not
        text = _encode(json.loads(json.dumps(value, default=str, skipkeys=True), parse_constant=str))
    if "\\ud" in text:
        text = _SURROGATES.sub(lambda match: "\\ufffd" if len(match[0]) == 6 else match[0], text)
    for char, escape in _ESCAPES:  # characters outside of ASCII are already escaped
        if char in text:
            text = text.replace(char, escape)
    return text


_encode = json.JSONEncoder(default=str, separators=(",", ":"), allow_nan=False, skipkeys=True).encode
