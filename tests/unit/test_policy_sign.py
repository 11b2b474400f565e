# SPDX-License-Identifier: Apache-2.0
"""``osprofiler policy sign``: the file is signed in place, the key is never shown."""

from pathlib import Path

import pytest

from osprofiler.steering import signature
from tests.unit.test_cli import run

KEY = "0123456789abcdef0123456789abcdef"
TEXT = b"services:\n  '*': {sampler: 'const:1'}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "policy.yaml"
    file.write_bytes(TEXT)
    return file


def test_a_file_is_signed_again_and_again(file: Path, tmp_path: Path) -> None:
    file.chmod(0o644)
    key = tmp_path / "policy.key"
    key.write_text(f"{KEY}\n")
    for _ in range(2):
        done = run("policy", "sign", str(file), "--key-file", str(key))
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{file}: signed\n", "")
        assert file.read_bytes() == signature.signed(TEXT, KEY)
        assert file.stat().st_mode & 0o777 == 0o644
    other = f"another {KEY}"
    assert run("policy", "sign", str(file), OSPROFILER_POLICY_KEY=other).returncode == 0
    signature.check(file.read_bytes(), [other])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy.key", "policy.yaml"]


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (None, "osprofiler: cannot read {key}: No such file or directory\n"),
        ("\n", "osprofiler: there is no key in the first line of {key}\n"),
        (f"{KEY},{KEY}", "osprofiler: a key has no comma: [profiler] policy_key separates keys by commas\n"),
    ],
)
def test_without_a_usable_key_the_file_stays(key: str | None, line: str, file: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy.key"
    if key is not None:
        path.write_text(key)
    done = run("policy", "sign", str(file), "--key-file", str(path))
    assert (done.returncode, done.stderr) == (1, line.format(key=path))
    assert file.read_bytes() == TEXT


def test_there_is_no_key(file: Path) -> None:
    done = run("policy", "sign", str(file))
    assert done.stderr == "osprofiler: there is no key: give --key-file, or set $OSPROFILER_POLICY_KEY\n"


def test_a_short_key_is_named(file: Path) -> None:
    done = run("policy", "sign", str(file), OSPROFILER_POLICY_KEY="short")
    assert (done.returncode, done.stderr) == (0, "osprofiler: the key is short (5 bytes), and may be guessed\n")


def test_a_policy_with_mistakes_is_not_signed(file: Path) -> None:
    file.write_text("services:\n  a: {sampler: often}\n")
    done = run("policy", "sign", str(file), OSPROFILER_POLICY_KEY=KEY)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{file}: line 2: sampler: 'often' is not a sampler")
    assert b"signature" not in file.read_bytes()
