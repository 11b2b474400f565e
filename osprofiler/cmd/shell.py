# SPDX-License-Identifier: Apache-2.0
"""The console script ``osprofiler``: finds the command, runs it, and says in one line what went wrong.

Exit status: 0; 1 the operation failed; 2 it was asked for wrongly; 130 it was interrupted.
"""

from __future__ import annotations

import sys

try:
    import argparse
    import gc
    import inspect
    import io
    import logging
    import os
    import traceback
    import warnings
    from collections.abc import Callable, Iterator
    from contextlib import contextmanager, redirect_stderr, suppress
    from typing import Any, NoReturn

    import osprofiler
    import osprofiler.cmd.patch  # a group of commands is found by being there
    import osprofiler.cmd.policy
    from osprofiler import exc
    from osprofiler.cmd import cliutils, commands, sources
    from osprofiler.connection import secrets
    from osprofiler.connection.fault_text import typed_fault_line
    from osprofiler.records import unreadable
except KeyboardInterrupt:  # the console script imports this module before it calls anything in it
    sys.exit(130)

LOG = logging.getLogger(__name__)


class _Parser(argparse.ArgumentParser):
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in the base class; but each command's parser answers for what it does not know, and points at its help."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see `{self.prog} --help`)\n")


class OSProfilerShell:
    """One run of the command line; ``status`` is the exit status."""

    def __init__(self, argv: list[str]) -> None:
        args = self._get_base_parser(argv).parse_args(argv)
        self.status: int = args.func(args) or 0

    def _get_base_parser(self, argv: list[str]) -> argparse.ArgumentParser:
        parser = _Parser(
            prog="osprofiler",
            description="Look at the traces of OpenStack services, or see one made.",
            epilog=_epilog(("osprofiler demo", "osprofiler trace list", "osprofiler trace show TRACE_ID")),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("-v", "--version", action="version", version=osprofiler.__version__)
        parser.set_defaults(func=_help_of(parser))
        subcommands = parser.add_subparsers(title="commands", metavar="COMMAND")
        for group in commands.BaseCommand.__subclasses__():
            if group.group_name is not None:
                _add_group(subcommands, group)
        _add_demo(subcommands, argv)
        return parser


def _add_group(subcommands: Any, group: type[commands.BaseCommand]) -> None:
    about = _first_line(group)
    group_parser = subcommands.add_parser(group.group_name, help=about, description=about)
    group_parser.set_defaults(func=_help_of(group_parser))
    methods = group_parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, method in inspect.getmembers(group(), predicate=inspect.ismethod):
        if name.startswith("_"):
            continue
        parser = methods.add_parser(
            name.rstrip("_").replace("_", "-"),  # import_ could not be named after its command
            help=_first_line(method),
            description=inspect.getdoc(method),
            epilog=_epilog(getattr(method, "examples", ())),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for names, options in getattr(method, "arguments", []):
            parser.add_argument(*names, **options)
        parser.set_defaults(func=method)


def _add_demo(subcommands: Any, argv: list[str]) -> None:
    about = "run a small cloud that boots a server, and show the trace of it"
    parser = subcommands.add_parser("demo", help=about, description=about)
    if "demo" in argv:  # its module is not loaded for other commands
        from osprofiler.cmd import demo

        demo.add_arguments(parser)
        parser.set_defaults(func=demo.run)


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def _epilog(examples: tuple[str, ...]) -> str | None:
    return "\n".join(["examples:", *(f"  {example}" for example in examples)]) if examples else None


def _help_of(parser: argparse.ArgumentParser) -> Any:
    def show_help(_: argparse.Namespace) -> int:
        parser.print_help(sys.stderr)
        return 2

    return show_help


def main(args: list[str] | None = None) -> int:
    """Run the command line *args* (``sys.argv`` if None); the exit status."""
    for name in "stdout", "stderr":
        if getattr(sys, name) is None:  # closed by who started us; print() would mix them up
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - until the process ends
    if isinstance(sys.stdout, io.TextIOWrapper):  # what its encoding has no characters for is escaped
        sys.stdout.reconfigure(errors="backslashreplace")
    # A command builds one large trace and ends. To look through that for cycles, again and again, is half the time.
    collects = gc.isenabled()
    gc.disable()
    try:
        argv = sys.argv[1:] if args is None else args
        cut = _cutter(argv)
        with redirect_stderr(_WithoutSecrets(sys.stderr, cut)):
            return _run(argv, cut)
    except BrokenPipeError:  # the reader has seen enough, perhaps of standard error
        return 0
    except KeyboardInterrupt:
        return 130
    finally:
        _leave_nothing()
        if collects:
            gc.enable()


def _run(argv: list[str], cut: Callable[[str], str]) -> int:
    try:
        with _own_words(), unreadable.told(LOG.warning):
            status = OSProfilerShell(argv).status
        sys.stdout.flush()
        return status
    except exc.CommandError as fault:
        return _failed(str(fault), 2 if isinstance(fault, commands.BadInput) else 1)
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except Exception as fault:
        LOG.debug("the command failed\n%s", cut("".join(traceback.format_exception(fault))))
        return _failed(typed_fault_line(fault), 1)


def _leave_nothing() -> None:
    """Have the interpreter, which flushes both streams once more on its way out, not complain where nobody reads."""
    for stream in sys.stdout, sys.stderr:
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _cutter(argv: list[str]) -> Callable[[str], str]:
    """What cuts the secrets of the connection strings in the command line, and of the default, from a text."""
    values = [arg.partition("=")[2] if arg.startswith("--") else arg for arg in argv]
    given = [value for value in values if "://" in value or "@" in value]
    return secrets.cutter(*given, cliutils.env(sources.CONNECTION_STRING))


class _WithoutSecrets:
    """Standard error, for whoever writes there: argparse, which quotes what it does not understand, too."""

    def __init__(self, stream: Any, cut: Callable[[str], str]) -> None:
        self._stream = stream
        self._cut = cut

    def write(self, text: str) -> int:
        self._stream.write(self._cut(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _own_words() -> Iterator[None]:
    """Have stderr say what this program warns of, and not what libraries tell those who program with them."""
    handler, silence = logging.StreamHandler(), logging.NullHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("osprofiler: %(message)s"))
    handlers = ((logging.getLogger("osprofiler"), handler), (logging.getLogger(), silence))
    for logger, each in handlers:
        logger.addHandler(each)
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            yield
    finally:
        for logger, each in handlers:
            logger.removeHandler(each)


def _failed(said: str, status: int) -> int:
    print(f"osprofiler: {' '.join(said.split())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
