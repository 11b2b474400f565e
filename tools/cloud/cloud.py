# SPDX-License-Identifier: Apache-2.0
"""The cloud: starts its processes, each after those that it needs, and boots servers."""

import contextlib
import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.servers import MariaDB, Rabbit, Server, free_port
from tests.servers.program import Program
from tests.waiting import wait_until
from tools.cloud import config

KEY = "SECRET_KEY"
_SEED = Path(__file__).parent / "seed.py"
_DATABASES = ("keystone", "placement", "glance", "neutron", "nova_api", "nova_cell0", "nova_cell1")
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failed(Exception):
    """A program of the cloud failed; the text has the end of its output."""


class Cloud:
    """A context manager that runs a small OpenStack whose traces go to *store*.

    *programs* is the ``bin`` folder of its environment. *mode* is nova's concurrency: ``threading`` or ``eventlet``.
    *say* is called with a text before each step.
    """

    def __init__(
        self,
        programs: Path,
        store: str,
        mode: str = "threading",
        say: Callable[[str], None] = lambda _: None,
        **profiler: str,
    ) -> None:
        self._programs = programs
        self._store = store
        self._nova = {"OS_NOVA_DISABLE_EVENTLET_PATCHING": str(mode == "threading").lower()}
        self._green = mode == "eventlet"
        self._say = say
        self._profiler = {"enabled": "true", "hmac_keys": KEY, "connection_string": store, **profiler}
        self._running = contextlib.ExitStack()
        self._settings: config.Settings
        self._image = self._network = ""  # their ids
        self.services: dict[str, Server] = {}

    def __enter__(self) -> "Cloud":
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._running.close)
            self._start()
            on_failure.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with ThreadPoolExecutor() as pool:  # concurrently, since each takes some time to end
            for service in [name for name in self.services if name not in ("mariadb", "rabbit")]:
                pool.submit(self.services[service].stop)
        self._running.close()

    # Start

    def _start(self) -> None:
        self._say("starting MariaDB and RabbitMQ")
        database, broker = MariaDB(), Rabbit()
        for server in (database, broker):
            self._running.callback(server.close)
        with ThreadPoolExecutor() as pool:
            for started in [pool.submit(server.start) for server in (database, broker)]:
                started.result()
        # MariaDB's fixture chooses the names of the databases.
        urls = {name: database.fresh_url() for name in _DATABASES}
        folder = database.directory / "cloud"
        folder.mkdir()
        self._settings = config.Settings(
            folder=folder,
            programs=self._programs,
            database=urls,
            transport=broker.url,
            ports={name: free_port() for name in config.SERVICES},
            profiler=self._profiler,
        )
        config.write(self._settings)
        self._say("making the databases")
        with ThreadPoolExecutor() as pool:
            for made in [pool.submit(make) for make in (self._make_keystone, self._make_others, self._make_nova)]:
                made.result()
        self._say("starting the services")
        self._serve("keystone", {"OS_KEYSTONE_CONFIG_DIR": folder / "keystone"}, "keystone.wsgi.api", "/v3")
        self.seed("identity")
        with ThreadPoolExecutor() as pool:
            starts = [
                pool.submit(self._serve, *service)
                for service in (
                    ("placement", {"OS_PLACEMENT_CONFIG_DIR": folder / "placement"}, "placement.wsgi.api", "/"),
                    ("glance", {"OS_GLANCE_CONFIG_DIR": folder / "glance"}, "glance.wsgi.api", "/versions"),
                    ("neutron", self._neutron_files(), "neutron.wsgi.api", "/"),
                    ("nova", {"OS_NOVA_CONFIG_DIR": folder / "nova", **self._nova}, "nova.wsgi.osapi_compute", "/"),
                )
            ]
            for started in starts:
                started.result()
        for binary, file in (("conductor", "nova"), ("scheduler", "nova"), ("compute", "nova-compute")):
            self._work(f"nova-{binary}", folder / "nova" / f"{file}.conf")
        self._image, self._network = self.seed("resources").stdout.split()
        self._say("waiting for nova-compute")
        wait_until(lambda: self.seed("ready", check=False).returncode == 0, 120, "a compute service that is up")
        self._nova_manage("cell_v2", "discover_hosts")

    def _neutron_files(self) -> dict[str, object]:
        folder = self._settings.folder / "neutron"
        files = {"OS_NEUTRON_CONFIG_DIR": folder, "OS_NEUTRON_CONFIG_FILES": "neutron.conf"}
        return {**files, "PYTHONPATH": self._settings.neutron_plugins}

    def _make_keystone(self) -> None:
        manage = ["keystone-manage", "--config-file", self._settings.folder / "keystone" / "keystone.conf"]
        account = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
        self.run(*manage, "db_sync")
        self.run(*manage, "fernet_setup", *account)
        self.run(*manage, "credential_setup", *account)
        urls = [
            word
            for kind in ("admin", "internal", "public")
            for word in (f"--bootstrap-{kind}-url", f"{self._settings.url('keystone')}/v3")
        ]
        password = ["--bootstrap-password", config.PASSWORD, "--bootstrap-region-id", "RegionOne"]
        self.run(*manage, "bootstrap", *password, *urls)

    def _make_others(self) -> None:
        folder = self._settings.folder
        self.run("placement-manage", "--config-file", folder / "placement" / "placement.conf", "db", "sync")
        self.run("glance-manage", "--config-file", folder / "glance" / "glance-api.conf", "db_sync")
        self.run("neutron-db-manage", "--config-file", folder / "neutron" / "neutron.conf", "upgrade", "heads")

    def _make_nova(self) -> None:
        self._nova_manage("api_db", "sync")
        self._nova_manage("cell_v2", "map_cell0", "--database_connection", self._settings.database["nova_cell0"])
        self._nova_manage("db", "sync")
        self._nova_manage("cell_v2", "create_cell", "--name", "cell1")

    def _nova_manage(self, *words: str) -> None:
        self.run("nova-manage", "--config-file", self._settings.folder / "nova" / "nova.conf", *words, **self._nova)

    def _serve(self, name: str, variables: dict[str, Any], module: str, path: str) -> None:
        """Start an API under uWSGI."""
        port = self._settings.ports[name]
        one = name == "nova" and self._green
        options = {
            "virtualenv": self._programs.parent,
            "http-socket": f"{config.HOST}:{port}",
            "module": f"{module}:application",
            "processes": 1,
            "threads": 1 if one else 8,
            "buffer-size": 65535,
            "add-header": "Connection: close",
            "socket-timeout": 60,
            "worker-reload-mercy": 10,
        }
        flags = ("--master", "--enable-threads", "--lazy-apps", "--need-app", "--die-on-term", "--thunder-lock")
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        if name == "neutron":
            words += ["--set", "start-time=%t"]
        self._add(
            Program(
                name,
                [self._programs / "uwsgi", *flags, *words],
                self._variables(**variables),
                lambda: _status(f"{self._settings.url(name)}{path}") < 500,
            )
        )

    def _work(self, name: str, file: Path) -> None:
        command = [self._programs / name, "--config-file", file]
        self._add(Program(name, command, self._variables(**self._nova)))

    def _add(self, service: Server) -> None:
        self._running.callback(service.close)
        self.services[service.name] = service
        service.start()

    # Use

    def boot(self, name: str, cli: str = "nova", flavor: str = "tiny", wanted: str = "ACTIVE") -> str:
        """Boot a server with a network, traced, with the client *cli* (``nova`` or ``openstack``).

        Waits until the server's status is *wanted*. Returns the trace's id. Raises Failed.
        """
        if cli == "nova":
            words = ["boot", "--nic", f"net-id={self._network}", "--image", self._image]
        else:
            words = ["server", "create", "--network", self._network, "--image", self._image]
        base_id = self.traced(cli, *words, "--flavor", flavor, name)
        self.wait(name, wanted)
        return base_id

    def traced(self, cli: str, *words: str) -> str:
        """Run a command of the client *cli*, traced. Returns the trace's id. Raises Failed."""
        options = ["--os-compute-api-version", "2.37", "--profile", KEY] if cli == "nova" else ["--os-profile", KEY]
        printed = self.run(cli, *options, *words, OSPROFILER_CONNECTION_STRING=self._store)
        match = re.search(r"osprofiler trace show --html ([0-9a-f-]{36})", printed)
        if match is None:
            raise Failed(f"{cli} printed no trace id:\n{printed}")
        return match[1]

    def wait(self, name: str, wanted: str) -> None:
        """Wait until the status of server *name* is *wanted* ("": it is deleted) and nova has no task for it.

        Raises Failed if the status becomes ERROR instead.
        """

        def reached() -> bool:
            status, _, rest = self.seed("state", name).stdout.strip().partition(" ")
            task, _, fault = rest.partition(" ")
            if status == "ERROR" != wanted:
                raise Failed(f"server {name}: {fault}")
            return status == wanted and task in ("-", "")

        wait_until(reached, 120, f"server {name} to be {wanted or 'gone'}")

    def delete(self, name: str) -> None:
        """Delete a server, untraced, and wait until it is deleted."""
        self.seed("delete", name)
        self.wait(name, "")

    def seed(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command of ``seed.py``. Raises Failed if it fails, unless *check* is False."""
        done = self._completed([self._programs / "python", _SEED, *words])
        if check and done.returncode:
            raise Failed(f"{' '.join(words)}:\n{done.stdout}\n{done.stderr[-3000:]}")
        return done

    def run(self, program: str, *words: object, **variables: str) -> str:
        """Run a program of the environment. Returns its standard output, then its standard error.

        Raises Failed if it fails.
        """
        done = self._completed([self._programs / program, *words], **variables)
        if done.returncode:
            raise Failed(f"{program} {' '.join(map(str, words))}:\n{done.stdout}\n{done.stderr[-3000:]}")
        return done.stdout + done.stderr

    def _completed(self, command: list[object], **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **self._variables(**variables)},
            cwd=self._settings.folder,
        )

    def _variables(self, **more: object) -> dict[str, str]:
        account = {
            "OS_AUTH_URL": f"{self._settings.url('keystone')}/v3",
            "OS_USERNAME": "admin",
            "OS_PASSWORD": config.PASSWORD,
            "OS_PROJECT_NAME": "admin",
            "OS_USER_DOMAIN_ID": "default",
            "OS_PROJECT_DOMAIN_ID": "default",
            "OS_IDENTITY_API_VERSION": "3",
            "OS_REGION_NAME": "RegionOne",
            "OS_COMPUTE_API_VERSION": "2.37",
            "PYTHONPATH": "",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "CLOUD_URLS": json.dumps({name: self._settings.url(name) for name in config.SERVICES}),
        }
        return {**account, **{key: str(value) for key, value in more.items()}}


def _status(url: str) -> int:
    try:
        with _opener.open(url, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code
