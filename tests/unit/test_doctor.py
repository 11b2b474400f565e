# SPDX-License-Identifier: Apache-2.0
"""Each check of ``osprofiler doctor`` on configurations that are right and wrong."""

import hashlib
import os
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from osprofiler.diagnosis import checks, keys, options, pipelines, queue, store, traced_layers, tracing
from osprofiler.diagnosis.results import Result, Status, worst
from osprofiler.diagnosis.service_config import ServiceConfig, Unusable, fingerprint
from osprofiler.drivers import base
from osprofiler.drivers.abilities import Can
from osprofiler.drivers.errors import StoreUnavailable
from osprofiler.drivers.sqlalchemy_driver import SQLAlchemyDriver
from osprofiler.steering.signature import signed

OK, WARN, FAIL = Status.OK, Status.WARN, Status.FAIL

KEY, OTHER_KEY = "a key of thirty-two characters!!", "another key that is as long....."


def write(folder: Path, text: str, name: str = "nova.conf") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def config(folder: Path, text: str = "", name: str = "nova.conf", **named: Any) -> ServiceConfig:
    """The configuration with *text* in its group profiler."""
    return ServiceConfig([write(folder, f"[profiler]\nenabled = true\n{text}", name)], **named)


def told(results: Iterator[Result]) -> list[tuple[str, Status]]:
    return [(result.text, result.status) for result in results]


# Reading


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[profiler]\nhmac_keys\n", 2),
        ("hmac_keys = Zq7xSecret\n", 1),
        ("[profiler]\n\n[profi Zq7xSecret\n", 3),
    ],
)
def test_a_malformed_file_is_one_line_without_its_text(text: str, line: int, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(Unusable) as caught:
        ServiceConfig([path])
    assert str(caught.value) == f"{path} is malformed in line {line}"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for files, folders, text in (
        ([str(tmp_path / "none.conf")], [], "there is no file"),
        ([], [str(tmp_path / "none")], "there is no folder"),
        ([str(tmp_path)], [], "cannot read"),
    ):
        with pytest.raises(Unusable, match=text):
            ServiceConfig(files, folders)
    (tmp_path / "nova.conf").write_bytes(b"[profiler]\nhmac_keys = \xff\xfe\n")
    with pytest.raises(Unusable, match="UTF-8"):
        ServiceConfig([str(tmp_path / "nova.conf")])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "[profiler]\n")
    os.chmod(path, 0)
    with pytest.raises(Unusable, match="no permission"):
        ServiceConfig([path])


def test_later_files_and_folders_override(tmp_path: Path) -> None:
    first = write(tmp_path, "[profiler]\nenabled = true\nqueue_spans = 1\n")
    second = write(tmp_path, "[profiler]\nenabled = false\n", "more.conf")
    (tmp_path / "conf.d").mkdir()
    third = write(tmp_path / "conf.d", "[profiler]\nqueue_spans = 3\n")
    read = ServiceConfig([first, second], [str(tmp_path / "conf.d")])
    assert (read.settings.enabled, read.option("queue_spans")) == (False, 3)
    assert read.files == [first, second, third]
    assert [read.source(name) for name in ("enabled", "queue_spans", "sampler")] == [second, third, "default"]


def test_a_setting_of_the_environment_and_one_with_an_old_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_PROFILER__SAMPLER", "const:1")
    path = write(tmp_path, "[profiler]\nprofiler_enabled = true\n")
    read = ServiceConfig([path])
    assert (read.settings.enabled, read.settings.sampler) == (True, "const:1")
    assert (read.source("enabled"), read.source("sampler")) == (path, "OS_PROFILER__SAMPLER")


def test_a_fingerprint_is_of_the_secret() -> None:
    assert fingerprint(KEY) == hashlib.sha256(KEY.encode()).hexdigest()[:8]


# What is on


