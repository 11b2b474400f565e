# SPDX-License-Identifier: Apache-2.0
"""Every bundled patch on the released package that it is for: it applies, it reverts byte for byte, the project's own
tests of the patched files pass as before, and nova's scatter over cells, its allocation of networks and novaclient's
requests are traced."""

import http.server
import json
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osprofiler import _utils
from osprofiler.cmd import shell
from osprofiler.instrumentation import nova_work
from osprofiler.instrumentation.points import choice
from osprofiler.patching import catalog
from osprofiler.patching.unified import parse
from tests import conftest, environments, released
from tests.servers import Jaeger
from tests.waiting import wait_until

PROGRAMS = Path(__file__).parent / "programs"
KILLED = Path(__file__).parents[1] / "unit" / "programs" / "patch_killed.py"
KEY = "a key of this test"
NEWEST = {"nova": "34.0.0", "python-novaclient": "18.13.1"}


def releases(project: str | None = None) -> list[Any]:
    """Every release that there is a patch for; the newest of each project goes into CI."""
    return [
        pytest.param(found.name, release, id=f"{found.name}-{release}",
                     marks=() if release == NEWEST[found.name] else pytest.mark.slow)
        for found in catalog.projects()
        for release in found.releases
        if project in (None, found.name)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment in which the released projects run."""
    return conftest.made(released.python)


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[str, str], Path]:
    """From a project and a release to a folder with a copy of its package."""

    def make(project: str, release: str) -> Path:
        return released.copy(project, release, tmp_path / f"{project}-{release}")

    return make


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mode)
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_the_releases() -> None:
    assert {project.name: project.releases for project in catalog.projects()} == {
        "nova": ["34.0.0", "33.0.2", "32.2.1", "31.3.1"],
        "python-novaclient": ["18.13.1", "18.12.0", "18.11.0", "18.9.0"],
    }


@pytest.mark.parametrize(("project", "release"), releases())
def test_applied_and_reverted(
    copy: Callable[[str, str], Path], project: str, release: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy(project, release)
    before = content(folder)
    where = ["--path", str(folder)]
    patch = catalog.project(project).patch(release)

    assert shell.main(["patch", "apply", project, "--dry-run", *where]) == 0
    assert content(folder) == before
    assert shell.main(["patch", "apply", project, *where]) == 0
    after = content(folder)
    assert sorted(path for path in before if after[path] != before[path]) == patch.paths
    for path in patch.paths:
        compile(after[path][0], path, "exec")
    assert shell.main(["patch", "check", project, *where]) == 0
    assert "the patch is applied" in capsys.readouterr().out
    assert shell.main(["patch", "revert", project, *where]) == 0
    assert content(folder) == before

    file = folder / patch.paths[-1]
    file.write_bytes(file.read_bytes() + b"\n# a change of the operator's own\n")
    tampered = content(folder)
    assert shell.main(["patch", "apply", project, *where]) == 1
    assert f"{patch.paths[-1]} is neither the release's file nor the patched one" in capsys.readouterr().err
    assert content(folder) == tampered


@pytest.mark.parametrize(("project", "release"), releases())
def test_killed_between_files(
    copy: Callable[[str, str], Path], project: str, release: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one file of the package in its place, on the way there and on the way back."""
    folder = copy(project, release)
    before = content(folder)
    where = ["--path", str(folder)]
    paths = catalog.project(project).patch(release).paths
    patches = str(environments.REPOSITORY / "patches")
    # Written before that one: all kept originals and the journal, and on the way back the journal.
    for command, written in (("apply", len(paths) + 1), ("revert", 1)):
        killed = subprocess.run(
            [sys.executable, str(KILLED), patches, str(written + 1), "patch", command, project, *where], check=False
        )
        assert killed.returncode == -signal.SIGKILL
        assert shell.main(["patch", "check", project, *where]) == 1
        printed = capsys.readouterr().out
        assert "the patch is partly applied" in printed
        assert "a run of `osprofiler patch` was interrupted" in printed
        assert printed.count(": patched") == (1 if command == "apply" else len(paths) - 1)
        assert shell.main(["patch", command, project, *where]) == 0
    assert content(folder) == before


@pytest.mark.parametrize(("project", "release"), releases())
def test_patch_itself_applies_them_clean(copy: Callable[[str, str], Path], project: str, release: str) -> None:
    if shutil.which("patch") is None:
        conftest.missing("patch is not installed: install Debian's package of this name")
    folder = copy(project, release)
    before = content(folder)
    files = patch_files(project, release)
    printed = ""
    for back in ([], ["-R"]):
        for file in files:
            with file.open("rb") as diff:
                done = subprocess.run(
                    ["patch", "-p1", *back], cwd=folder, stdin=diff, stdout=subprocess.PIPE, text=True, check=True
                )
            printed += done.stdout
        if not back:
            assert shell.main(["patch", "check", project, "--path", str(folder)]) == 0
    assert all(word not in printed for word in ("fuzz", "offset", "Hunk"))
    assert content(folder) == before


def patch_files(project: str, release: str) -> list[Path]:
    home = environments.REPOSITORY / "patches" / project
    index = json.loads((home / "index.json").read_text())
    return sorted((home / index["releases"][release]).glob("*.patch"))


def test_no_patch_lets_a_key_out_or_is_large() -> None:
    for project in catalog.projects():
        for release in project.releases:
            diffs = [diff for file in patch_files(project.name, release) for diff in parse(file.read_bytes())]
            added = [line for diff in diffs for hunk in diff.hunks for line in hunk.after if line not in hunk.before]
            assert not any(b"hmac_key" in line for line in added)
            assert len(added) < 50, f"{project.name} {release}: logic belongs into osprofiler"


@pytest.mark.parametrize(("project", "release"), releases("nova"))
def test_what_is_known_by_name_has_that_name(project: str, release: str) -> None:
    """A step of ComputeManager or a work that nobody waits for, renamed, would go untraced or wait without a word."""
    package = released.wheel(project, release) / "nova"
    manager = (package / "compute" / "manager.py").read_text()
    points = choice.chosen("nova", ("auto",), (), print).points
    steps = [point.attribute for point in points if point.classes == ("ComputeManager",)]
    assert len(steps) > 30
    assert [name for name in steps if f"    def {name}(" not in manager] == []
    source = "".join(file.read_text() for part in ("compute", "scheduler") for file in (package / part).glob("*.py"))
    later = {"do_snapshot_instance"} if release in ("32.2.1", "31.3.1") else set()
    assert {name for name in nova_work.NOBODY_WAITS_FOR if f"def {name}(" not in source} == later


# The projects' own tests

NOVA_TESTS = {
    "34.0.0": ("test_rpc", "test_profiler", "test_thread_pool_factory", "test_context", "test_service",
               "image.test_glance"),
    **dict.fromkeys(("33.0.2", "32.2.1", "31.3.1"), ("test_rpc", "test_profiler", "test_utils", "test_context",
                                                     "test_service", "image.test_glance")),
}  # fmt: skip

#: Tests that assert what the patch is there to change, with what that is.
ASSERT_THE_OLD_FORM = {
    "nova.tests.unit.test_rpc.TestProfilerRequestContextSerializer.test_serialize_context": "the HMAC key is in the "
    "message",
    "nova.tests.unit.test_rpc.TestProfilerRequestContextSerializer.test_deserialize_context": "what the message holds "
    "goes to profiler.init, whatever its key",
    "nova.tests.unit.test_thread_pool_factory.SerializeProfileInfoTestCase.test_profiler_returns_trace_info": "a "
    "dictionary with the HMAC key is handed to the thread",
    "nova.tests.unit.test_thread_pool_factory.SpawnOnTestCase.test_spawn_on_initializes_profiler": "the thread calls "
    "profiler.init with that dictionary",
}


def outcomes(python: Path, folder: Path, modules: list[str], log: Path) -> "subprocess.Popen[str]":
    with log.open("w") as errors:
        return subprocess.Popen(
            [str(python), str(PROGRAMS / "nova_unit_tests.py"), *modules],
            env=environments.variables(folder, environments.REPOSITORY),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


@pytest.mark.parametrize(("project", "release"), releases())
def test_the_projects_own_tests_pass_as_before(
    python: Path, copy: Callable[[str, str], Path], tmp_path: Path, project: str, release: str
) -> None:
    if project == "nova":
        modules = [f"nova.tests.unit.{name}" for name in NOVA_TESTS[release]]
    else:
        modules = ["novaclient.tests.unit.test_client", "novaclient.tests.unit.test_shell"]
    patched = copy(project, release)
    assert shell.main(["patch", "apply", project, "--path", str(patched)]) == 0
    running = {
        name: outcomes(python, folder, modules, tmp_path / f"{name}.log")
        for name, folder in (("before", released.wheel(project, release)), ("after", patched))
    }
    found = {
        name: json.loads(process.communicate(timeout=900)[0].splitlines()[-1]) for name, process in running.items()
    }
    before, after = found["before"], found["after"]
    assert list(before.values()).count("passed") > 90, (tmp_path / "before.log").read_text()[-3000:]
    differing = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert differing == ASSERT_THE_OLD_FORM.keys() & before.keys()


# Cells

MODES = [
    *(pytest.param(NEWEST["nova"], mode, id=f"34.0.0-{mode}") for mode in ("threading", "eventlet")),
    *(pytest.param(release, "eventlet", id=f"{release}-eventlet", marks=pytest.mark.slow)
      for release in ("33.0.2", "32.2.1", "31.3.1")),
]  # fmt: skip


@pytest.mark.parametrize(("release", "mode"), MODES)
def test_a_scatter_over_cells_is_joined_and_names_who_did_not_answer(
    python: Path, copy: Callable[[str, str], Path], tmp_path: Path, jaeger: Jaeger, release: str, mode: str
) -> None:
    base = str(uuid.uuid4())
    gathered = patched_nova("nova_cells.py", python, copy("nova", release), tmp_path, jaeger, mode=mode, base=base)
    assert gathered["one"] == "'a thing of one'"
    assert "InstanceNotFound" in gathered["two"]
    assert "object" in gathered["three"]

    trace = whole(jaeger, base, 8)
    (request,) = named(trace, "request")
    (join,) = named(trace, "join")
    cells = {name: one(trace, f"cell the {name}") for name in ("one", "two", "three")}
    for cell in cells.values():
        assert references(cell) == {("CHILD_OF", request["spanID"])}
    answered = {("FOLLOWS_FROM", cells[name]["spanID"]) for name in ("one", "two")}
    assert references(join) == {("CHILD_OF", request["spanID"]), *answered}
    assert tags(join)["osprofiler.join.unfinished.names"] == "cell the three"
    parents = {reference["spanID"] for span in named(trace, "looked") for reference in span["references"]}
    assert parents == {cell["spanID"] for cell in cells.values()}
    if release != "31.3.1":  # its gathering does not return what the cell raised; the point inside has the error
        assert tags(cells["two"])["error"] is True


@pytest.mark.parametrize(("release", "mode"), MODES)
def test_an_upload_to_glance_is_in_the_trace_whichever_thread_does_it(
    python: Path, copy: Callable[[str, str], Path], tmp_path: Path, jaeger: Jaeger, release: str, mode: str
) -> None:
    base = str(uuid.uuid4())
    sent = patched_nova("nova_upload.py", python, copy("nova", release), tmp_path, jaeger, mode=mode, base=base)

    trace = whole(jaeger, base, 4 if mode == "eventlet" else 3)
    (snapshot,) = named(trace, "snapshot")
    (upload,) = named(trace, "upload")
    above = snapshot
    if mode == "eventlet":
        (above,) = (span for span in trace["spans"] if tags(span).get("osprofiler.fork") == "nova")
        assert references(above) == {("CHILD_OF", snapshot["spanID"])}
    assert references(upload) == {("CHILD_OF", above["spanID"])}
    assert {method: ids.split(":")[1].zfill(16) for method, ids in sent.items()} == {
        method: one(trace, method)["spanID"] for method in ("upload", "get")
    }


@pytest.mark.parametrize("fails", ["", "yes"], ids=["", "neutron fails"])
@pytest.mark.parametrize(("release", "mode"), MODES)
def test_a_network_is_in_the_trace_and_whoever_waited_for_it_joins_it(
    python: Path, copy: Callable[[str, str], Path], tmp_path: Path, jaeger: Jaeger, release: str, mode: str, fails: str
) -> None:
    base = str(uuid.uuid4())
    program, folder = "nova_network.py", copy("nova", release)
    patched_nova(program, python, folder, tmp_path, jaeger, mode=mode, base=base, fails=fails)

    trace = whole(jaeger, base, 7)
    allocation, asked, spawn = (one(trace, name) for name in ("allocate network", "_allocate_network", "spawn"))
    assert references(allocation) == {("FOLLOWS_FROM", asked["spanID"])}
    assert references(one(trace, "POST /ports")) == {("CHILD_OF", allocation["spanID"])}
    join = one(trace, "join")
    assert references(join) == {("CHILD_OF", spawn["spanID"]), ("FOLLOWS_FROM", allocation["spanID"])}
    assert tags(join).get("osprofiler.join.failed") == (1 if fails else None)


def patched_nova(program: str, python: Path, folder: Path, home: Path, jaeger: Jaeger, **options: str) -> Any:
    """What *program* prints, which is run with the nova in *folder*, patched, and files of its own in *home*."""
    assert shell.main(["patch", "apply", "nova", "--path", str(folder)]) == 0
    config = home / "nova.conf"
    settings = {"enabled": "true", "hmac_keys": KEY, "connection_string": jaeger.url}
    lines = ["[DEFAULT]", f"state_path = {home}", "transport_url = fake://", "[profiler]"]
    config.write_text("\n".join([*lines, *(f"{name} = {value}" for name, value in settings.items())]))
    done = subprocess.run(
        [str(python), str(PROGRAMS / program), json.dumps({"config": str(config), "key": KEY, **options})],
        env=environments.variables(folder, environments.REPOSITORY),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def whole(jaeger: Jaeger, base: str, spans: int) -> dict[str, Any]:
    def complete() -> dict[str, Any] | None:
        trace = jaeger.trace(base.replace("-", ""))
        assert trace is not None
        assert len(trace["spans"]) == spans, [span["operationName"] for span in trace["spans"]]
        return trace

    return wait_until(complete, what=f"{spans} spans of {base}")


def named(trace: dict[str, Any], operation: str) -> list[dict[str, Any]]:
    return [span for span in trace["spans"] if span["operationName"] == operation]


def one(trace: dict[str, Any], operation: str) -> dict[str, Any]:
    (span,) = named(trace, operation)
    return span


def references(span: dict[str, Any]) -> set[tuple[str, str]]:
    return {(reference["refType"], reference["spanID"]) for reference in span["references"]}


def tags(span: dict[str, Any]) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


# novaclient

SERVER = "0c5d9a54-1f0e-4f0a-9f3e-0d6f4f0c2a11"


class FakeNova(http.server.ThreadingHTTPServer):
    """An API that answers as a test wants, and notes the headers of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.failures = 1


class _Answer(http.server.BaseHTTPRequestHandler):
    server: FakeNova

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        path = self.path.partition("?")[0].rstrip("/")
        if path == "/v2.1":
            version = {"id": "v2.1", "status": "CURRENT", "version": "2.96", "min_version": "2.1", "links": []}
            self._send(200, {"version": version})
        elif path == "/v2.1/servers/moved":
            self._send(302, {}, Location=f"{self.server.url}/v2.1/servers/{SERVER}")
        elif path == "/v2.1/servers/missing":
            self._send(404, {"itemNotFound": {"message": "no such server", "code": 404}})
        elif path == "/v2.1/os-hypervisors/statistics" and self.server.failures:
            self.server.failures -= 1
            self._send(503, {})
        elif path == "/v2.1/servers/gone":
            self.connection.close()
        else:
            self._send(200, {"server": {"id": SERVER}, "servers": [], "hypervisor_statistics": {}})

    do_GET = do_POST = _answer

    def _send(self, status: int, body: dict[str, Any], **headers: str) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)),
                            "x-openstack-request-id": f"req-{len(self.server.seen)}", **headers}.items():  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def nova_api() -> Iterator[FakeNova]:
    with FakeNova() as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server
        server.shutdown()
        serving.join()


NOVACLIENT = [pytest.param(release, marks=() if release == NEWEST["python-novaclient"] else pytest.mark.slow)
              for release in ("18.13.1", "18.12.0")]  # fmt: skip


@pytest.mark.parametrize("release", NOVACLIENT)
def test_each_request_of_novaclient_is_a_client_span(
    python: Path, copy: Callable[[str, str], Path], jaeger: Jaeger, nova_api: FakeNova, release: str
) -> None:
    folder = copy("python-novaclient", release)
    assert shell.main(["patch", "apply", "python-novaclient", "--path", str(folder)]) == 0
    base = str(uuid.uuid4())
    options = {"url": nova_api.url, "server": SERVER, "base": base, "key": KEY, "store": jaeger.url}
    done = subprocess.run(
        [str(python), str(PROGRAMS / "novaclient_requests.py"), json.dumps(options)],
        env=environments.variables(folder, environments.REPOSITORY),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [200, 302, "NotFound", 200, "ConnectFailure", 200]

    trace = whole(jaeger, base, 7)
    (command,) = named(trace, "command")
    requests = [span for span in trace["spans"] if span is not command]
    operations = Counter(span["operationName"] for span in requests)
    assert operations == {
        "nova GET /servers/{id}": 4,
        "nova GET /os-hypervisors/statistics": 1,
        "nova POST /servers/{id}/action": 1,
    }
    for span in requests:
        assert references(span) == {("CHILD_OF", command["spanID"])}
        assert tags(span)["span.kind"] == "client"
    by_path = {tags(span)["http.url"]: tags(span) for span in requests}
    assert by_path[f"/servers/{SERVER}"]["http.status_code"] == 200
    assert by_path[f"/servers/{SERVER}"]["request_id"].startswith("req-")
    assert by_path["/servers/missing"]["error"] is True
    assert by_path["/servers/missing"]["http.status_code"] == 404
    assert by_path["/servers/moved"]["http.status_code"] == 200
    assert by_path["/os-hypervisors/statistics"]["http.status_code"] == 200
    assert "http.status_code" not in by_path["/servers/gone"]
    assert by_path["/servers/gone"]["error"] is True

    # Each message on the wire, first try, retry and redirected one, carries its own span's context, signed.
    carried: dict[str, set[str]] = {}
    for _, path, headers in nova_api.seen:
        info = _utils.signed_unpack(headers.get("X-Trace-Info"), headers.get("X-Trace-HMAC"), [KEY])
        assert info is not None, path
        assert info["base_id"] == base
        carried.setdefault(path.removeprefix("/v2.1"), set()).add(info["parent_id"].replace("-", "")[16:])
    ids = {tags(span)["http.url"]: span["spanID"] for span in requests}
    assert carried["/os-hypervisors/statistics"] == {ids["/os-hypervisors/statistics"]}
    assert carried["/servers/moved"] == {ids["/servers/moved"]}
    assert carried["/servers/missing"] == {ids["/servers/missing"]}
    assert KEY not in json.dumps(nova_api.seen)


@pytest.mark.parametrize("release", NOVACLIENT)
@pytest.mark.parametrize("store", [True, False], ids=["with a store", "without"])
def test_nova_profile_says_how_to_look_at_its_trace(
    python: Path, copy: Callable[[str, str], Path], jaeger: Jaeger, nova_api: FakeNova, release: str, store: bool
) -> None:
    folder = copy("python-novaclient", release)
    assert shell.main(["patch", "apply", "python-novaclient", "--path", str(folder)]) == 0
    variables = {"OSPROFILER_JAEGER_UI": "http://jaeger.example:16686/"}
    if store:
        variables["OSPROFILER_CONNECTION_STRING"] = jaeger.url

    def run_nova(*words: str) -> "subprocess.CompletedProcess[str]":
        account = {"OS_AUTH_TYPE": "admin_token", "OS_TOKEN": "t", "OS_PROJECT_ID": "p"}
        account |= {"OS_ENDPOINT": f"{nova_api.url}/v2.1", "OS_AUTH_URL": nova_api.url}
        return subprocess.run(
            [str(python), "-m", "novaclient.shell", "--os-compute-api-version", "2.90", "--profile", KEY, *words],
            env=environments.variables(folder, environments.REPOSITORY, **account, **variables),
            cwd=folder,
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    done = run_nova("list")
    assert done.returncode == 0, done.stderr
    base = done.stdout.partition("Trace ID:")[2].split()[0]
    assert f"osprofiler trace show --html {base}" in done.stdout
    assert f"http://jaeger.example:16686/trace/{base.replace('-', '')}" in done.stdout
    infos = [_utils.signed_unpack(h.get("X-Trace-Info"), h.get("X-Trace-HMAC"), [KEY]) for _, _, h in nova_api.seen]
    assert {info and info["base_id"] for info in infos} == {base}
    if not store:
        assert {info and info["parent_id"] for info in infos} == {base}, "a parent that nobody has recorded"
        return
    trace = wait_until(lambda: jaeger.trace(base.replace("-", "")), what="the command's trace")
    command = one(trace, "nova")
    assert not command["references"]
    assert tags(command)["stop.command"] == "list"
    assert {span["operationName"] for span in trace["spans"]} >= {"nova", "nova GET /servers/detail"}

    failed = run_nova("show", "missing")
    assert failed.returncode != 0
    assert "osprofiler trace show --html" in failed.stderr
    base = failed.stderr.partition("Trace ID:")[2].split()[0]
    trace = wait_until(lambda: jaeger.trace(base.replace("-", "")), what="the failed command's trace")
    assert tags(one(trace, "nova"))["error"] is True
