# SPDX-License-Identifier: Apache-2.0
"""Our public names are those in ``api.txt``, are documented, and have useful types."""

import importlib
import inspect
import re
import typing

import pytest

from tests.conformance import api

#: The public signatures with ``Any``, and the reasons.
ANY = {
    r"(dict|Mapping)\[(str|Any), Any\]": "records, info, tags and messages hold whatever their writers put there",
    r"\*\*?(args|kwargs|fields|local_conf): Any": "is handed on, or ignored as osprofiler 4 ignores it",
    r"Callable\[(\.\.\.|\[Any\]), (Any|WsgiMiddleware)\]": "a function of the service, or of PasteDeploy, as it is",
    r"\b(conf|context|ctxt|manager|cell_mapping|exception_context): Any": "an object of oslo or nova, as it is",
    r"\b(base|entity|client|server|sqlalchemy|engine|sess|self|request): Any": "an object of an optional library",
    r"\b(codec|carrier): Any|Iterator\[Any\]|list\[Any\]": "OpenTracing says nothing of a carrier's type",
    r"Sequence\[Any\]": "a driver of osprofiler 4 gives its payloads in a form of its own",
    r"-> Any": "what the service's own function or object returns",
}


def test_the_public_names_are_as_written_down() -> None:
    """To change names on purpose, run ``python -m tests.conformance.api``."""
    assert api.text() == api.FILE.read_text()


def test_any_has_a_reason() -> None:
    used = set()
    for line in api.FILE.read_text().splitlines():
        left = line
        for pattern in ANY:
            shorter = re.sub(pattern, "", left)
            if shorter != left:
                used.add(pattern)
            left = shorter
        left = re.sub(r"^  \w+: dict\[str, Any\]", "", left)
        assert "Any" not in left, line
    assert used == set(ANY), "no longer needed"


@pytest.mark.parametrize("name", api.MODULES)
def test_what_is_public_is_documented(name: str) -> None:
    """A method may inherit its docstring."""
    module = importlib.import_module(name)
    assert module.__doc__
    bare = []
    for public in api.names(module):
        value = getattr(module, public)
        if not callable(value) or typing.get_origin(value) is not None:  # an alias of a type has no docstring
            continue
        if not inspect.getdoc(value):
            bare.append(public)
        if inspect.isclass(value) and value.__module__.startswith("osprofiler"):
            members = {
                each
                for each, member in vars(value).items()
                if inspect.isroutine(member) and not isinstance(member, api.FIXTURE)
            }
            bare += [
                f"{public}.{each}"
                for each in members
                if not each.startswith(("_", "test_")) and not inspect.getdoc(getattr(value, each))
            ]
    assert bare == []
