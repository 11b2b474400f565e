# SPDX-License-Identifier: Apache-2.0
"""A RabbitMQ node apart from any that the machine runs: own node name, cookie, epmd and folders."""

import signal
import socket
import subprocess
from pathlib import Path
from typing import ClassVar

from tests.servers.base import Missing, Server, end_group, free_port, program


class Rabbit(Server):
    """RabbitMQ for AMQP 0-9-1 with the account guest/guest; queues that are not durable are lost at every stop."""

    name: ClassVar[str] = "rabbit"

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self._distribution_port = free_port()
        self._epmd_port = free_port()
        self._epmd: subprocess.Popen[bytes] | None = None

    @classmethod
    def check(cls) -> None:
        _scripts()
        program("epmd", install="rabbitmq-server")

    @property
    def url(self) -> str:
        """Return the transport URL for oslo.messaging."""
        return f"rabbit://guest:guest@127.0.0.1:{self.port}/"

    def ctl(self, *arguments: str) -> None:
        """Run ``rabbitmqctl``. Raises StartFailed, with its output, if it fails."""
        self._run([str(_scripts() / "rabbitmqctl"), *arguments])

    def start(self) -> None:
        if self._epmd is None:
            # Left to itself the node starts an epmd that outlives everything.
            epmd = program("epmd", install="rabbitmq-server")
            self._epmd = self._spawn([epmd, "-address", "127.0.0.1", "-port", str(self._epmd_port)])
        super().start()

    def close(self) -> None:
        self.stop()
        epmd, self._epmd = self._epmd, None
        if epmd is not None:
            end_group(epmd, signal.SIGKILL)
        super().close()

    def _prepare(self) -> None:
        (self.data / "rabbitmq.conf").write_text("loopback_users = none\ndisk_free_limit.absolute = 50MB\n")
        (self.data / "rabbitmq-env.conf").write_text("")
        (self.data / "enabled_plugins").write_text("[].\n")

    def _command(self) -> list[str]:
        return [str(_scripts() / "rabbitmq-server")]

    def _environment(self) -> dict[str, str]:
        quiet = "none"  # schedulers that spin while idle would take a small machine's cores from the tests
        return {
            "RABBITMQ_NODENAME": "osprofiler@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_BASE": str(self.data),
            "RABBITMQ_MNESIA_BASE": str(self.data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.data / "logs"),
            "RABBITMQ_CONFIG_FILE": str(self.data / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(self.data / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.data / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self.data / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"-kernel inet_dist_use_interface {{127,0,0,1}} +sbwt {quiet} +sbwtdcpu {quiet} +sbwtdio {quiet}"
            ),
        }

    def _answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"  # a method frame: Connection.Start


def _scripts() -> Path:
    """Return the folder of RabbitMQ's own scripts: the ones on PATH change to the packaged service's account."""
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    if not found:
        raise Missing("RabbitMQ is not installed: run tools/setup-debian, or install Debian's rabbitmq-server")
    return found[-1].parent
