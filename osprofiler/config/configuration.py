# SPDX-License-Identifier: Apache-2.0
"""The settings of a service: its options, the policy, which overrides them, and the changes of both."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from oslo_config import cfg

from osprofiler.config import options
from osprofiler.config import settings as in_force
from osprofiler.config.policy import Policy
from osprofiler.config.row import settings
from osprofiler.config.table import Settings


class Configuration:
    """Keeps the settings in force equal to a configuration and its policy."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        service_name: Callable[[], str],
        act: Callable[[Settings, Settings], None],
        table: type = Settings,
    ) -> None:
        """Publish the options of *conf*.

        *service_name* returns the name of the service in the policy. *act* is called after each change with the former
        and the new settings.
        """
        self._service_name = service_name
        self._act = act
        self._table = table
        unread = {name: getattr(table, name) for name in settings(table)}
        #: The settings that were in force before.
        self.before = in_force.current()
        self._options: dict[str, Any] = {**unread, **options.read(conf, table=table)}
        #: The policy in force. :meth:`put_in_force` makes a new one count.
        self.policy = Policy()
        #: If the configuration has no keys at the start, those in the paste file count, as in osprofiler 4. If its keys
        #: are removed later, no key counts.
        self.keys_changed = False
        in_force.publish(**self._options)

    def follow(self, policy: Policy) -> None:
        """Put *policy* in force."""
        self.policy = policy
        self.put_in_force()

    def put_in_force(self) -> None:
        """Publish the options, overridden by the policy."""
        before = in_force.current()
        self._act(before, in_force.publish(**{**self._options, **self.policy.of(self._service_name())}))

    def mutated(self, conf: cfg.ConfigOpts, changed: Collection[str]) -> None:
        """Read the options of *conf* again. *changed*: the names of the options that have changed."""
        self._options.update(options.read(conf, changed, self._table))
        self.keys_changed = self.keys_changed or "hmac_keys" in changed
        self.put_in_force()
