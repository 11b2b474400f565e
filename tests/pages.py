# SPDX-License-Identifier: Apache-2.0
"""The code blocks of README and of the documentation, for tests that run what those show."""

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]
README = REPOSITORY / "README.rst"
QUICKSTART = REPOSITORY / "doc" / "source" / "quickstart.rst"
DOCUMENTATION = sorted((REPOSITORY / "doc" / "source").glob("*.rst"))

_BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n\n((?:(?:   .*)?\n)+)", re.M)
_FILE = re.compile(r"``([\w-]+\.(?:py|conf|yaml))``")


class Block(NamedTuple):
    """A piece of code in a page."""

    language: str
    text: str
    file: str  # the file that the paragraph above the block names last; empty if it names none


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of *page* in their order."""
    text = page.read_text() + "\n"
    return [
        Block(match[1], textwrap.dedent(match[2]).strip("\n"), _file_named_above(text[: match.start()]))
        for match in _BLOCK.finditer(text)
    ]


def _file_named_above(text: str) -> str:
    paragraph = text.rstrip().rpartition("\n\n")[2]
    return next(reversed(_FILE.findall(paragraph)), "")