def test_what_is_on_and_where_it_is_set(tmp_path: Path) -> None:
    read = config(tmp_path, "sampler = probabilistic:0.01\ntrust_incoming = true\npropagation = w3c\n")
    where = f"(in {tmp_path}/nova.conf)"
    assert told(tracing.check(read)) == [
        (f"on: enabled = true {where}", OK),
        (f"sampler = probabilistic:0.01 {where}, and requests with a header signed by one of hmac_keys", OK),
        (f"unsigned context is continued too: trust_incoming = all {where}", OK),
        (f"w3c {where}", OK),
    ]


def test_nothing_is_set(tmp_path: Path) -> None:
    results = list(tracing.check(ServiceConfig([write(tmp_path, "[DEFAULT]\n")])))
    assert [result.status for result in results] == [WARN, OK, OK, OK]
    assert results[0].text == "off: enabled = false (by default)"
    assert results[1].text.startswith("none: ")


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("sampler = sometimes", FAIL, "'sometimes' is not a sampler"),
        ("sampler = remote:http://user:Zq7xSecret@h/sampling", OK, "remote:http://user:***@h/sampling"),
        ("propagation =", WARN, "traces end"),
        ("rpc_plain_peers = true", WARN, "contain the secret key"),
    ],
)
def test_settings_that_deserve_a_word(text: str, status: Status, words: str, tmp_path: Path) -> None:
    results = [result for result in tracing.check(config(tmp_path, text)) if words in result.text]
    assert [result.status for result in results] == [status]
    assert "Zq7xSecret" not in repr(results)


POLICY = """
services:
  nova-compute:
    enabled: false
    operations:
      "rpc *": const:1
  "nova-*":
    sampler: ratelimiting:2
    trace_requests: true
"""


def test_the_rules_of_the_policy(tmp_path: Path) -> None:
    text = "rules: [{reason: r, user: a, sample: 'const:1'}, {reason: s, sample: 'const:0'}]"
    policy = write(tmp_path, text, "policy.yaml")
    results = {result.check: result for result in tracing.check(config(tmp_path, f"policy_file = {policy}"))}
    assert f"2 rules in {policy}" in results["sampler"].text
    rules = ["r: const:1 for user: a", "s: const:0 for all requests"]
    assert results["policy"].values["settings"] == {"rules": rules}


@pytest.mark.parametrize(
    ("named", "on", "sampler", "requests"),
    [
        ({"service": "nova-compute"}, False, "ratelimiting:2", True),
        ({"project": "nova", "service": "api"}, True, "ratelimiting:2", True),
        ({"service": "glance-api"}, True, "", False),
        ({}, True, "", False),
    ],
)
def test_the_entries_of_the_policy_for_a_service(
    named: dict[str, str], on: bool, sampler: str, requests: bool, tmp_path: Path
) -> None:
    policy = write(tmp_path, POLICY, "policy.yaml")
    read = config(tmp_path, f"policy_file = {policy}", **named)
    assert (read.settings.enabled, read.settings.sampler) == (on, sampler)
    assert traced_layers.switched(read)["trace_requests"] == requests
    by_check = {result.check: result for result in tracing.check(read)}
    assert by_check["enabled"].status is (OK if on else WARN)
    assert by_check["policy"].status is OK
    assert by_check["policy"].values["service"] == read.name
    if not on:
        assert "no restart is needed" in by_check["enabled"].advice
        assert policy in by_check["enabled"].text


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("services:\n  a:\n    sampler: x\n    nothing: 1\n", FAIL, "line 3: sampler: 'x' is not a sampler"),
        ("services:\n  '*': {sampler: const:0}\n  a: {sampler: const:1}\n", WARN, "'a': sampler"),
        (None, FAIL, "No such file"),
    ],
)
def test_a_policy_that_is_wrong(text: "str | None", status: Status, words: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml" if text is None else write(tmp_path, text, "policy.yaml")
    (result,) = (each for each in tracing.check(config(tmp_path, f"policy_file = {path}")) if each.check == "policy")
    assert result.status is status
    assert words in result.text


@pytest.mark.parametrize(
    ("text", "key", "status", "words"),
    [
        (signed(POLICY.encode(), KEY), KEY, OK, "signed, "),
        (signed(POLICY.encode(), KEY), "another", FAIL, "its signature is wrong"),
        (POLICY.encode(), KEY, FAIL, "it is not signed"),
        (signed(POLICY.encode(), KEY), "", OK, "policy.yaml"),
        (b"\xff\xfe", "", FAIL, "it is not text in UTF-8"),
    ],
)
def test_the_signature_of_a_policy(text: bytes, key: str, status: Status, words: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(text)
    read = config(tmp_path, f"policy_file = {path}\npolicy_key = {key}", service="glance-api")
    (result,) = (each for each in tracing.check(read) if each.check == "policy")
    assert (result.status, words in result.text) == (status, True)
    if status is FAIL and key:
        assert "osprofiler policy sign" in result.advice


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://op:hunter2hunter2@127.0.0.1:1/policy", "http://op:***@127.0.0.1:1/policy: "),
        ("gopher://127.0.0.1/policy", "is not a policy"),
    ],
)
def test_a_source_that_cannot_be_read(address: str, words: str, tmp_path: Path) -> None:
    (result,) = (each for each in tracing.check(config(tmp_path, f"policy_file = {address}")) if each.check == "policy")
    assert (result.status, words in result.text) == (FAIL, True)
    assert "hunter2" not in f"{result}"


