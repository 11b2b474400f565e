# SPDX-License-Identifier: Apache-2.0
"""One program for stock osprofiler 4.4.0 and this version. It prints the records of each scenario as JSON.

It imports only osprofiler, and uses only names of 4.4.0. Ids are replaced by numbers in the order of their appearance,
and parts that differ in each run (times, the host) are left out.
"""

import functools
import json
import sys

from osprofiler import notifier, profiler

BASE = "11111111-1111-4111-8111-111111111111"
PARENT = "22222222-2222-4222-8222-222222222222"

SCENARIOS = {}


def scenario(f):
    SCENARIOS[f.__name__] = f
    return f


def ids(view):
    return [view.get_base_id(), view.get_parent_id(), view.get_id()]


@scenario
def nested_starts():
    profiler.init("key", base_id=BASE, parent_id=PARENT)
    profiler.start("a", info={"x": {"y": [1, 2.5, None, True, "t"]}})
    profiler.start("b")
    profiler.stop(info={"z": 1})
    profiler.start("c")
    profiler.stop()
    profiler.stop({"w": {}})


@scenario
def names_with_dashes():
    profiler.init("key", base_id=BASE)
    for name in ("a-start", "neutron-api", "cast-start-stop"):
        profiler.start(name)
        profiler.stop()


@scenario
def blocks():
    profiler.init("key", base_id=BASE)
    info = {"a": 1}
    with profiler.Trace("outer", info=info), profiler.Trace("inner"):
        pass
    return {key: value for key, value in info.items() if key != "host"}


@scenario
def errors_in_blocks():
    profiler.init("key", base_id=BASE)
    for fault in (ValueError("bad"), KeyboardInterrupt("stop"), Nested.Inner("own")):
        try:
            with profiler.Trace("block"):
                raise fault
        except BaseException as caught:
            if caught is not fault:
                raise


class Nested:
    class Inner(Exception):
        pass


@scenario
def decorated_functions():
    profiler.init("key", base_id=BASE)

    @profiler.trace("f", info={"more": 1})
    def f(a, b=2):
        return a

    @profiler.trace("g", hide_args=True, hide_result=False)
    def g(*args, **kwargs):
        return f(*args, **kwargs)

    f(1)
    f("x", b=[1])
    g(3, b="y")


@scenario
def decorated_errors():
    profiler.init("key", base_id=BASE)

    @profiler.trace("f")
    def f(fault):
        raise fault

    for fault in (ValueError("bad", 2), KeyError("k"), OSError(2, "gone"), Nested.Inner()):
        try:
            f(fault)
        except Exception as caught:
            if caught is not fault:
                raise


class Plain:
    def method(self, a):
        return a

    def __repr__(self):
        return "<Plain>"


@scenario
def names_of_functions():
    profiler.init("key", base_id=BASE)
    calls = [
        (lambda: 1, ()),
        (Plain.method, (Plain(), 1)),
        (Plain().method, (1,)),
        (abs, (-1,)),
        (functools.cache(named), ()),
        (Plain, ()),
        (dict.fromkeys, ([1],)),
        (functools.partial(Plain().method, 1), ()),
        (Callable(), (1,)),
        (Callable.class_method, ()),
        ([].append, (1,)),
    ]
    for f, arguments in calls:
        # Stock uses the name of the first function for all functions of one decorator: so each has its own decorator.
        profiler.trace("f", hide_args=True)(f)(*arguments)


class Callable:
    def __call__(self, a):
        return a

    @classmethod
    def class_method(cls):
        return cls


def named():
    pass


@scenario
def traced_class():
    profiler.init("key", base_id=BASE)

    class Base:
        def inherited(self):
            return 0

        def __repr__(self):
            return "<it>"

    @profiler.trace_cls("cls", info={"i": 1}, hide_result=False, trace_private=True, trace_static_methods=True)
    class Subject(Base):
        def public(self, a, b=2):
            return self._private(a) + b

        def _private(self, a):
            return a

        @staticmethod
        def static(a):
            return a

        @classmethod
        def of_class(cls):
            return 3

    it = Subject()
    return [it.public(1), it.inherited(), it.static(4), Subject.static(5), it.of_class(), Subject.of_class()]


