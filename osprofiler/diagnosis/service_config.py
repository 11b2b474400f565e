# SPDX-License-Identifier: Apache-2.0
"""The configuration of one service, read as the service reads it: by oslo.config, and the policy over the options."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oslo_config import cfg

from osprofiler import exc, opts
from osprofiler.config import options
from osprofiler.config.policy import Policy
from osprofiler.config.policy_text import PolicyError, from_bytes
from osprofiler.config.row import rows, settings
from osprofiler.config.table import Settings
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import masked
from osprofiler.drivers import connect
from osprofiler.steering import signature
from osprofiler.steering.sources import Unreadable as SourceUnreadable
from osprofiler.steering.sources import source_of

#: How long the policy may take to be read, in seconds.
_POLICY_S = 5.0


class Unusable(ValueError):
    """The files of a configuration cannot be read. The text is one line."""


class ServiceConfig:
    """The configuration in files, for the service *project*-*service*, as far as these are known.

    Raises Unusable if a file cannot be read or is malformed.
    """

    def __init__(
        self,
        files: Sequence[str],
        folders: Sequence[str] = (),
        *,
        project: str | None = None,
        service: str | None = None,
    ) -> None:
        self.conf = _parsed(files, folders, project)
        self.files = options.files(self.conf)
        self.project = project
        self.service = service
        #: A line for each value that cannot be used.
        self.complaints: list[str] = []
        self._values = {
            name: options.value(self.conf, name, complain=self.complaints.append)
            for name, row in rows(Settings).items()
            if row.kind.option is not None
        }
        self._texts = dict(options.texts(self.conf))
        #: Why the policy cannot be used, if it cannot be read or its signature is not right; else empty.
        self.policy_fault = ""
        #: A line for each mistake in its text.
        self.policy_mistakes: list[str] = []
        self.policy_is_signed = False
        self._policy = self._load_policy()

    @property
    def title(self) -> str:
        """The files, for people."""
        return ", ".join(self.files)

    @property
    def name(self) -> str:
        """The name of the service in Jaeger, in reports and in the policy."""
        return connect.service_name(self.project, self.service, self.conf, self.connection_string)

    @property
    def connection_string(self) -> str:
        """The connection string, with its secrets."""
        return str(self._values["connection_string"])

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys. They are secret: show their :func:`fingerprint`."""
        keys: tuple[str, ...] = self._values["hmac_keys"]
        return keys

    def option(self, name: str) -> Any:
        """The option *name*, an attribute of the table of settings, without the policy."""
        return self._values[name]

    @property
    def policy_path(self) -> str:
        """The policy file, or its URL without secrets; empty if there is none."""
        address = str(self._values["policy_file"] or "")
        return masked(address) if "://" in address else address

    @property
    def policy_settings(self) -> Mapping[str, Any]:
        """The settings that the policy has for this service."""
        return self._policy.of(self.name)

    @property
    def unused_policy(self) -> list[str]:
        """A line for each entry of the policy without effect."""
        return self._policy.unused()

    @property
    def settings(self) -> Settings:
        """The settings in force in the service: the options, and the policy over them."""
        of_options = {name: self._values[name] for name in settings(Settings) if name in self._values}
        return Settings(**{**of_options, **self.policy_settings})

    def source(self, name: str) -> str:
        """Where the setting *name* has its value from: the policy, a file, the environment, or ``default``."""
        if name in self.policy_settings:
            return self.policy_path
        row = rows(Settings)[name]
        try:
            location = self.conf.get_location(row.name, row.group)
        except (ValueError, cfg.Error):  # a value that oslo.config refuses
            return "default"
        if location is None or not location.location.is_user_controlled:
            return "default"
        if location.location is cfg.Locations.user:
            # Of several files that have the group, oslo.config names the last.
            for place in ((row.group, row.name), (row.group, str(row.deprecated_name))):
                if place in self._texts:
                    return self._texts[place][1]
        return str(location.detail)

    def text(self, group: str, name: str) -> str | None:
        """The last text of any option in the files, of this package or not; None if no file has it."""
        return self.first_text(lambda *place: place == (group, name))

    def first_text(self, is_wanted: Callable[[str, str], bool]) -> str | None:
        """The text of the first option for whose group and name *is_wanted* is true; of several lines the last."""
        for (group, name), (text, _) in self._texts.items():
            if is_wanted(group, name):
                return text
        return None

    def _load_policy(self) -> Policy:
        address, keys = str(self._values["policy_file"] or ""), self._values["policy_key"]
        if not address:
            return Policy()
        try:
            content = source_of(address).read(_POLICY_S) or b""
            self.policy_is_signed = signature.is_signed(content)
            if keys:
                signature.check(content, keys)
            return from_bytes(content)
        except PolicyError as error:
            self.policy_mistakes = error.mistakes
        except UnicodeDecodeError:
            self.policy_mistakes = ["it is not text in UTF-8"]
        except (ValueError, SourceUnreadable, exc.CommandError) as error:
            self.policy_fault = str(error)
        return Policy()


def _parsed(files: Sequence[str], folders: Sequence[str], project: str | None) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    opts.register(conf)
    arguments = [f"--config-file={os.path.abspath(file)}" for file in files]
    arguments += [f"--config-dir={os.path.abspath(folder)}" for folder in folders]
    try:
        conf(arguments, project=project, prog="osprofiler", default_config_files=[], default_config_dirs=[])
    except cfg.ConfigFilesNotFoundError as error:
        raise Unusable(f"there is no file {', '.join(error.config_files)}") from None
    except cfg.ConfigFilesPermissionDeniedError as error:
        raise Unusable(f"no permission to read {', '.join(error.config_files)}") from None
    except cfg.ConfigDirNotFoundError as error:
        raise Unusable(f"there is no folder {error.config_dir}") from None
    except cfg.ConfigFileParseError as error:
        raise Unusable(f"{error.config_file} is malformed{_place(str(error.msg))}") from None
    except UnicodeDecodeError:
        raise Unusable(f"{', '.join(files)}: not text in UTF-8") from None
    except (OSError, cfg.Error) as error:
        raise Unusable(f"cannot read {', '.join([*files, *folders])}: {fault_line(error)}") from None
    return conf


def _place(message: str) -> str:
    """The number of the line in oslo.config's *message*, which also quotes the line: that may contain a secret."""
    number = re.search(r":(\d+), ", message)
    return f" in line {number[1]}" if number else ""


def fingerprint(secret: str) -> str:
    """A short name for a secret: equal secrets have the same one. The first 8 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:8]
