# SPDX-License-Identifier: Apache-2.0
"""The patch tool on a small package made for it: all files or none, and back byte for byte, whatever happens."""

import errno
import fcntl
import json
import os
import py_compile
import shutil
import signal
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from osprofiler.cmd import shell
from osprofiler.patching import catalog, unified
from osprofiler.patching.catalog import sha256
from osprofiler.patching.errors import PatchError

PROGRAM = Path(__file__).parent / "programs" / "patch_killed.py"

ORIGINALS = {
    "pears/__init__.py": "",
    "pears/one.py": "".join(f"line {number}\n" for number in range(1, 31)),
    "pears/sub/two.py": "first\nsecond\nthird\n",
    "pears/three.py": "x = 1\n",
}
PATCHED = {
    **ORIGINALS,
    "pears/one.py": ORIGINALS["pears/one.py"].replace("line 3\n", "line three\n").replace("line 28\n", ""),
    "pears/sub/two.py": "first\nsecond\nand a half\nthird\n",
    "pears/three.py": "x = 2\n",
}
DIFFS = {
    "one.patch": """\
--- a/pears/one.py
+++ b/pears/one.py
@@ -2,3 +2,3 @@ a heading
 line 2
-line 3
+line three
 line 4
@@ -27,3 +27,2 @@
 line 27
-line 28
 line 29
""",
    "rest.patch": """\
Text before a file's changes means nothing.
--- a/pears/sub/two.py\t2026-01-01
+++ b/pears/sub/two.py\t2026-01-02
@@ -2,0 +3 @@
+and a half
--- a/pears/three.py
+++ b/pears/three.py
@@ -1 +1 @@
-x = 1
+x = 2
""",
}
CHANGED = ["pears/one.py", "pears/sub/two.py", "pears/three.py"]


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def content(root: Path) -> dict[str, str]:
    return {path: (root / path).read_text() for path in ORIGINALS}


def leftovers(root: Path) -> list[str]:
    """All files that belong neither to the package nor to its metadata."""
    known = {root / path for path in ORIGINALS}
    found = [file for file in root.rglob("*") if file.is_file() and file not in known]
    return sorted(str(file.relative_to(root)) for file in found if ".dist-info" not in str(file))


