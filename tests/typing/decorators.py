# SPDX-License-Identifier: Apache-2.0
"""What is decorated keeps its signature: mypy reads this file, nothing runs it.

A line that must be an error says so; mypy complains where it is none.
"""

from collections.abc import AsyncIterator, Iterator

from osprofiler import profiler


@profiler.trace("boot", info={"kind": "server"}, hide_args=True)
def boot(name: str, *, wait: bool = False) -> int:
    return len(name) if wait else 0


@profiler.trace("fetch")
async def fetch(url: str) -> bytes:
    return url.encode()


@profiler.trace("numbers")
def numbers(limit: int) -> Iterator[int]:
    yield from range(limit)


@profiler.trace("later")
async def later(limit: int) -> AsyncIterator[int]:
    yield limit


@profiler.trace_cls("rpc", hide_args=True)
class Manager:
    def delete(self, name: str) -> bool:
        return bool(name)

    @profiler.trace("sized")
    def size(self) -> int:
        return 1

    @classmethod
    @profiler.trace("made")
    def make(cls) -> "Manager":
        return cls()


class Traced(metaclass=profiler.TracedMeta):
    __trace_args__ = {"name": "rpc"}  # noqa: RUF012

    def work(self) -> int:
        return 1


count: int = boot("server", wait=True)
size: int = Manager.make().size()
gone: bool = Manager().delete("server")
one: int = next(iter(numbers(3)))
worked: int = Traced().work()


async def use() -> None:
    content: bytes = await fetch("http://here")
    async for number in later(1):
        print(number + 1, content)


boot(1)  # type: ignore[arg-type]
boot("server", later=True)  # type: ignore[call-arg]
text: str = boot("server")  # type: ignore[assignment]
Manager().delete(1)  # type: ignore[arg-type]
profiler.trace()  # type: ignore[call-arg]
