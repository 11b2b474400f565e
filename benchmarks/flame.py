# SPDX-License-Identifier: Apache-2.0
"""Draw where the time of a traced span goes: ``python -m benchmarks.flame FILE.svg``.

A flame graph: each box is a function, as wide as its share of the CPU time, on the function that called it.
"""

from __future__ import annotations

import argparse
import dataclasses
import html
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks import collect
from benchmarks.environments import contenders
from tests.servers import Jaeger

_WIDTH, _ROW, _NARROWEST = 1200.0, 17, 0.4
_STYLE = "text{font:11px sans-serif}rect{stroke:#fff;stroke-width:.5}"


@dataclasses.dataclass
class Node:
    """A function in one place of the call tree, and the samples seen in it or in what it called."""

    name: str
    samples: int = 0
    children: dict[str, Node] = dataclasses.field(default_factory=dict)


def tree(stacks: Mapping[str, int]) -> Node:
    """The call tree of folded stacks; what the program needs to get to its work is left out."""
    root = Node("all")
    for stack, samples in stacks.items():
        names = stack.split(";")
        start = next((at for at, name in enumerate(names) if name in ("sample.caller", "sample.reporter")), None)
        if start is None:
            continue
        node = root
        root.samples += samples
        for name in names[start:]:
            node = node.children.setdefault(name, Node(name))
            node.samples += samples
    return root


def depth(node: Node) -> int:
    return 1 + max((depth(child) for child in node.children.values()), default=0)


def boxes(node: Node, x: float, level: int, scale: float, whole: int, height: int) -> Iterator[str]:
    """The SVG elements of *node* and of what is on it."""
    width = node.samples * scale
    if width < _NARROWEST:
        return
    y = height - (level + 1) * _ROW
    share = f"{node.name}: {node.samples / whole:.1%}"
    hue = 20 + zlib.crc32(node.name.partition(".")[0].encode()) % 40
    yield f'<g><title>{html.escape(share)}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_ROW - 1}"'
    yield f' fill="hsl({hue},80%,{62 + level % 3 * 4}%)"/>'
    fits = int(width / 6.3)
    if fits > 3:
        yield f'<text x="{x + 2:.1f}" y="{y + 12}">{html.escape(share[:fits])}</text>'
    yield "</g>\n"
    for child in sorted(node.children.values(), key=lambda child: child.name):
        yield from boxes(child, x, level + 1, scale, whole, height)
        x += child.samples * scale


def svg(stacks: Mapping[str, int], title: str) -> str:
    """The picture."""
    root = tree(stacks)
    height = (depth(root) + 1) * _ROW + 10
    body = "".join(boxes(root, 0, 0, _WIDTH / max(root.samples, 1), max(root.samples, 1), height - 4))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {height}"><style>{_STYLE}</style>'
    return f'{head}<text x="4" y="14">{html.escape(title)}, {root.samples:,} samples</text>\n{body}</svg>\n'


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flame", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--title", default="A traced span of two tags: its caller's part, and the reporter's")
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    with Jaeger() as jaeger:
        (stacks,) = collect.child(contenders()["ours"], "sample.py", {"target": jaeger.url, "seconds": args.seconds})
    args.file.write_text(svg(stacks, args.title))


if __name__ == "__main__":
    main()