def test_a_policy_cannot_turn_on_what_was_started_without_tracing(tmp_path: Path) -> None:
    policy = write(tmp_path, "services: {'*': {enabled: true}}", "policy.yaml")
    read = ServiceConfig([write(tmp_path, f"[profiler]\nenabled = false\npolicy_file = {policy}\n")])
    result = next(tracing.check(read))
    assert (result.check, result.status) == ("enabled", FAIL)


# Layers


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("", False),
        ("trace_requests = true", True),
        ("instrument = requests", True),
        ("instrument = requests\ntrace_requests = false", False),
    ],
)
def test_layers_by_their_switches(text: str, on: bool, tmp_path: Path) -> None:
    result = next(traced_layers.check(config(tmp_path, text)))
    assert ("trace_requests" in result.values["on"]) == on
    assert ("trace_requests" in result.values["off"]) != on


def test_names_to_instrument(tmp_path: Path) -> None:
    by_status = {
        each.status: each for each in traced_layers.check(config(tmp_path, "instrument = messaging, mesaging"))
    }
    assert by_status[OK].text == "messaging"
    assert by_status[FAIL].text == "not known: mesaging"


@pytest.mark.parametrize(
    ("text", "project", "requests", "libraries"),
    [
        ("", "nova", True, "messaging, oslo_service"),
        ("", "glance", True, "no library is named"),
        ("", "shop", True, "messaging"),
        ("", None, False, "what the profile of the project names"),
        ("points = auto, glance\ninstrument = futures", None, True, "futures, what the profile of the project names"),
        ("points =", "nova", False, "no library is named"),
        ("instrument = futures", "nova", False, "futures"),
    ],
)
def test_what_the_profile_of_the_project_turns_on(
    text: str, project: str | None, requests: bool, libraries: str, tmp_path: Path
) -> None:
    by_check = {each.check: each for each in traced_layers.check(config(tmp_path, text, project=project))}
    assert ("trace_requests" in by_check["layers"].values["on"]) == requests
    assert by_check["instrument"].text == libraries
    # A service that follows this advice has no profile any more.
    assert ("add messaging" in by_check["instrument"].advice) == (text in ("points =", "instrument = futures"))