@pytest.fixture
def patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The patches that osprofiler has: of one project, for one of its releases and one that is the same."""
    folder = tmp_path / "patches"
    write(folder / "python-pears" / "1.1.0", DIFFS)
    sums = {
        path: {"before": sha256(ORIGINALS[path].encode()), "after": sha256(PATCHED[path].encode())} for path in CHANGED
    }
    index = {"package": "pears", "releases": {"1.1.0": "1.1.0", "1.0.9": "1.1.0"}, "files": {"1.1.0": sums}}
    (folder / "python-pears" / "index.json").write_text(json.dumps(index))
    monkeypatch.setattr(catalog, "_folder", lambda: folder)
    return folder


@pytest.fixture
def root(tmp_path: Path, patches: Path) -> Path:
    """A folder of packages with release 1.1.0 in it."""
    folder = tmp_path / "site-packages"
    write(folder, ORIGINALS)
    install(folder, "1.1.0")
    return folder


def install(root: Path, release: str) -> None:
    for info in root.glob("*.dist-info"):
        shutil.rmtree(info)
    text = f"Metadata-Version: 2.1\nName: python-pears\nVersion: {release}\n"
    write(root, {f"python_pears-{release}.dist-info/METADATA": text})


def patch(command: str, root: Path, *more: str, project: str = "python-pears") -> int:
    return shell.main(["patch", command, project, "--path", str(root), *more])


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return out + err


@pytest.mark.parametrize("project", ["python-pears", "pears", "Python_Pears"])
def test_applied_and_reverted(root: Path, project: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: (root / path).stat() for path in CHANGED}

    assert patch("check", root, project=project) == 0
    assert "the patch fits" in printed(capsys)
    assert patch("apply", root, project=project) == 0
    assert content(root) == PATCHED
    assert patch("check", root, project=project) == 0
    assert "the patch is applied" in printed(capsys)
    assert patch("revert", root, project=project) == 0

    assert content(root) == ORIGINALS
    assert leftovers(root) == []
    for path, stat in before.items():
        after = (root / path).stat()
        assert (after.st_mode, after.st_mtime_ns) == (stat.st_mode, stat.st_mtime_ns)


def test_a_second_apply_and_a_second_revert_do_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert patch("revert", root) == 0
    assert "not applied" in printed(capsys)
    assert patch("apply", root) == 0
    assert patch("apply", root) == 0
    assert "already applied" in printed(capsys)
    assert patch("revert", root) == 0
    assert content(root) == ORIGINALS


def test_what_is_kept_is_as_open_as_the_package(root: Path) -> None:
    """Root patches with a tight umask; `check` is for everybody who can read the package."""
    mask = os.umask(0o077)
    try:
        assert patch("apply", root) == 0
    finally:
        os.umask(mask)
    kept = root / ".osprofiler-patches"
    mode = root.stat().st_mode
    assert {each.stat().st_mode for each in (kept, *kept.rglob("*")) if each.is_dir()} == {mode}


def test_what_an_interrupted_pip_has_left_is_not_installed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "Metadata-Version: 2.1\nName: python-pears\nVersion: 1.0.0\n"
    for i in range(8):  # a folder lists them in any order
        write(root, {f"~{'python_pears'[i + 1 :]}-1.0.0.dist-info/METADATA": text})
    assert patch("check", root) == 0
    assert "1.0.0" not in printed(capsys)


def test_the_release_that_shares_a_patch(root: Path) -> None:
    install(root, "1.0.9")
    assert patch("apply", root) == 0
    assert content(root) == PATCHED


@pytest.mark.parametrize("command", ["apply", "revert"])
def test_a_dry_run_touches_nothing(root: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    if command == "revert":
        patch("apply", root)
    before = {file: file.stat().st_mtime_ns for file in root.rglob("*")}
    assert patch(command, root, "--dry-run") == 0
    assert "3 files would be" in printed(capsys)
    assert {file: file.stat().st_mtime_ns for file in root.rglob("*")} == before


@pytest.mark.parametrize("where", ["in a change", "elsewhere", "gone"])
def test_a_tampered_file_is_refused_and_no_other_is_touched(
    root: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = root / "pears/sub/two.py"
    if where == "gone":
        file.unlink()
    else:
        file.write_text(ORIGINALS["pears/sub/two.py"].replace("second" if where == "in a change" else "first", "other"))
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}

    assert patch("check", root) == 1
    assert "does not fit" in printed(capsys)
    assert patch("apply", root) == 1
    assert "pears/sub/two.py is " in printed(capsys)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_a_file_that_was_changed_after_the_patch_is_not_reverted(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patch("apply", root)
    (root / "pears/three.py").write_text("x = 3\n")
    assert patch("revert", root) == 1
    assert "pears/three.py is neither" in printed(capsys)
    assert content(root) == {**PATCHED, "pears/three.py": "x = 3\n"}


def test_no_bytecode_of_the_other_source_stays(root: Path) -> None:
    """Also where Python does not check it against its source."""
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for step, value in (("apply", 2), ("revert", 1)):
        py_compile.compile(str(root / "pears/three.py"), invalidation_mode=unchecked)
        assert Path(cache_from_source(str(root / "pears/three.py"))).exists()
        assert patch(step, root) == 0
        done = subprocess.run(
            [sys.executable, "-c", "from pears import three; print(three.x)"],
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        assert int(done.stdout) == value


def test_partly_patched_by_hand_leads_both_ways(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, outcome in (("apply", PATCHED), ("revert", ORIGINALS)):
        write(root, {**ORIGINALS, "pears/three.py": PATCHED["pears/three.py"]})
        assert patch("check", root) == 1
        assert "partly applied" in printed(capsys)
        assert patch(command, root) == 0
        assert content(root) == outcome
        patch("revert", root)


def test_wholly_patched_by_hand(root: Path) -> None:
    write(root, PATCHED)
    assert patch("check", root) == 0
    assert patch("revert", root) == 0
    assert content(root) == ORIGINALS
    assert leftovers(root) == []


@pytest.mark.parametrize("command", ["apply", "revert"])
def test_killed_at_every_step(root: Path, patches: Path, command: str) -> None:
    """After each replacement of a file, the kept ones and the journal too: either way leads to its end."""
    for onward, outcome in (("apply", PATCHED), ("revert", ORIGINALS)):
        steps = 0
        while True:
            write(root, ORIGINALS)
            shutil.rmtree(root / ".osprofiler-patches", ignore_errors=True)
            if command == "revert":
                assert patch("apply", root) == 0
            killed = subprocess.run(
                [
                    sys.executable,
                    str(PROGRAM),
                    str(patches),
                    str(steps),
                    "patch",
                    command,
                    "pears",
                    "--path",
                    str(root),
                ],
                check=False,
                stdout=subprocess.DEVNULL,
            )
            if killed.returncode == 0:
                break
            assert killed.returncode == -signal.SIGKILL
            assert {text in (ORIGINALS[path], PATCHED[path]) for path, text in content(root).items()} == {True}
            assert patch("check", root) in (0, 1)
            assert patch(onward, root) == 0
            assert content(root) == outcome
            assert patch("revert", root) == 0
            assert leftovers(root) == []
            steps += 1
        assert steps >= 5


def test_a_write_that_fails_takes_back_what_was_written(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace = os.replace

    def full(source: str, target: Path) -> None:
        if Path(target) == root / "pears/three.py":
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    assert patch("apply", root) == 1
    assert "No space left on device" in printed(capsys)
    assert content(root) == ORIGINALS
    assert leftovers(root) == []


def test_two_runs_at_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handle = os.open(root, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert patch("apply", root) == 1
    assert "another `osprofiler patch` is running" in printed(capsys)
    os.close(handle)
    assert patch("apply", root) == 0


def test_a_newer_osprofiler_brings_its_patch_in_the_place_of_an_older_one(
    root: Path, patches: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert patch("apply", root) == 0
    home = patches / "python-pears"
    (home / "1.1.0" / "one.patch").unlink()  # the newer one leaves this file alone, and changes another otherwise
    rest = DIFFS["rest.patch"].replace("+x = 2", "+x = 22")
    (home / "1.1.0" / "rest.patch").write_text(rest)
    index = json.loads((home / "index.json").read_text())
    del index["files"]["1.1.0"]["pears/one.py"]
    index["files"]["1.1.0"]["pears/three.py"]["after"] = sha256(b"x = 22\n")
    (home / "index.json").write_text(json.dumps(index))

    patch("check", root)
    assert "another osprofiler's patch" in printed(capsys)
    assert patch("apply", root) == 0
    newer = {**PATCHED, "pears/three.py": "x = 22\n", "pears/one.py": ORIGINALS["pears/one.py"]}
    assert content(root) == newer
    assert patch("revert", root) == 0
    assert content(root) == ORIGINALS


def test_kept_in_a_lower_layer_of_a_container(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image whose packages were patched when it was built: overlayfs renames no folder of a layer below."""
    rename = os.replace

    def overlay(source: str | Path, target: str | Path) -> None:
        if os.path.isdir(source):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target)

    assert patch("apply", root) == 0
    monkeypatch.setattr(os, "replace", overlay)
    assert patch("revert", root) == 0
    assert content(root) == ORIGINALS
    assert leftovers(root) == []
    assert patch("apply", root) == 0

    write(root, ORIGINALS)
    install(root, "1.0.9")
    assert patch("apply", root) == 0
    assert content(root) == PATCHED


