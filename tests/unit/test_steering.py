# SPDX-License-Identifier: Apache-2.0
"""A policy is followed from its source: changes, faults of every kind, signatures, and the last good one on disk."""

import hashlib
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from osprofiler.config import settings as in_force
from osprofiler.steering import watch
from osprofiler.steering.last_good import LastGood
from osprofiler.steering.signature import BadSignature, check, is_signed, signed
from osprofiler.steering.sources import MAX_BYTES, Unreadable, source_of
from tests.unit.core_kit import faults
from tests.unit.steering_kit import Follow, errors, following, put, rate, sampler, threads
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("osprofiler_process")

ROOT = Path(__file__).resolve().parents[2]
KEY, OTHER_KEY = "a key of the operator", "a key of somebody else"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


@pytest.fixture
def follow(caplog: pytest.LogCaptureFixture) -> Iterator[Follow]:
    with following(caplog) as follow:
        yield follow


# Changes


def test_a_change_is_followed_though_no_request_comes(file: Path, follow: Follow) -> None:
    put(file, sampler("const:0"))
    follower = follow(file)
    assert rate(follower) == "const:0"
    put(file, sampler("const:1"))
    wait_until(lambda: rate(follower) == "const:1")
    other = file.with_suffix(".new")
    other.write_text(sampler("const:0"))
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)
    wait_until(lambda: rate(follower) == "const:0")


def test_a_change_is_put_in_force_once(file: Path, follow: Follow) -> None:
    changes: list[Any] = []
    put(file, sampler("const:0"))
    follower = follow(file, changed=lambda policy: changes.append(policy.of("any")["sampler"]))
    assert changes == []
    assert hashlib.sha256(file.read_bytes()).hexdigest().startswith(follower.digest)
    put(file, sampler("const:1"))
    wait_until(lambda: changes)
    os.utime(file, (1, 1))
    put(file, sampler("const:0"))
    wait_until(lambda: len(changes) > 1)
    assert changes == ["const:1", "const:0"]


def test_where_the_flow_does_not_run_a_unit_of_work_notices_a_change(file: Path, follow: Follow) -> None:
    """As in uWSGI without threads: the interval is long, and the flow is late when the request comes."""
    put(file, sampler("const:0"))
    follower = follow(file, interval_s=3600)
    put(file, sampler("const:1"))
    in_force.fresh()
    assert rate(follower) == "const:0"
    follower._watch._late_at = 0.0
    in_force.fresh()
    assert rate(follower) == "const:1"


