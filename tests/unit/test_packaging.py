# SPDX-License-Identifier: Apache-2.0
"""What people install: the wheel, built the way pip builds it and looked at from outside the checkout."""

import ast
import configparser
import email
import email.message
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("osprofiler", "patches", "tests", "pyproject.toml", "setup.py", "MANIFEST.in", "README.rst", "LICENSE")
EXTRAS = {"all", "elasticsearch", "messaging", "mongo", "otlp", "redis", "sqlalchemy"}
# Imported only in a process whose service has brought it; and urllib3, without which there is no requests.
BROUGHT = {"anyio", "eventlet", "futurist", "gevent", "openstacksdk", "oslo-concurrency", "oslo-service", "urllib3"}
PATCHES = "osprofiler/patching/patches/"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel made from a copy, since a build leaves its folders beside the sources."""
    copy, made = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("made")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(source, copy / name)
    patch = copy / "patches" / "a-project" / "31.0.0" / "0001-deep-down.patch"
    patch.parent.mkdir(parents=True)
    patch.write_text("--- a\n+++ b\n")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(made), str(copy)]
    done = subprocess.run(build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (built,) = made.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        return email.message_from_bytes(archive.read("osprofiler-5.0.0.dist-info/METADATA"))


def _files(folder: Path) -> set[str]:
    """Return what is in *folder* but for what Python and linters leave there, by path from the root."""
    found = (path.relative_to(ROOT) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if not any(part[0] == "." or part == "__pycache__" for part in path.parts)}


def test_the_wheel_is_for_every_python_and_named_as_services_require_it(wheel: Path) -> None:
    assert wheel.name == "osprofiler-5.0.0-py3-none-any.whl"


def test_every_file_of_the_package_is_in_the_wheel(names: set[str]) -> None:
    expected = _files(ROOT / "osprofiler")
    assert "osprofiler/py.typed" in expected
    assert expected - names == set()


def test_the_patches_are_in_the_wheel_at_any_depth(names: set[str]) -> None:
    expected = {PATCHES + name.removeprefix("patches/") for name in _files(ROOT / "patches")}
    expected.add(PATCHES + "a-project/31.0.0/0001-deep-down.patch")
    assert {name for name in names if name.startswith(PATCHES)} == expected


def test_nothing_else_is_in_the_wheel(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names} == {"osprofiler", "osprofiler-5.0.0.dist-info"}
    assert [name for name in names if name.endswith(".pyc")] == []


def test_metadata(metadata: email.message.Message) -> None:
    assert metadata["Name"] == "osprofiler"
    assert metadata["Version"] == "5.0.0"
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra", [])) >= EXTRAS


def test_the_core_requires_no_store_and_no_framework(metadata: email.message.Message) -> None:
    required = [line.lower() for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert [line for line in required if line.startswith("jaeger-client")]
    optional = ("elasticsearch", "eventlet", "graphviz", "oslo.messaging", "pymongo", "redis", "sqlalchemy", "opentele")
    assert [line for line in required if line.startswith(optional)] == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="which distribution a package belongs to is seldom known")
def test_every_library_the_package_imports_is_declared(metadata: email.message.Message) -> None:
    lines = [line for line in metadata.get_all("Requires-Dist", []) if not line.endswith(('"test"', '"lint"'))]
    declared = {_canonical(re.split(r"[^\w.-]", line)[0]) for line in lines}
    providers = importlib.metadata.packages_distributions()
    undeclared = {}
    for source in (ROOT / "osprofiler").rglob("*.py"):
        for module in _imports(source):
            top = module.partition(".")[0]
            if top in sys.stdlib_module_names | {"osprofiler", "_typeshed"}:
                continue
            owners = {_canonical(name) for name in providers.get(top, [top])}
            if not owners & (declared | BROUGHT):
                undeclared[str(source.relative_to(ROOT))] = module
    assert undeclared == {}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imports(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_entry_points(wheel: Path) -> None:
    """The three by which services, paste and shells find osprofiler have the values they have in osprofiler 4.4.0."""
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    with zipfile.ZipFile(wheel) as archive:
        parser.read_string(archive.read("osprofiler-5.0.0.dist-info/entry_points.txt").decode())
    assert dict(parser["console_scripts"]) == {"osprofiler": "osprofiler.cmd.shell:main"}
    assert dict(parser["oslo.config.opts"]) == {"osprofiler": "osprofiler.opts:list_opts"}
    assert dict(parser["paste.filter_factory"]) == {"osprofiler": "osprofiler.web:WsgiMiddleware.factory"}


def test_the_installed_package_says_its_version_and_finds_its_patches(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import importlib.metadata, importlib.resources, osprofiler\n"
        "assert osprofiler.__version__ == importlib.metadata.version('osprofiler') == '5.0.0'\n"
        "folder = importlib.resources.files('osprofiler.patching') / 'patches' / 'a-project' / '31.0.0'\n"
        "print(osprofiler.__file__, (folder / '0001-deep-down.patch').read_text().splitlines()[0])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    assert shown.stdout.split(" ", 1) == [str(tmp_path / "osprofiler" / "__init__.py"), "--- a\n"]