# Options


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("", OK, "are known"),
        ("hmac_kyes = Zq7xSecret", WARN, "did you mean hmac_keys?"),
        ("Zq7xSecret=", WARN, "[profiler] *** in "),
        ("profiler_enabled = true", WARN, "deprecated: its name is enabled"),
        ("queue_spans = many", FAIL, "[profiler] queue_spans: invalid literal"),
        ("queue_bytes = 0", FAIL, "[profiler] queue_bytes: Should be greater than or equal to 1"),
        ("trace_arguments = some", FAIL, "[profiler] trace_arguments"),
        ("propagation = w3c, morse", FAIL, "unknown format 'morse'"),
        ("mask_patterns = (", FAIL, "'(' is not used"),
        ("scope_manager = nowhere:Manager", FAIL, "ModuleNotFoundError"),
        ("scope_manager = opentracing:ScopeManager", OK, "are known"),
        ("hmac_keys = Zq7x$Secret", FAIL, "[profiler] hmac_keys: $ begins the name of an option"),
        ("[profiler_jaeger]\nservice_prefix = x", WARN, "[profiler_jaeger] service_prefix"),
    ],
)
def test_options(text: str, status: Status, words: str, tmp_path: Path) -> None:
    read = ServiceConfig([write(tmp_path, f"[profiler]\n{text}\n")])
    (result,) = options.check(read)
    assert result.status is status
    assert words in result.text
    shown = repr(result).replace(str(tmp_path), "")  # the folder has the test's name
    assert "Zq7x" not in shown
    assert "Secret" not in shown


@pytest.mark.parametrize(
    ("project", "status"), [(None, OK), ("Zaqar", OK), ("zaqar", OK), ("nova", WARN), ("mistral", WARN)]
)
def test_an_option_that_the_service_registers_itself(project: str | None, status: Status, tmp_path: Path) -> None:
    read = ServiceConfig([write(tmp_path, "[profiler]\ntrace_wsgi_transport = true\n")], project=project)
    (result,) = options.check(read)
    assert result.status is status


@pytest.mark.parametrize(
    ("project", "text", "warned"),
    [
        ("Zaqar", "", True),
        ("Zaqar", "trace_wsgi_transport = no", True),
        ("Zaqar", "trace_wsgi_transport = True", False),
        ("nova", "", False),
    ],
)
def test_zaqars_own_switch_of_requests(project: str, text: str, warned: bool, tmp_path: Path) -> None:
    results = traced_layers.check(config(tmp_path, text, project=project))
    warnings = [result.text for result in results if result.status is WARN]
    assert [line for line in warnings if "no web request is traced" in line] == warnings
    assert bool(warnings) is warned


# Keys


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ("", [FAIL]),
        ("hmac_keys = SECRET_KEY", [FAIL]),
        (f"hmac_keys = {KEY}, SECRET_KEY", [FAIL]),
        ("hmac_keys = fifteen bytes..", [FAIL]),
        ("hmac_keys = sixteen bytes...", [OK]),
        ("hmac_keys = ä", [FAIL]),
        (f"hmac_keys = {KEY}, {OTHER_KEY}", [OK]),
        ("hmac_keys =", [FAIL]),
        ("hmac_keys =\nsampler = const:1", [WARN]),
    ],
)
def test_keys(text: str, statuses: list[Status], tmp_path: Path) -> None:
    results = list(keys.check(config(tmp_path, text)))
    assert [result.status for result in results] == statuses
    for key in (KEY, OTHER_KEY, "teen bytes"):
        assert key not in repr(results)


@pytest.mark.parametrize(
    ("here", "there", "status"),
    [
        (KEY, KEY, OK),
        (f"{KEY},{OTHER_KEY}", f"{OTHER_KEY}", OK),
        (KEY, OTHER_KEY, FAIL),
        (KEY, "", FAIL),
    ],
)
def test_keys_that_services_share(here: str, there: str, status: Status, tmp_path: Path) -> None:
    other = config(tmp_path, f"hmac_keys = {there}", "glance-api.conf")
    (_, result) = keys.check(config(tmp_path, f"hmac_keys = {here}"), [other])
    assert result.status is status
    assert "glance-api.conf" in result.text
    assert {KEY, OTHER_KEY}.isdisjoint(repr(result).split("'"))


