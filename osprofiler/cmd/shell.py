# SPDX-License-Identifier: Apache-2.0
"""The console script ``osprofiler``: runs one command, and prints an error as one line.

Exit status: 0: success; 1: the command failed; 2: wrong arguments; 130: interrupted.
"""

from __future__ import annotations

import sys

try:
    import argparse
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
    import osprofiler.cmd.patch  # importing a group of commands registers it
    import osprofiler.cmd.policy
    from osprofiler import exc
    from osprofiler.cmd import cliutils, commands, demo, doctor, garbage, serve
    from osprofiler.connection import secrets
    from osprofiler.connection.fault_text import typed_fault_line
    from osprofiler.connection.strings import CONNECTION_STRING
    from osprofiler.drivers.errors import StoreError
    from osprofiler.records import unreadable
except KeyboardInterrupt:  # Ctrl-C during the imports, before main() can catch it
    sys.exit(130)

LOG = logging.getLogger(__name__)


class _Parser(argparse.ArgumentParser):
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Report unknown arguments here: so the error names the command's own help, not that of the main parser."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see `{self.prog} --help`)\n")


class OSProfilerShell:
    """One run of the command line; ``status`` is the exit status."""

    def __init__(self, argv: list[str]) -> None:
        args = self._get_base_parser().parse_args(argv)
        self.status: int = args.func(args) or 0

    def _get_base_parser(self) -> argparse.ArgumentParser:
        parser = _Parser(
            prog="osprofiler",
            description="Show the traces of OpenStack services, check a service, or run a demo that makes a trace.",
            epilog=_epilog(("osprofiler demo", "osprofiler trace show latest", "osprofiler trace show --help")),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("-v", "--version", action="version", version=osprofiler.__version__)
        parser.set_defaults(func=_help_of(parser))
        subcommands = parser.add_subparsers(title="commands", metavar="COMMAND")
        for group in commands.BaseCommand.__subclasses__():
            if group.group_name is not None:
                _add_group(subcommands, group)
        for name, command in (("serve", serve.run), ("doctor", doctor.run), ("demo", demo.run)):
            _add_command(subcommands, name, command)
        return parser


def _add_group(subcommands: Any, group: type[commands.BaseCommand]) -> None:
    about = _first_line(group)
    group_parser = subcommands.add_parser(group.group_name, help=about, description=about)
    group_parser.set_defaults(func=_help_of(group_parser))
    methods = group_parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, method in inspect.getmembers(group(), predicate=inspect.ismethod):
        if name.startswith("_"):
            continue
        # The method of `import` is import_: import is a keyword.
        _add_command(methods, name.rstrip("_").replace("_", "-"), method)


def _add_command(subcommands: Any, name: str, command: Callable[..., Any]) -> None:
    parser = subcommands.add_parser(
        name,
        help=_first_line(command),
        description=inspect.getdoc(command),
        epilog=_epilog(getattr(command, "examples", ())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for names, options in getattr(command, "arguments", []):
        parser.add_argument(*names, **options)
    parser.set_defaults(func=command)


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def _epilog(examples: tuple[str, ...]) -> str | None:
    return "\n".join(["examples:", *(f"  {example}" for example in examples)]) if examples else None


def _help_of(parser: argparse.ArgumentParser) -> Any:
    def show_help(_: argparse.Namespace) -> int:
        parser.print_help(sys.stderr)
        return 2

    return show_help


def main(args: list[str] | None = None) -> int:
    """Run the command line *args* (``sys.argv`` if None). Returns the exit status."""
    for name, mode in ("stdin", "r"), ("stdout", "w"), ("stderr", "w"):
        if getattr(sys, name) is None:  # the parent process closed it; the next opened file would take its place
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - until the process ends
    if isinstance(sys.stdout, io.TextIOWrapper):  # escape characters that its encoding does not have
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        argv = sys.argv[1:] if args is None else args
        cut = _cutter(argv)
        with redirect_stderr(_WithoutSecrets(sys.stderr, cut)), garbage.kept():
            return _run(argv, cut)
    except BrokenPipeError:  # the reader of standard output or standard error has closed it
        return 0
    except KeyboardInterrupt:
        return 130
    finally:
        _flush_streams()


def _run(argv: list[str], cut: Callable[[str], str]) -> int:
    try:
        with _own_warnings_only(), unreadable.told(LOG.warning):
            status = OSProfilerShell(argv).status
        sys.stdout.flush()
        return status
    except (exc.CommandError, StoreError) as fault:
        return _failed(str(fault), 2 if isinstance(fault, commands.BadInput) else 1)
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except Exception as fault:
        LOG.debug("the command failed\n%s", cut("".join(traceback.format_exception(fault))))
        return _failed(typed_fault_line(fault), 1)


def _flush_streams() -> None:
    """Flush both streams. Redirect a closed one to /dev/null: else the interpreter complains at exit."""
    for stream in sys.stdout, sys.stderr:
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _cutter(argv: list[str]) -> Callable[[str], str]:
    """A function that cuts secrets from a text: those of the command line's and the default connection strings."""
    values = [arg.partition("=")[2] if arg.startswith("--") else arg for arg in argv]
    given = [value for value in values if "://" in value or "@" in value]
    return secrets.cutter(*given, cliutils.env(CONNECTION_STRING))


class _WithoutSecrets:
    """Standard error without secrets. Also for argparse, which quotes arguments that it does not understand."""

    def __init__(self, stream: Any, cut: Callable[[str], str]) -> None:
        self._stream = stream
        self._cut = cut

    def write(self, text: str) -> int:
        self._stream.write(self._cut(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _own_warnings_only() -> Iterator[None]:
    """Print the warnings of osprofiler to standard error, and silence the warnings of libraries."""
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


def _failed(message: str, status: int) -> int:
    print(f"osprofiler: {' '.join(message.split())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
