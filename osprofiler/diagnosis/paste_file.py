# SPDX-License-Identifier: Apache-2.0
"""Read the pipelines of a PasteDeploy file, as the released services write it.

A pipeline is the ``pipeline`` of a section ``[pipeline:NAME]``, or an alternative of a section ``[composite:NAME]``,
of which the service takes one (``keystone = cors ... osprofiler authtoken ... app``). A composite that maps paths to
applications (``/v2: app``) is not a pipeline.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from osprofiler.diagnosis.service_config import Unusable

_FACTORIES = ("paste.filter_factory", "paste.filter_app_factory", "use")
#: Options of a section that belong to PasteDeploy.
_RESERVED = frozenset(("use", "paste.composite_factory", "paste.app_factory", "filter-with", "set"))


class Pipeline(NamedTuple):
    """The filters around an application, from the outermost to the innermost."""

    section: str  # the name of the section
    alternative: str  # the name of the alternative in a composite; empty in a section of its own
    filters: tuple[str, ...]
    app: str

    @property
    def name(self) -> str:
        """The pipeline's name, for people."""
        return f"{self.section} {self.alternative}".rstrip()


class PasteFile(NamedTuple):
    """The content of a PasteDeploy file."""

    path: str
    pipelines: tuple[Pipeline, ...]
    filters: Mapping[str, Mapping[str, str]]  # the options of each section [filter:NAME]

    def factory(self, name: str) -> str:
        """What makes the filter *name*; empty if the file does not say."""
        section = self.filters.get(name, {})
        return next((section[option] for option in _FACTORIES if option in section), "")


def load(path: str) -> PasteFile:
    """Read the file *path*. Raises Unusable."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except OSError as error:
        raise Unusable(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Unusable(f"{path} is not text in UTF-8") from None
    except configparser.Error as error:
        raise Unusable(f"{path} is malformed{_place(error)}") from None
    sections = {name: dict(parser.items(name)) for name in parser.sections()}
    filters = {name.partition(":")[2].strip(): sections[name] for name in sections if name.startswith("filter:")}
    return PasteFile(path, tuple(_pipelines(sections, set(parser.defaults()))), filters)


def _pipelines(sections: Mapping[str, Mapping[str, str]], defaults: set[str]) -> Iterator[Pipeline]:
    for title, options in sections.items():
        kind, _, name = (part.strip() for part in title.partition(":"))
        if kind == "pipeline":
            yield from _pipeline(name, "", options.get("pipeline", ""))
        elif kind == "composite":
            for option, value in options.items():
                if not option.startswith(("/", "http:", "https:", "set ")) and option not in _RESERVED | defaults:
                    yield from _pipeline(name, option, value)


def _pipeline(section: str, alternative: str, value: str) -> Iterator[Pipeline]:
    *filters, app = value.split() or [""]
    if app:
        yield Pipeline(section, alternative, tuple(filters), app)


def _place(error: configparser.Error) -> str:
    """The number of the line; the text of the *error* also quotes the line, which may contain a secret."""
    number = getattr(error, "lineno", None) or next((number for number, _ in getattr(error, "errors", ())), None)
    return f" in line {number}" if number else ""