@pytest.mark.parametrize(
    ("keys_here", "words"),
    [
        (KEY, None),
        (f"{KEY}, {OTHER_KEY}", "is also in hmac_keys: its limits have no effect"),
        ("", "hmac_keys is empty: a trace that the key support of the policy asks for ends in this service"),
    ],
)
def test_keys_with_limits(keys_here: str, words: str | None, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"keys: {{support: {{secret: {OTHER_KEY}}}}}")
    results = list(keys.check(config(tmp_path, f"hmac_keys = {keys_here}\npolicy_file = {policy}")))
    failed = [result.text for result in results if result.status is FAIL]
    assert [words in text for text in failed if words] == [True] * len(failed)
    assert bool(failed) is (words is not None)
    assert OTHER_KEY not in repr(results)


def test_a_sampler_signs_with_the_first_key(tmp_path: Path) -> None:
    other = config(tmp_path, f"hmac_keys = {OTHER_KEY}", "glance-api.conf")
    read = config(tmp_path, f"hmac_keys = {KEY}, {OTHER_KEY}\nsampler = const:1")
    (_, result) = keys.check(read, [other])
    assert result.status is WARN
    assert "not the first one" in result.text


@pytest.mark.parametrize(
    ("here", "there", "words"),
    [
        ("redis://:Zq7xSecret@h", "redis://:Zq7xSecret@other", "redis://:***@h here, redis://:***@other in "),
        ("redis://:Zq7xSecret@h", "redis://:another-Zq7xSecret@h", "another password"),
    ],
)
def test_stores_that_differ(here: str, there: str, words: str, tmp_path: Path) -> None:
    other = config(tmp_path, f"hmac_keys = {KEY}\nconnection_string = {there}", "glance-api.conf")
    (_, _, result) = keys.check(config(tmp_path, f"hmac_keys = {KEY}\nconnection_string = {here}"), [other])
    assert (result.check, result.status) == ("store", WARN)
    assert words in result.text
    assert "Zq7xSecret" not in result.text


# Paste

SECTIONS = """
[composite:osapi]
use = call:shop.api:urlmap
/: versions
/v2: api

[pipeline:versions]
pipeline = cors versionsapp

[app:versionsapp]
paste.app_factory = shop.api:versions

[app:shop]
paste.app_factory = shop.api:app

[filter:request_id]
paste.filter_factory = oslo_middleware:RequestId.factory

[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
"""
FILTER = "[filter:osprofiler]\npaste.filter_factory = osprofiler.web:WsgiMiddleware.factory\n"
PIPELINE = "[pipeline:api]\npipeline = cors request_id osprofiler authtoken shop\n"


def pasted(folder: Path, text: str, options: str = f"hmac_keys = {KEY}") -> list[Result]:
    return list(pipelines.check(config(folder, options), write(folder, SECTIONS + text, "api-paste.ini")))


def test_the_filter_in_its_place(tmp_path: Path) -> None:
    (result,) = pasted(tmp_path, FILTER + PIPELINE)
    assert result[:3] == ("paste", OK, "api: osprofiler stands between request_id and authtoken")


@pytest.mark.parametrize(
    ("filters", "status", "words"),
    [
        ("osprofiler authtoken shop", OK, "between the server and authtoken"),
        ("request_id osprofiler shop", OK, "between request_id and shop"),
        ("request_id authtoken osprofiler shop", WARN, "stands after authtoken"),
        ("osprofiler request_id authtoken shop", WARN, "in front of request_id"),
        ("request_id authtoken shop", FAIL, "not in api: no request is traced"),
        ("shop", FAIL, "not in any pipeline"),
    ],
)
def test_the_place_of_the_filter(filters: str, status: Status, words: str, tmp_path: Path) -> None:
    (result,) = pasted(tmp_path, f"{FILTER}[pipeline:api]\npipeline = {filters}\n")
    assert result.status is status
    assert words in result.text


