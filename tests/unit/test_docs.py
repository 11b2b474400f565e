# SPDX-License-Identifier: Apache-2.0
"""What the README and the documentation show works: their snippets run, their options and files exist."""

import configparser
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from oslo_config import cfg

from osprofiler import opts
from tests import pages

_ROOT = pages.REPOSITORY
_PAGES = [pages.README, *pages.DOCUMENTATION, *sorted(_ROOT.glob("[CS]*.rst"))]
_PACKAGE = _ROOT / "osprofiler"

# A trace for the commands of pages that make none themselves.
_SOME_TRACE = """
from oslo_config import cfg
from osprofiler import initializer, opts, profiler

opts.set_defaults(cfg.CONF, enabled=True, hmac_keys="SECRET_KEY", connection_string="sqlite:///traces.db")
cfg.CONF([], project="shop")
initializer.init_from_conf(cfg.CONF, None, "shop", "till", "host-1")
profiler.init("SECRET_KEY")
with profiler.Trace("some"):
    pass
"""


def _texts(page: Path, language: str) -> list[str]:
    return [block.text for block in pages.blocks(page) if block.language == language]


def _with(language: str) -> list[object]:
    return [pytest.param(page, id=page.name) for page in _PAGES if _texts(page, language)]


def _run(command: list[str], folder: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "OSPROFILER_CONNECTION_STRING"}
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=folder,
        env={**environment, "XDG_STATE_HOME": str(folder), "PYTHONPATH": str(_ROOT)},
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def _prepare(page: Path, folder: Path) -> None:
    for text in _texts(page, "ini"):
        if "connection_string" in text:
            (folder / "shop.conf").write_text(text)
    for text in _texts(page, "yaml"):
        (folder / "policy.yaml").write_text(text)


@pytest.mark.parametrize("page", _with("python"))
def test_python_runs(page: Path, tmp_path: Path) -> None:
    """All snippets of a page, one after the other, as a reader would type them."""
    _prepare(page, tmp_path)
    _run_python("\n".join(_texts(page, "python")), tmp_path)


@pytest.mark.parametrize("number", range(len(_texts(_PAGES[0], "python"))))
def test_each_snippet_of_the_readme_runs_alone(number: int, tmp_path: Path) -> None:
    _prepare(_PAGES[0], tmp_path)
    _run_python(_texts(_PAGES[0], "python")[number], tmp_path)


def _run_python(text: str, folder: Path) -> None:
    output = _run([sys.executable, "-W", "error::SyntaxWarning", "-c", text], folder)
    assert "Traceback" not in output
    assert "tracing fault" not in output
    assert "osprofiler is off" not in output


@pytest.mark.parametrize("page", _with("console"))
def test_commands_run(page: Path, tmp_path: Path) -> None:
    _prepare(page, tmp_path)
    own = "\n".join(_texts(page, "python"))
    makes_traces = own and ("traces.db" in own or (tmp_path / "shop.conf").exists())
    _run([sys.executable, "-c", own if makes_traces else _SOME_TRACE], tmp_path)
    shell = [sys.executable, "-m", "osprofiler.cmd.shell"]
    listed = _run([*shell, "trace", "list", "--connection-string", "sqlite:///traces.db"], tmp_path)
    trace_id = re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", listed)[0]
    for line in "\n".join(_texts(page, "console")).splitlines():
        prompt, program, *words = line.split()
        if prompt == "#":
            assert program == "apt", line
        elif program == "make":
            assert re.search(rf"^{words[0]}:", (_ROOT / "Makefile").read_text(), re.M), line
        elif (program, *words[:1]) == ("osprofiler", "serve"):
            _serve([*shell, *words, "--port", "0"], tmp_path)
        elif program == "osprofiler":
            _run([*shell, *(trace_id if word == "TRACE_ID" else word for word in words)], tmp_path)
        elif "pip" in program:
            assert " install '.[" in line, "the index has another osprofiler"
        else:
            assert line in ("$ python3 -m venv venv", "$ . venv/bin/activate", "$ python shop.py"), line


def _serve(command: list[str], folder: Path) -> None:
    """Run a command that serves until it is ended."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("osprofiler: serving sqlite:///traces.db at ")
        process.terminate()
    assert process.returncode == 0


@pytest.mark.parametrize("page", _with("ini"))
def test_options_in_examples_exist(page: Path) -> None:
    conf = cfg.ConfigOpts()
    opts.register(conf)
    for text in _texts(page, "ini"):
        parser = configparser.ConfigParser()
        parser.read_string(text)
        for section in parser.sections():
            if section.startswith("profiler"):
                for option in parser.options(section):
                    assert option in conf[section], f"[{section}] {option}"


def test_every_option_is_documented_with_its_default() -> None:
    text = (_ROOT / "doc" / "source" / "configuration.rst").read_text()
    for _, options in opts.list_opts():
        for option in options:
            row = re.search(rf"\* - ``{option.name}``( \(mutable\))?\n     - (.*)", text)
            if row is None:
                assert f"``{option.name}`` (``{option.default}``)" in text, option.name
                continue
            assert bool(row[1]) == option.mutable, option.name
            default = ", ".join(option.default) if isinstance(option.default, list) else option.default
            assert row[2] == (f"``{default}``" if default not in ("", None, {}) else "none"), option.name


def test_every_option_of_the_demo_is_documented(tmp_path: Path) -> None:
    text = (_ROOT / "doc" / "source" / "reports.rst").read_text()
    options = set(
        re.findall(r"--[a-z-]+", _run([sys.executable, "-m", "osprofiler.cmd.shell", "demo", "--help"], tmp_path))
    )
    assert {option for option in options - {"--help"} if f"``{option}" not in text} == set()


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_source_file_that_a_page_names_exists(page: Path) -> None:
    """Paths are those of the repository, or those of the package. A page may also have its reader write a file."""
    paths = set(re.findall(r"``([\w./]+\.(?:py|js))``", page.read_text()))
    paths -= {block.file for block in pages.blocks(page)}
    assert {path for path in paths if not ((_ROOT / path).exists() or (_PACKAGE / path).exists())} == set()


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_a_named_part_of_a_source_file_is_there(page: Path) -> None:
    """``name`` in ``path.py``."""
    parts = re.findall(r"``(\w+)`` in\s+``([\w/]+\.py)``", page.read_text())
    assert [(name, path) for name, path in parts if not re.search(rf"\b{name}\b", (_PACKAGE / path).read_text())] == []


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_dotted_name_of_the_package_exists(page: Path) -> None:
    """Modules, their attributes, and the tags that begin like them."""
    tags = re.compile(r"[\"'](osprofiler\.[\w.]+)[\"']")
    known = {tag for module in _PACKAGE.rglob("*.py") for tag in tags.findall(module.read_text())}
    names = set(re.findall(r"\bosprofiler(?:\.\w+)+", page.read_text()))
    assert {name for name in names - known if not _resolves(name)} == set()


def _resolves(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_what_a_page_refers_to_exists(page: Path) -> None:
    text = page.read_text()
    files = re.findall(r"^\.\. image:: (\S+)", text, re.M) + re.findall(r"`[^`<]+ <([^:>]+)>`_", text)
    assert ":doc:" not in text, "where README's links lead, roles of Sphinx are dead"
    files += [
        f"{name}.rst"
        for tree in re.findall(r"toctree::\n(?:   :.*\n)*\n((?:   \S+\n)+)", text)
        for name in tree.split()
    ]
    for file in files:
        assert (page.parent / file).exists(), file
