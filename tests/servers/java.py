# SPDX-License-Identifier: Apache-2.0
"""Servers made of Maven artifacts: where ``tools/java-server-build`` has put them, and how they are run."""

from pathlib import Path

from tests.servers.base import Missing, built, program


def folder(name: str) -> Path:
    """Return the folder of the server *name*. Raises Missing if it has not been made."""
    try:
        made = Path(built("java-server-build", name))
    except Missing:
        raise Missing(f"no {name}: run `tools/java-server-build {name}`, which makes it once") from None
    program("java", install="default-jdk-headless")
    return made


def command(name: str, *arguments: str, megabytes: int, module: str = "", lives_long: bool = False) -> list[str]:
    """Return the command that runs the server *name* in a heap of so many *megabytes*; as Java's *module*, if it has to
    be one. With *lives_long* all of Java's compilers are used."""
    made = folder(name)
    heap = [f"-Xms{megabytes}m", f"-Xmx{megabytes}m"]
    if module:
        classes = ["-p", f"{made}/lib", "--add-modules", module, "-cp", f"{made}/classes"]
    else:
        classes = ["-cp", f"{made}/classes:{made}/lib/*"]
    # The quick compiler only: most of these servers live for seconds, on machines with two cores.
    compilers = [] if lives_long else ["-XX:TieredStopAtLevel=1"]
    return [program("java", install="default-jdk-headless"), *heap, *compilers, *classes, "Main", *arguments]