@pytest.mark.parametrize(
    "factory",
    [
        "paste.filter_factory = nova.profiler:WsgiMiddleware.factory",
        "paste.filter_factory = designate.common.profiler:WsgiMiddleware.factory",
        "use = egg:osprofiler",
    ],
)
def test_the_filter_of_a_service_and_under_another_name(factory: str, tmp_path: Path) -> None:
    text = f"[filter:tracing]\n{factory}\n{PIPELINE.replace('osprofiler', 'tracing')}"
    (result,) = pasted(tmp_path, text)
    assert (result.status, result.values["filters"]) == (OK, ["cors", "request_id", "tracing", "authtoken"])


def test_a_filter_without_a_section(tmp_path: Path) -> None:
    (result,) = pasted(tmp_path, PIPELINE)
    assert result.status is FAIL
    assert "no section [filter:osprofiler]" in result.text


COMPOSITE = """
[composite:api]
use = call:shop.api:pipeline_factory
noauth = request_id noauth shop
keystone = request_id osprofiler authtoken shop
keystone_nolimit = request_id authtoken shop
"""


@pytest.mark.parametrize(
    ("strategy", "statuses"),
    [("", [WARN, OK]), ("auth_strategy = keystone", [WARN, OK]), ("auth_strategy = noauth", [FAIL])],
)
def test_the_alternative_that_the_service_takes(strategy: str, statuses: list[Status], tmp_path: Path) -> None:
    read = config(tmp_path, f"hmac_keys = {KEY}\n[DEFAULT]\n{strategy}\n")
    results = list(pipelines.check(read, write(tmp_path, SECTIONS + FILTER + COMPOSITE, "api-paste.ini")))
    assert [result.status for result in results] == statuses


@pytest.mark.parametrize(
    ("filter_options", "options", "words"),
    [
        (f"hmac_keys = {OTHER_KEY}", f"hmac_keys = {KEY}", "keys that the configuration does not have"),
        (f"hmac_keys = {KEY},{OTHER_KEY}", f"hmac_keys = {KEY}", "keys that the configuration does not have"),
        (f"hmac_keys = {OTHER_KEY}", "hmac_keys =", "the keys in [filter:osprofiler] count"),
        ("enabled = no", f"hmac_keys = {KEY}", "enabled = no: its requests are not traced"),
        ("enabled =", f"hmac_keys = {KEY}", "enabled = : its requests are not traced"),
    ],
)
def test_the_options_of_the_filter(filter_options: str, options: str, words: str, tmp_path: Path) -> None:
    results = pasted(tmp_path, f"{FILTER}{filter_options}\n{PIPELINE}", options)
    assert [result.status for result in results] == [OK, WARN]
    assert words in results[1].text
    assert OTHER_KEY not in repr(results)
    assert ("enabled" in filter_options) or fingerprint(OTHER_KEY) in results[1].text


def test_options_of_the_filter_that_are_right(tmp_path: Path) -> None:
    (result,) = pasted(tmp_path, f"{FILTER}hmac_keys = {KEY}\nenabled = yes\n{PIPELINE}")
    assert result.status is OK


