# SPDX-License-Identifier: Apache-2.0
"""The settings of a service: its options, the policy file, which overrides them, and the changes of both."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from oslo_config import cfg

from osprofiler.config import options
from osprofiler.config import settings as in_force
from osprofiler.config.policy_file import PolicyFile
from osprofiler.config.row import settings
from osprofiler.config.table import Settings


class Configuration:
    """Keeps the settings in force equal to a configuration and its policy file."""

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
        self.policy_file: PolicyFile | None = None
        #: If the configuration has no keys at the start, those in the paste file count, as in osprofiler 4. If its keys
        #: are removed later, no key counts.
        self.keys_changed = False
        in_force.publish(**self._options)

    def follow_policy(self, conf: cfg.ConfigOpts) -> None:
        """Read the policy file that *conf* names now, if any, and follow its changes."""
        if self.policy_file:
            in_force.unwatch(self.policy_file.look)
        path = options.value(conf, "policy_file")
        self.policy_file = PolicyFile(path, self.put_in_force, self._table) if path else None
        if self.policy_file:
            in_force.watch(self.policy_file.look)
            self.policy_file.read()

    def put_in_force(self) -> None:
        """Publish the options, overridden by the policy."""
        before = in_force.current()
        policy = self.policy_file.policy.of(self._service_name()) if self.policy_file else {}
        self._act(before, in_force.publish(**{**self._options, **policy}))

    def mutated(self, conf: cfg.ConfigOpts, changed: Collection[str]) -> None:
        """Read the options of *conf* again. *changed*: the names of the options that have changed."""
        self._options.update(options.read(conf, changed, self._table))
        self.keys_changed = self.keys_changed or "hmac_keys" in changed
        if "policy_file" in changed:
            self.follow_policy(conf)
        self.put_in_force()