def test_at_rest_a_unit_of_work_only_reads_the_clock(
    file: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(file, sampler("const:0"))
    follow(file, interval_s=3600)
    called: list[str] = []

    def count(frame: Any, event: str, argument: Any) -> None:
        called.append(frame.f_code.co_name if event == "call" else argument.__name__)

    sys.setprofile(lambda frame, event, argument: count(frame, event, argument) if "call" in event else None)
    try:
        in_force.fresh()
    finally:
        sys.setprofile(None)
    assert called[:4] == ["fresh", "look", "look", "monotonic"]
    assert "stat" not in called


def test_a_follower_that_has_ended_changes_nothing(file: Path, follow: Follow) -> None:
    put(file, sampler("const:0"))
    follower = follow(file, changed=lambda policy: pytest.fail("it has ended"))
    (thread,) = threads()
    follower.end()
    put(file, sampler("const:1"))
    wait_until(lambda: not thread.is_alive())
    assert not faults()


def test_a_reset_of_the_settings_ends_it(file: Path, follow: Follow) -> None:
    put(file, sampler("const:0"))
    follow(file)
    in_force.reset()
    wait_until(lambda: not threads())


# Faults


@pytest.mark.parametrize("broken", [b"services: [", b"\xff\xfe", None, b"[" * (2 << 20), b"x" * (10 << 20)])
def test_of_a_broken_file_there_is_one_line_and_the_last_good_policy_stays(
    file: Path, broken: bytes | None, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    put(file, sampler("const:1"))
    follower = follow(file)
    if broken is None:
        file.unlink()
    else:
        put(file, broken)
    wait_until(lambda: "the former policy stays in force" in caplog.text)
    if broken is not None:
        os.utime(file, (1, 1))  # it is read again
    follower._watch._late_at = 0.0
    follower.look()
    assert rate(follower) == "const:1"
    (error,) = errors(caplog)
    assert str(file) in error
    put(file, sampler("const:0"))
    wait_until(lambda: rate(follower) == "const:0")
    assert not faults()


def test_a_file_that_comes_later(file: Path, follow: Follow, caplog: pytest.LogCaptureFixture) -> None:
    follower = follow(file)
    assert errors(caplog) == [f"cannot read the policy {file}; no policy is in force: No such file or directory"]
    put(file, sampler("const:1"))
    wait_until(lambda: rate(follower) == "const:1")
    assert f"the policy {file} can be read again" in caplog.text
    assert len(errors(caplog)) == 1


def test_a_text_that_was_refused_and_comes_again_is_a_line_again(
    file: Path, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    put(file, sampler("const:1"))
    follower = follow(file)
    for number in (1, 2):
        put(file, "services: [")
        wait_until(lambda number=number: len(errors(caplog)) == number)
        put(file, sampler("const:1"))
        wait_until(lambda number=number: caplog.text.count("using the policy") == number + 1)
    assert rate(follower) == "const:1"


def test_while_the_disk_hangs_a_unit_of_work_waits_once_and_no_thread_is_started(
    file: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading hangs: the file is a pipe without a writer."""
    monkeypatch.setattr(watch, "PATIENCE_S", 0.01)
    put(file, sampler("const:0"))
    follower = follow(file)
    reading = threading.Event()
    read = follower.source.read
    monkeypatch.setattr(follower.source, "read", lambda limit_s: (reading.set(), read(limit_s))[1])
    file.unlink()
    os.mkfifo(file)
    reading.wait(60)
    for _ in range(20):
        follower._watch._late_at = 0.0
        in_force.fresh()
        assert len(threads()) == 1
    assert rate(follower) == "const:0"
    other = file.with_suffix(".new")
    other.write_text(sampler("const:1"))
    pipe = os.open(file, os.O_WRONLY)
    other.replace(file)
    os.close(pipe)
    wait_until(lambda: rate(follower) == "const:1")


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("ftp://host/x", "'ftp://host/x' is not a policy: give a file, or a URL with http, https, redis or rediss"),
        ("https://host/x?verify=perhaps", "verify=perhaps: give yes or no"),
        ("http://:secret@/x", "malformed connection string 'http://:***@/x': the host is missing"),
        ("redis://:secret@h/notanumber?nothing=1", "malformed connection string 'redis://:***@h/notanumber?nothing=1'"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line_without_its_secrets(address: str, line: str) -> None:
    with pytest.raises(ValueError) as caught:
        source_of(address)
    assert str(caught.value).startswith(line)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


# Signatures


def test_a_signature_is_the_last_line_and_openssl_makes_the_same(file: Path) -> None:
    text = sampler("const:1").encode()
    put(file, text)
    command = ["openssl", "dgst", "-sha256", "-hmac", KEY, "-r", str(file)]
    digits = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0]
    assert signed(text, KEY) == text + f"# osprofiler-signature: sha256:{digits}\n".encode()
    assert signed(signed(text, OTHER_KEY), KEY) == signed(text, KEY)
    assert signed(text.rstrip(), KEY) == signed(text, KEY)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: b\n", "it is not signed"),
        (b"", "it is not signed"),
        (signed(b"a: b\n", OTHER_KEY), "its signature is wrong"),
        (signed(b"a: b\n", KEY).replace(b"a: b", b"a: c"), "its signature is wrong"),
        (b"a: c\n" + signed(b"a: b\n", KEY), "its signature is wrong"),
        (signed(b"a: b\n", KEY) + b"c: d\n", "it is not signed"),
        (signed(b"a: b\n", KEY).replace(b"\n", b"\r\n"), "its signature is wrong"),
        (b"# osprofiler-signature: sha256:", "its signature is wrong"),
        ("# osprofiler-signature: sha256:ä".encode(), "its signature is wrong"),
    ],
)
def test_a_wrong_signature(content: bytes, reason: str) -> None:
    with pytest.raises(BadSignature, match=reason):
        check(content, [KEY])
    check(signed(content, KEY), ["first", KEY])
    assert is_signed(content) is (reason != "it is not signed")


def test_with_a_key_only_a_signed_policy_counts(file: Path, follow: Follow, caplog: pytest.LogCaptureFixture) -> None:
    put(file, signed(sampler("const:1").encode(), KEY))
    follower = follow(file, keys=(KEY,))
    assert (rate(follower), errors(caplog)) == ("const:1", [])
    put(file, sampler("const:0"))
    unsigned = f"the policy {file} is refused; the former policy stays in force: it is not signed"
    wait_until(lambda: errors(caplog) == [unsigned])
    put(file, signed(sampler("const:0").encode(), OTHER_KEY))
    wait_until(lambda: len(errors(caplog)) == 2)
    assert "its signature is wrong" in caplog.text
    assert rate(follower) == "const:1"
    put(file, signed(sampler("const:0").encode(), KEY))
    wait_until(lambda: rate(follower) == "const:0")


def test_another_key_refuses_the_text_that_is_in_force_and_that_stays(
    file: Path, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    """A mutation of ``policy_key``: the operator has not signed anew."""
    put(file, signed(sampler("const:1").encode(), KEY))
    before = follow(file, keys=(KEY,))
    before.end()
    follower = follow(file, keys=(OTHER_KEY,), before=before)
    assert rate(follower) == "const:1"
    assert len(errors(caplog)) == 1


# The last good one


def test_the_last_good_policy_is_used_by_a_process_that_cannot_read_the_source(
    file: Path, follow: Follow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = LastGood(str(file), str(tmp_path / "state" / "osprofiler"))
    put(file, sampler("const:1"))
    follow(file, last_good=kept).end()
    file.unlink()
    follower = follow(file, last_good=kept)
    assert rate(follower) == "const:1"
    (line,) = errors(caplog)
    assert "the last good policy, which is on disk, is in force: No such file" in line
    put(file, sampler("const:0"))
    wait_until(lambda: rate(follower) == "const:0")
    wait_until(lambda: kept.load() == file.read_bytes())
    other = follow(file.with_suffix(".other"), last_good=LastGood("other", str(tmp_path / "state" / "osprofiler")))
    assert rate(other) is None


def test_a_bad_source_does_not_replace_the_last_good_policy(file: Path, follow: Follow, tmp_path: Path) -> None:
    kept = LastGood(str(file), str(tmp_path))
    put(file, signed(sampler("const:1").encode(), KEY))
    follow(file, last_good=kept, keys=(KEY,)).end()
    for bad in (b"services: [", sampler("const:0").encode()):
        put(file, bad)
        follower = follow(file, last_good=kept, keys=(KEY,))
        assert rate(follower) == "const:1"
        follower.end()
    follower = follow(file, last_good=kept, keys=(OTHER_KEY,))
    assert rate(follower) is None, "it is not signed by a key of now"


def test_the_file_of_the_last_good_policy_is_private_and_whole(tmp_path: Path) -> None:
    kept = LastGood("http://host/policy", str(tmp_path / "state"))
    assert kept.load() is None
    kept.keep(b"one")
    (path,) = (tmp_path / "state").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    inode = path.stat().st_ino
    kept.keep(b"one")
    assert path.stat().st_ino == inode, "it is not written again"
    kept.keep(b"two")
    assert (path.read_bytes(), list(path.parent.iterdir())) == (b"two", [path])


@pytest.mark.parametrize("wrong", ["owner", "group", "link", "pipe", "folder"])
def test_a_file_that_others_may_have_written_is_not_used(
    wrong: str, file: Path, follow: Follow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = LastGood(str(file), str(tmp_path / "state"))
    kept.keep(sampler("const:1").encode())
    (path,) = (tmp_path / "state").iterdir()
    if wrong == "owner":
        if os.geteuid():
            pytest.skip("only root can give a file away")
        os.chown(path, 65534, 65534)
    elif wrong == "group":
        path.chmod(0o660)
    else:
        path.rename(tmp_path / "elsewhere")
        {
            "link": lambda: path.symlink_to(tmp_path / "elsewhere"),
            "pipe": lambda: os.mkfifo(path, 0o600),
            "folder": path.mkdir,
        }[wrong]()
    with pytest.raises(OSError):
        kept.load()
    assert rate(follow(file, last_good=kept)) is None
    unused, cannot = errors(caplog)
    assert f"the last good policy of {file} is not used: " in unused
    assert "no policy is in force" in cannot
    if wrong != "folder":
        kept.keep(b"new")
        assert kept.load() == b"new"


def test_a_folder_that_cannot_be_written_is_one_line(
    file: Path, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    put(file, sampler("const:0"))
    follower = follow(file, last_good=LastGood(str(file), "/proc/no/such"))
    put(file, sampler("const:1"))
    wait_until(lambda: rate(follower) == "const:1")
    (line,) = errors(caplog)
    assert "policy_state_dir" in line
    assert not faults()


# Processes


def program(text: str, *arguments: str, interpreter: tuple[str, ...] = ()) -> str:
    command = [sys.executable, *interpreter, "-c", textwrap.dedent(text), *arguments]
    done = subprocess.run(command, cwd=ROOT, timeout=120, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


_SERVICE = """
import os, sys, time
PATCHED = sys.argv[2]
if PATCHED == "eventlet":
    import eventlet; eventlet.monkey_patch()
elif PATCHED == "gevent":
    import gevent.monkey; gevent.monkey.patch_all()
from oslo_config import cfg
from osprofiler import config, initializer, opts
from tests.unit.steering_kit import Follow, errors, following, put, rate, sampler, threads
from tests.waiting import wait_until

def write(text):
    with open(sys.argv[1] + ".new", "w") as file:
        file.write("services: {'*': {sampler: '%s'}}" % text)
    os.replace(sys.argv[1] + ".new", sys.argv[1])

write("const:0")
conf = cfg.ConfigOpts()
opts.register(conf)
conf([], default_config_files=[])
conf.set_override("enabled", True, "profiler")
conf.set_override("connection_string", "sqlite:///" + sys.argv[1] + ".db", "profiler")
conf.set_override("policy_file", sys.argv[1], "profiler")
conf.set_override("policy_interval", 0.05, "profiler")
conf.set_override("policy_state_dir", sys.argv[1] + ".state", "profiler")
initializer.init_from_conf(conf, None, "nova", "api", "host")
assert config.current().sampler == "const:0"
"""


@pytest.mark.parametrize("patched", ["no", "eventlet", "gevent"])
def test_a_process_and_its_forked_child_follow_without_a_request(patched: str, tmp_path: Path) -> None:
    """A greenthread of a child begins with its first unit of work: the service may make a new hub after the fork."""
    program(
        _SERVICE
        + """
write("const:1")
wait_until(lambda: config.current().sampler == "const:1", what="the parent")
child = os.fork()
if not child:
    if PATCHED == "eventlet":
        import eventlet.hubs; eventlet.hubs.use_hub()
    if PATCHED != "no":
        config.fresh()
    write("const:0")
    wait_until(lambda: config.current().sampler == "const:0", what="the child")
    os._exit(7)
assert os.waitpid(child, 0)[1] >> 8 == 7
wait_until(lambda: config.current().sampler == "const:0", what="the parent again")
""",
        str(tmp_path / "policy.yaml"),
        patched,
    )


def test_a_child_that_python_does_not_see_follows_from_its_first_unit_of_work(tmp_path: Path) -> None:
    """Python does not renew its lock in such a child. So no thread of the parent may wait for it: they all rest."""
    program(
        _SERVICE.replace('"policy_interval", 0.05', '"policy_interval", 2.0')
        + """
import ctypes
child = ctypes.PyDLL(None).fork()
if not child:
    write("const:1")
    wait_until(lambda: config.fresh().sampler == "const:1", what="the child")
    os._exit(7)
assert os.waitpid(child, 0)[1] >> 8 == 7
""",
        str(tmp_path / "policy.yaml"),
        "no",
    )


def test_a_process_ends_though_its_source_hangs(tmp_path: Path) -> None:
    program(
        _SERVICE
        + """
os.unlink(sys.argv[1])
os.mkfifo(sys.argv[1])
from tests.unit.steering_kit import threads
wait_until(threads)
""",
        str(tmp_path / "policy.yaml"),
        "no",
    )


def test_the_longest_content_is_read_and_one_byte_more_is_not(file: Path) -> None:
    put(file, b"#" * (MAX_BYTES + 100))
    content = source_of(str(file)).read(1.0)
    assert content is not None
    assert len(content) == MAX_BYTES + 1
    with pytest.raises(Unreadable, match="Is a directory"):
        source_of(str(file.parent)).read(1.0)