@pytest.mark.parametrize(
    ("options", "file"),
    [
        ("[wsgi]\napi_paste_config = {folder}/shop.ini", "shop.ini"),
        ("[DEFAULT]\napi_paste_config = shop.ini", "shop.ini"),
        ("[service:api]\napi_paste_config = shop.ini", "shop.ini"),
        ("[paste_deploy]\nconfig_file = shop.ini", "shop.ini"),
        ("[api]\npaste_config = shop.ini", "shop.ini"),
        ("", "api-paste.ini"),
        ("", "nova-paste.ini"),
    ],
)
def test_the_file_that_the_configuration_names(options: str, file: str, tmp_path: Path) -> None:
    write(tmp_path, SECTIONS + FILTER + PIPELINE, file)
    read = config(tmp_path, f"hmac_keys = {KEY}\n{options.format(folder=tmp_path)}\n")
    assert [result.status for result in pipelines.check(read)] == [OK]
    assert next(pipelines.check(read)).values["path"] == str(tmp_path / file)


def test_no_file_and_a_file_that_is_gone(tmp_path: Path) -> None:
    (result,) = pipelines.check(config(tmp_path))
    assert (result.status, "not checked" in result.text) == (OK, True)
    (result,) = pipelines.check(config(tmp_path, "[wsgi]\napi_paste_config = gone.ini\n"))
    assert (result.status, "gone.ini" in result.text) == (FAIL, True)


def test_a_malformed_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[filter:osprofiler]\nhmac_keys\n", "api-paste.ini")
    with pytest.raises(Unusable, match=r"malformed in line 2$"):
        list(pipelines.check(config(tmp_path), path))
    assert [result.status for result in pipelines.check(config(tmp_path))] == [FAIL]  # it is next to nova.conf
    with pytest.raises(Unusable, match="No such file"):
        list(pipelines.check(config(tmp_path), str(tmp_path / "none")))


# Queue


@pytest.mark.parametrize(
    ("store", "text", "rate", "status"),
    [
        ("redis://h", "", None, OK),
        ("redis://h", "", 1_000, OK),
        ("redis://h", "", 10_000, WARN),
        ("jaeger://h", "", 3_000, OK),
        ("redis://h", "", 3_000, WARN),  # two records a span
        ("jaeger://h", "queue_spans = 1000", 50, OK),
        ("jaeger://h", "queue_spans = 1000", 500, WARN),
        ("jaeger://h", "queue_spans = 1000", 5_000, FAIL),  # fewer than come in one interval
        ("jaeger://h", "queue_spans = 1000\nflush_interval = 0.1", 5_000, WARN),
        ("jaeger://h", "queue_bytes = 1700", 5, FAIL),
        ("nonsense", "", None, OK),
    ],
)
def test_queue(store: str, text: str, rate: "float | None", status: Status, tmp_path: Path) -> None:
    (result,) = queue.check(config(tmp_path, f"connection_string = {store}\n{text}"), rate)
    assert result.status is status


def test_a_queue_says_which_bound_is_narrow(tmp_path: Path) -> None:
    read = config(tmp_path, "connection_string = jaeger://h\nqueue_spans = 5000")
    (result,) = queue.check(read, 100)
    assert (result.values["spans"], result.values["bound"], result.values["outage_s"]) == (5000, "queue_spans", 50)
    assert "50.0 s of 100 spans a second" in result.text


# Store


def stored(folder: Path, connection_string: str, **named: Any) -> Result:
    (result,) = store.check(config(folder, f"connection_string = {connection_string}"), **named)
    return result


def test_a_store_that_answers(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/traces.db"
    base.get_driver(url).write([])
    sqlite3.connect(tmp_path / "traces.db").close()
    result = stored(tmp_path, url)
    assert (result.status, result.advice) == (OK, "")
    assert {"write_ms", "read_ms", "delete_ms"} <= result.values.keys()
    assert base.get_driver(url).list_traces() == []


def test_an_account_that_may_not_look_at_the_indexes_is_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: base.Driver) -> str:
        raise StoreUnavailable("not authorized to list the indexes")

    url = f"sqlite:///{tmp_path}/traces.db"
    base.get_driver(url).write([])
    sqlite3.connect(tmp_path / "traces.db").close()
    monkeypatch.setattr(SQLAlchemyDriver, "advice", refuse)
    assert stored(tmp_path, url).status is OK


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    result = stored(tmp_path, f"sqlite:///{tmp_path}/traces.db")
    assert (result.status, "not checked" in result.text) == (WARN, True)
    assert [path.name for path in tmp_path.iterdir()] == ["nova.conf"]
    assert stored(tmp_path, "sqlite:////nowhere/traces.db").status is FAIL