@scenario
def traced_metaclass():
    profiler.init("key", base_id=BASE)

    class Subject(metaclass=profiler.TracedMeta):
        __trace_args__ = {"name": "meta", "info": {"i": 1}, "hide_args": True}  # noqa: RUF012

        def public(self):
            return self._private()

        def _private(self):
            return 2

        @staticmethod
        def static(a):
            return a

        @classmethod
        def of_class(cls):
            return 3

    class Leaf(Subject):
        def more(self):
            return self.public()

    it = Leaf()
    return [it.more(), it.static(4), it.of_class()]


@scenario
def decorating_twice():
    answers = []

    def f():
        pass

    once = profiler.trace("a")(f)
    for decorate in (profiler.trace("b", allow_multiple_trace=False), profiler.trace("c")):
        try:
            answers.append(decorate(once).__traced__)
        except ValueError as fault:
            answers.append(type(fault).__name__)
    return answers


@scenario
def metaclass_without_arguments():
    try:
        profiler.TracedMeta("Bad", (), {})
    except TypeError as fault:
        return type(fault).__name__


@scenario
def rules_of_init():
    answers = []
    first = profiler.init("key")
    answers.append(first.get_id() == first.get_base_id() == first.get_parent_id())
    again = profiler.init("other")
    answers.append([ids(again) == ids(first), again.hmac_key])
    profiler.clean()
    answers.append(profiler.get() is None)
    second = profiler.init("key", base_id=BASE)
    answers.append(ids(second))
    profiler.clean()
    third = profiler.init("key", base_id=BASE, parent_id=PARENT)
    answers.append(ids(third))
    profiler.start("a")
    answers.append(ids(third)[:2])
    profiler.start("b")
    answers.append(third.get_base_id())
    profiler.stop()
    profiler.stop()
    answers.append(ids(profiler.get()))
    return answers


@scenario
def text_ids():
    profiler.init("key", base_id="a trace", parent_id="a parent")
    with profiler.Trace("a"), profiler.Trace("b"):
        pass


@scenario
def unbalanced_stops():
    profiler.init("key", base_id=BASE)
    profiler.stop()
    profiler.start("a")
    profiler.stop()
    profiler.stop({"x": 1})
    return ids(profiler.get())


@scenario
def a_view_used_directly():
    view = profiler.init("key", base_id=BASE)
    view.start("a", info={"x": 1})
    profiler.start("b")
    view.stop()
    view.stop(info={"etype": "E", "message": "m"})
    return view.get_shorten_id(BASE)


@scenario
def without_init():
    profiler.start("a")
    profiler.stop()
    with profiler.Trace("b"):
        pass
    return profiler.trace("c")(named)()


@scenario
def the_notifier_itself():
    notifier.notify({"any": "thing"})
    return callable(notifier.get())


def told(records):
    """The records with ids as ``#1``, ``#2``, in the order in which they appear."""
    known = {}

    def short(text):
        return text if text in (BASE, PARENT) or " " in text else known.setdefault(text, f"#{len(known) + 1}")

    shown = []
    for record in records:
        copy = {
            key: short(value) if key.endswith("_id") else value for key, value in record.items() if key != "timestamp"
        }
        if "info" in copy:
            copy["info"] = {key: value for key, value in copy["info"].items() if key != "host"}
        shown.append(copy)
    return shown


def main():
    results = {}
    for name, run in SCENARIOS.items():
        records = []
        # Stock stores the service's own dictionary, and changes it later.
        notifier.set(lambda record, records=records: records.append(json.loads(json.dumps(record))))
        try:
            answer = run()
        finally:
            profiler.clean()
        results[name] = {"answer": answer, "records": told(records)}
    json.dump(results, sys.stdout)


main()
