# SPDX-License-Identifier: Apache-2.0
"""Who decides on a switch: the service's code, an object's argument, the configuration, or the policy."""

from collections.abc import Iterator

import pytest
from oslo_config import cfg

from osprofiler import opts
from osprofiler.config import Settings, switches

ON, OFF = Settings(enabled=True), Settings(enabled=False)


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    switches.reset()
    yield
    switches.reset()


@pytest.mark.parametrize(
    ("own", "decided", "traces"),
    [
        (True, None, True),
        (True, True, True),
        (True, False, False),
        (None, None, False),
        (None, True, True),
        (None, False, False),
        (False, None, False),
        (False, True, False),
        (False, False, False),
    ],
)
def test_a_middleware(own: bool | None, decided: bool | None, traces: bool) -> None:
    if decided is not None:
        switches.decide_wsgi(decided)
    assert switches.wsgi(own, ON) is traces
    assert switches.wsgi(own, OFF) is False


def test_no_middleware_traces_where_the_switch_of_web_requests_is_off() -> None:
    switches.decide_wsgi(True)
    assert not switches.wsgi(True, Settings(enabled=True, trace_wsgi=False))


def test_the_keys_of_a_middleware() -> None:
    assert switches.wsgi_keys(["own"]) == ["own"]
    switches.decide_wsgi_keys(["of all"])
    assert switches.wsgi_keys(["own"]) == ["of all"]
    switches.decide_wsgi_keys(())
    assert switches.wsgi_keys(["own"]) == ()
    switches.decide_wsgi_keys(None)
    assert switches.wsgi_keys(["own"]) == ["own"]


def test_statements_go_by_the_last_decision() -> None:
    assert switches.statements()
    off = Settings(trace_sqlalchemy=False)
    switches.follow(ON, off, keys_changed=False)
    assert not switches.statements()
    switches.decide_statements(True)
    assert switches.statements()
    switches.decide_statements(False)
    switches.follow(off, off, keys_changed=False)  # no change
    assert not switches.statements()
    switches.follow(off, Settings(trace_sqlalchemy=True), keys_changed=False)
    assert switches.statements()


def test_a_new_engine_waits_for_the_configuration_but_not_for_code() -> None:
    assert switches.engines(ON)
    switches.decide_statements(False)
    assert not switches.engines(ON)
    assert switches.engines(Settings(trace_sqlalchemy=False))


def test_configuration_and_policy_turn_every_middleware_on_and_off() -> None:
    switches.follow(OFF, ON, keys_changed=False)
    assert switches.wsgi(None, ON)
    switches.follow(ON, OFF, keys_changed=False)
    assert not switches.wsgi(True, ON)


@pytest.mark.parametrize(
    ("keys", "changed", "count"),
    [(("a",), False, ("a",)), (("a",), True, ("a",)), ((), False, ("own",)), ((), True, ())],
)
def test_keys_that_were_taken_away_are_not_the_middlewares(
    keys: tuple[str, ...], changed: bool, count: tuple[str, ...]
) -> None:
    switches.follow(ON, Settings(hmac_keys=keys), keys_changed=changed)
    assert switches.wsgi_keys(("own",)) == count


def test_while_off_the_keys_stay() -> None:
    switches.decide_wsgi_keys(("a",))
    switches.follow(ON, Settings(enabled=False, hmac_keys=("b",)), keys_changed=True)
    assert switches.wsgi_keys(("own",)) == ("a",)


def test_what_the_configuration_says_of_a_service() -> None:
    conf = cfg.ConfigOpts()
    with pytest.raises(cfg.NoSuchOptError):
        switches.service(conf)
    for enabled, sql in ((False, True), (True, False), (True, True)):
        opts.set_defaults(conf, enabled=enabled, trace_sqlalchemy=sql)
        assert (switches.service(conf), switches.service_statements(conf)) == (enabled, enabled and sql)