@pytest.mark.parametrize(
    ("connection_string", "words"),
    [
        ("nonsense", "no driver for 'nonsense://'"),
        ("unknown://user:Zq7xSecret@h", "no driver for 'unknown://user:***@h'"),
        ("redis:/user:Zq7xSecret@h", "malformed"),
        ("redis://127.0.0.1:1?nothing=1", "nothing"),
        ("redis://:Zq7xSecret@127.0.0.1:1", "redis://:***@127.0.0.1:1: cannot write: "),
        ("jaeger+http://127.0.0.1:1", "Connection refused"),
        ("jaeger://127.0.0.1:1", "nobody listens there"),
        ("otlp://127.0.0.1:1", "Connection refused"),
        ("sqlite://", "names no file"),
    ],
)
def test_stores_that_cannot_be_used(connection_string: str, words: str, tmp_path: Path) -> None:
    result = stored(tmp_path, connection_string)
    assert result.status is FAIL
    assert words in result.text
    assert result.advice
    assert "\n" not in result.text
    assert "Zq7xSecret" not in repr(result)


def test_a_store_that_takes_a_connection_and_is_silent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        result = stored(tmp_path, url, deadline_s=0.2)
    assert result.status is FAIL
    assert result.text == f"{url}: no answer within 0.2 s"


class Forgetful(base.Driver):
    """Takes records, and has none of them."""

    can = frozenset({Can.WRITE, Can.READ, Can.READ_RECORDS})

    @classmethod
    def get_name(cls) -> str:
        return "forgetful"

    def notify(self, info: dict[str, Any], **kwargs: Any) -> None:
        """It is gone."""

    def read(self, base_id: str) -> list[dict[str, Any]]:
        return []


class Keeping(Forgetful):
    """Keeps records, and deletes none."""

    can = frozenset({*Forgetful.can, Can.DELETE})
    records: "list[dict[str, Any]]" = []  # noqa: RUF012 - of all objects

    @classmethod
    def get_name(cls) -> str:
        return "keeping"

    def notify(self, info: dict[str, Any], **kwargs: Any) -> None:
        self.records.append(info)

    def read(self, base_id: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["base_id"] == base_id]

    def delete(self, base_id: str) -> int:
        return 0


class Unreadable(Forgetful):
    """Takes records, and gives none."""

    can = frozenset({Can.WRITE})

    @classmethod
    def get_name(cls) -> str:
        return "unreadable"


def test_stores_that_do_less_than_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_VISIBLE_S", 0.1)
    assert [stored(tmp_path, f"{name}://h").status for name in ("forgetful", "keeping", "unreadable")] == [
        FAIL,
        WARN,
        OK,
    ]
    assert "is not there" in stored(tmp_path, "forgetful://h").text
    assert "did not delete" in stored(tmp_path, "keeping://h").text
    assert "not read back" in stored(tmp_path, "unreadable://h").text


# All


def test_a_check_that_breaks_does_not_end_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(config: ServiceConfig) -> Iterator[Result]:
        raise RuntimeError(KEY)

    monkeypatch.setattr(options, "check", broken)
    results = list(checks.run(config(tmp_path, f"hmac_keys = {KEY}\nconnection_string = jaeger://127.0.0.1:1")))
    assert [result.check for result in results][:2] == ["options", "enabled"]
    assert results[0].text == "could not be checked: RuntimeError"
    assert results[-1].check == "store"
    assert KEY not in repr(results)
    assert worst(results) is FAIL


def test_the_worst_of_nothing_is_ok() -> None:
    assert worst([]) is OK
