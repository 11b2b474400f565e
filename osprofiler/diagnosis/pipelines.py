# SPDX-License-Identifier: Apache-2.0
"""Whether the filter is in its place in the pipelines of the service's PasteDeploy file.

Released services have it after the filter of the request id and in front of authentication, whose own requests are then
in the trace. Pipelines without authentication (version lists, health checks, nova's metadata) have no filter of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from osprofiler.config import switches
from osprofiler.diagnosis import paste_file
from osprofiler.diagnosis.paste_file import PasteFile, Pipeline
from osprofiler.diagnosis.results import Result, Status
from osprofiler.diagnosis.service_config import ServiceConfig, Unusable, fingerprint

_OURS = re.compile(r"profiler(\.\w+)*:WsgiMiddleware\b|^egg:osprofiler\b")
_AUTHENTICATION = re.compile(r"auth(?!url)", re.I)
_REQUEST_ID = re.compile(r"req(uest)?_?id", re.I)

#: The options that name the file: of nova; of cinder, neutron, manila, heat; of glance; of aodh.
_NAMES = {("wsgi", "api_paste_config"), ("paste_deploy", "config_file"), ("api", "paste_config")}
_IN_ANY_GROUP = "api_paste_config"
#: The options that choose an alternative of a composite.
_CHOOSING = (("paste_deploy", "flavor"), ("api", "auth_strategy"), ("DEFAULT", "auth_strategy"))
#: What services take if no option chooses.
_BY_DEFAULT = ("default", "keystone")

_SHOWN = "cors ... request_id ... osprofiler authtoken ... app"


def check(config: ServiceConfig, path: str | None = None) -> Iterator[Result]:
    """The filter in each pipeline of the file *path*, or of the file that the configuration names.

    Raises Unusable if *path* cannot be read.
    """
    if path is not None:
        yield from _in_file(config, paste_file.load(path))
        return
    named, place = _path(config)
    if place is None:
        if named:
            yield Result(
                "paste", Status.FAIL, f"{named}, which the configuration names, is not there", "correct the name"
            )
            return
        text = "not checked: the configuration names no paste file, and there is none next to it"
        advice = "name it with --paste; keystone, placement and ironic have none: their code adds the filter"
        yield Result("paste", Status.OK, text, advice)
        return
    try:
        yield from _in_file(config, paste_file.load(place))
    except Unusable as error:
        yield Result("paste", Status.FAIL, str(error), "correct the file, or name another one with --paste")


def _in_file(config: ServiceConfig, file: PasteFile) -> Iterator[Result]:
    ours = {name for pipeline in file.pipelines for name in pipeline.filters if _is_ours(file, name)}
    ours |= {name for name in file.filters if _is_ours(file, name)}
    used = [pipeline for pipeline in file.pipelines if _is_used(config, pipeline, file)]
    wanted = [pipeline for pipeline in used if _authenticates(file, pipeline) or ours & set(pipeline.filters)]
    without = [pipeline for pipeline in wanted if not ours & set(pipeline.filters)]
    if not wanted or len(without) == len(wanted):
        names = ", ".join(pipeline.name for pipeline in without) or "any pipeline"
        yield Result(
            "paste",
            Status.FAIL,
            f"{file.path}: the filter is not in {names}: no request is traced",
            f"add a section [filter:osprofiler] with paste.filter_factory = osprofiler.web:WsgiMiddleware.factory, and "
            f"the filter to the pipelines: {_SHOWN}",
            {"path": file.path, "without": [pipeline.name for pipeline in without]},
        )
        return
    for pipeline in without:
        text = f"{file.path}: the filter is not in {pipeline.name}: its requests are not traced"
        yield Result("paste", Status.WARN, text, f"add it in front of {_authentication(file, pipeline)}")
    for pipeline in wanted:
        if pipeline not in without:
            yield _place(file, pipeline, next(name for name in pipeline.filters if name in ours))
    for name in sorted(ours):
        yield from _options(config, file, name)


def _place(file: PasteFile, pipeline: Pipeline, name: str) -> Result:
    at = pipeline.filters.index(name)
    before, after = pipeline.filters[:at], pipeline.filters[at + 1 :]
    values = {"path": file.path, "pipeline": pipeline.name, "filters": list(pipeline.filters)}
    text = f"{pipeline.name}: {name} stands"
    if name not in file.filters:
        text = f"{pipeline.name}: there is no section [filter:{name}] in {file.path}: the service does not start"
        return Result("paste", Status.FAIL, text, "add the section", values)
    late = next((each for each in before if _is_authentication(file, each)), None)
    if late is not None:
        text += f" after {late}: refused requests, and the requests of the authentication, are not traced"
        return Result("paste", Status.WARN, text, f"move it in front of {late}", values)
    early = next((each for each in after if _REQUEST_ID.search(each)), None)
    if early is not None:
        text += f" in front of {early}; released services have it behind"
        return Result("paste", Status.WARN, text, f"move it behind {early}", values)
    behind = before[-1] if before else "the server"
    return Result("paste", Status.OK, f"{text} between {behind} and {(*after, pipeline.app)[0]}", values=values)


def _options(config: ServiceConfig, file: PasteFile, name: str) -> Iterator[Result]:
    options = file.filters.get(name, {})
    values = {"path": file.path, "filter": name}
    if not switches.means_on(options.get("enabled", "yes")):
        text = f"{file.path}: [filter:{name}] has enabled = {options['enabled']}: its requests are not traced"
        yield Result("paste", Status.WARN, text, "remove it, so that [profiler] decides", values)
    keys = [key.strip() for key in options.get("hmac_keys", "").split(",") if key.strip()]
    foreign = [fingerprint(key) for key in keys if key not in config.keys]
    if not foreign:
        return
    if config.keys:
        text = f"{file.path}: [filter:{name}] has keys that the configuration does not have: {', '.join(foreign)}"
        advice = "remove hmac_keys from the filter: those of the configuration count"
    else:
        text = f"{file.path}: the keys in [filter:{name}] count: {', '.join(foreign)}"
        advice = "move them to [profiler] hmac_keys: a mutation and a sampler use only these"
    yield Result("paste", Status.WARN, text, advice, {**values, "fingerprints": foreign})


def _is_ours(file: PasteFile, name: str) -> bool:
    factory = file.factory(name)
    return bool(_OURS.search(factory)) or (name == "osprofiler" and not factory)


def _is_authentication(file: PasteFile, name: str) -> bool:
    return bool(_AUTHENTICATION.search(name) or "auth_token" in file.factory(name))


def _authenticates(file: PasteFile, pipeline: Pipeline) -> bool:
    return any(_is_authentication(file, name) for name in pipeline.filters)


def _authentication(file: PasteFile, pipeline: Pipeline) -> str:
    return next(name for name in pipeline.filters if _is_authentication(file, name))


def _is_used(config: ServiceConfig, pipeline: Pipeline, file: PasteFile) -> bool:
    """Whether the service may take *pipeline*: of the alternatives of a composite it takes one."""
    if not pipeline.alternative:
        return True
    names = {each.alternative for each in file.pipelines if each.section == pipeline.section}
    for group, option in _CHOOSING:
        chosen = config.text(group, option)
        if chosen in names:
            return _is_variant(pipeline.alternative, chosen)
    for chosen in _BY_DEFAULT:
        if chosen in names:
            return _is_variant(pipeline.alternative, chosen)
    return True


def _is_variant(alternative: str, chosen: str) -> bool:
    """Whether *alternative* is *chosen*, or one that another option adds to it: cinder's keystone_nolimit."""
    return alternative == chosen or alternative == f"{chosen}_nolimit"


def _path(config: ServiceConfig) -> tuple[str, str | None]:
    """The name of the paste file in the configuration, or by its default; and its path if it is there."""
    named = config.first_text(lambda group, name: (group, name) in _NAMES or name == _IN_ANY_GROUP)
    if named:
        return named, config.conf.find_file(named)
    stems = [Path(file).stem for file in config.files]
    for default in ("api-paste.ini", *(f"{stem}-paste.ini" for stem in stems)):
        path = config.conf.find_file(default)
        if path is not None:
            return default, path
    return "", None