def test_a_package_that_was_upgraded_under_its_patch(root: Path) -> None:
    """Its new files are originals; what was kept of the old release is not put in their place."""
    assert patch("apply", root) == 0
    install(root, "1.0.9")
    write(root, ORIGINALS)
    assert patch("revert", root) == 0
    assert content(root) == ORIGINALS
    assert patch("apply", root) == 0
    assert patch("revert", root) == 0
    assert leftovers(root) == []


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_reverted_without_what_was_kept(root: Path, damage: str) -> None:
    """The patch itself says what the originals were, to the byte."""
    assert patch("apply", root) == 0
    kept = root / ".osprofiler-patches" / "pears" / "originals" / "pears" / "one.py"
    assert kept.read_text() == ORIGINALS["pears/one.py"]
    if damage == "gone":
        kept.unlink()
    else:
        kept.write_text("something else")
    assert patch("revert", root) == 0
    assert content(root) == ORIGINALS
    assert leftovers(root) == []


def test_a_journal_that_cannot_be_read_says_what_to_do(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert patch("apply", root) == 0
    folder = root / ".osprofiler-patches" / "pears"
    (folder / "journal.json").write_text("{")
    before = content(root)
    for command in ("check", "apply", "revert"):
        assert patch(command, root) == 1
        assert f"remove {folder}" in printed(capsys)
    assert patch("list", root) == 0
    assert "cannot be read" in printed(capsys)
    assert content(root) == before
    shutil.rmtree(folder)
    assert patch("revert", root) == 0
    assert content(root) == ORIGINALS


def test_revert_of_a_release_that_this_osprofiler_has_no_patch_for(root: Path, patches: Path) -> None:
    assert patch("apply", root) == 0
    index = json.loads((patches / "python-pears" / "index.json").read_text())
    index["releases"] = {"1.0.9": "1.1.0"}
    (patches / "python-pears" / "index.json").write_text(json.dumps(index))
    assert patch("revert", root) == 0
    assert content(root) == ORIGINALS


def test_what_cannot_be(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert patch("check", root, project="plums") == 2
    assert "no patches for 'plums'; there are patches for python-pears" in printed(capsys)
    assert patch("check", tmp_path / "nowhere") == 1
    assert "no such folder" in printed(capsys)
    assert patch("check", tmp_path) == 1
    assert "does not contain a package pears" in printed(capsys)
    assert shell.main(["patch", "check", "pears"]) == 1
    assert "not installed" in printed(capsys)
    install(root, "9.9.9")
    assert patch("apply", root) == 1
    assert "no patch for python-pears 9.9.9; there are patches for 1.1.0, 1.0.9" in printed(capsys)
    shutil.rmtree(root / "python_pears-9.9.9.dist-info")
    assert patch("apply", root) == 1
    assert "cannot find the release" in printed(capsys)


def test_list(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.main(["patch", "list"]) == 0
    assert "not found" in printed(capsys)
    assert shell.main(["patch", "list", "pears", "--path", str(root)]) == 0
    shown = printed(capsys)
    assert "1.1.0, 1.0.9" in shown
    assert "1.1.0: the patch fits" in shown


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nothing\n",
        b"@@ -1 +1 @@\n-a\n+b\n",
        b"--- a/f\n",
        b"--- a/f\n+++ b/g\n@@ -1 +1 @@\n-a\n+b\n",
        b"--- a/f\n+++ b/f\n",
        b"--- a/f\n+++ b/f\n@@ -1,2 +1 @@\n-a\n+b\n",
        b"--- a/f\n+++ b/f\n@@ -1 +1 @@\n?\n",
        b"--- a/../f\n+++ b/../f\n@@ -1 +1 @@\n-a\n+b\n",
        b"--- /etc/f\n+++ /etc/../f\n@@ -1 +1 @@\n-a\n+b\n",
    ],
)
def test_a_damaged_diff_is_refused(text: bytes) -> None:
    with pytest.raises(PatchError):
        unified.parse(text)
