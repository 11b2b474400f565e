# SPDX-License-Identifier: Apache-2.0
"""The configuration files of the cloud's services."""

import dataclasses
import shutil
from pathlib import Path

HOST = "127.0.0.1"
PASSWORD = "secret"
SERVICES = ("keystone", "placement", "glance", "neutron", "nova")


@dataclasses.dataclass
class Settings:
    """The values in the configuration files."""

    folder: Path  # holds the configuration files and the data of the services
    programs: Path  # the environment's bin/
    database: dict[str, str]  # URL of each database
    transport: str
    ports: dict[str, int]  # of each of SERVICES
    profiler: dict[str, str]  # [profiler]

    @property
    def neutron_plugins(self) -> Path:
        """A folder on neutron's import path."""
        return self.folder / "neutron" / "plugins"

    def url(self, service: str) -> str:
        """The URL of a service."""
        return f"http://{HOST}:{self.ports[service]}"


def write(settings: Settings) -> None:
    """Write all files."""
    for service in SERVICES:
        (settings.folder / service).mkdir(exist_ok=True)
    for make in (_keystone, _placement, _glance, _neutron, _nova):
        make(settings)


def _file(settings: Settings, path: str, **sections: dict[str, object] | None) -> None:
    lines = []
    profiler: dict[str, object] = {**settings.profiler}
    for section, options in {**sections, "profiler": profiler}.items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in (options or {}).items()), ""]
    (settings.folder / path).write_text("\n".join(lines))


def _database(settings: Settings, name: str) -> dict[str, object]:
    return {"connection": settings.database[name]}


def _auth(settings: Settings, user: str) -> dict[str, object]:
    return {
        "auth_url": f"{settings.url('keystone')}/v3",
        "auth_type": "password",
        "project_domain_id": "default",
        "user_domain_id": "default",
        "project_name": "service",
        "username": user,
        "password": PASSWORD,
    }


def _client(settings: Settings, user: str) -> dict[str, object]:
    return {**_auth(settings, user), "region_name": "RegionOne"}


def _token(settings: Settings, user: str) -> dict[str, object]:
    return {
        **_auth(settings, user),
        "www_authenticate_uri": f"{settings.url('keystone')}/v3",
        "service_token_roles_required": "true",
        "service_token_roles": "service",
    }


def _keystone(settings: Settings) -> None:
    home = settings.folder / "keystone"
    _file(
        settings,
        "keystone/keystone.conf",
        DEFAULT={"use_stderr": "true"},
        database=_database(settings, "keystone"),
        token={"provider": "fernet"},
        fernet_tokens={"key_repository": home / "fernet"},
        credential={"key_repository": home / "credential"},
    )
    for folder in ("fernet", "credential"):
        (home / folder).mkdir(mode=0o700, exist_ok=True)


def _placement(settings: Settings) -> None:
    _file(
        settings,
        "placement/placement.conf",
        DEFAULT={"use_stderr": "true"},
        placement_database=_database(settings, "placement"),
        api={"auth_strategy": "keystone"},
        keystone_authtoken=_token(settings, "placement"),
    )


def _glance(settings: Settings) -> None:
    home = settings.folder / "glance"
    paste = home / "glance-api-paste.ini"
    shutil.copy(settings.programs.parent / "etc" / "glance" / paste.name, paste)
    _file(
        settings,
        "glance/glance-api.conf",
        DEFAULT={
            "use_stderr": "true",
            "enabled_backends": "file1:file",
            "node_staging_uri": f"file://{home}/staging",
            "image_cache_dir": home / "cache",
        },
        glance_store={"default_backend": "file1"},
        file1={"filesystem_store_datadir": home / "images"},
        os_glance_staging_store={"filesystem_store_datadir": home / "staging"},
        os_glance_tasks_store={"filesystem_store_datadir": home / "tasks"},
        database=_database(settings, "glance"),
        paste_deploy={"flavor": "keystone", "config_file": paste},
        oslo_messaging_notifications={"driver": "noop"},
        oslo_concurrency={"lock_path": home},
        keystone_authtoken=_token(settings, "glance"),
    )
    for folder in ("images", "staging", "tasks"):
        (home / folder).mkdir(exist_ok=True)


def _neutron(settings: Settings) -> None:
    """Only neutron's API, without agents: a driver of ours binds the ports."""
    home = settings.folder / "neutron"
    paste = home / "api-paste.ini"
    shutil.copy(settings.programs.parent / "etc" / "neutron" / paste.name, paste)
    _file(
        settings,
        "neutron/neutron.conf",
        DEFAULT={
            "use_stderr": "true",
            "host": "cloud",
            "state_path": home,
            "transport_url": settings.transport,
            "core_plugin": "ml2",
            "service_plugins": "router,port_forwarding",
            "api_paste_config": paste,
            "auth_strategy": "keystone",
            "notify_nova_on_port_status_changes": "false",
            "notify_nova_on_port_data_changes": "false",
            "rpc_workers": 0,
        },
        ml2={"type_drivers": "local", "tenant_network_types": "local", "mechanism_drivers": "cloud"},
        database=_database(settings, "neutron"),
        oslo_concurrency={"lock_path": home},
        oslo_messaging_notifications={"driver": "noop"},
        keystone_authtoken=_token(settings, "neutron"),
    )
    plugins = settings.neutron_plugins
    metadata = plugins / "cloud_ports-1.dist-info"  # neutron loads drivers by entry point
    metadata.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("ports.py"), plugins / "cloud_ports.py")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: cloud-ports\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[neutron.ml2.mechanism_drivers]\ncloud = cloud_ports:Binding\n")


def _nova(settings: Settings) -> None:
    home = settings.folder / "nova"
    paste = home / "api-paste.ini"
    shutil.copy(settings.programs.parent / "etc" / "nova" / paste.name, paste)
    common: dict[str, dict[str, object] | None] = {
        "DEFAULT": {
            "use_stderr": "true",
            "host": "cloud",
            "my_ip": HOST,
            "state_path": home,
            "transport_url": settings.transport,
            # Not fake.FakeDriver: its node gets a new identity at each start, and nova-compute rejects that.
            "compute_driver": "fake.FakeDriverWithoutFakeNodes",
            "rpc_response_timeout": 60,
            "service_down_time": 120,
            "allow_resize_to_same_host": "true",  # the cloud has only one host
            "vif_plugging_is_fatal": "false",  # without agents, nova gets no event for a plugged port
            "vif_plugging_timeout": 0,
        },
        "wsgi": {"api_paste_config": paste},
        "glance": {"region_name": "RegionOne"},
        "placement": _client(settings, "placement"),
        "service_user": {**_client(settings, "nova"), "send_service_user_token": "true"},
        "neutron": {**_client(settings, "neutron"), "service_metadata_proxy": "false"},
        "cinder": {"os_region_name": "RegionOne"},
        "vnc": {"enabled": "false"},
        "scheduler": {"workers": 1},
        "conductor": {"workers": 1},
        "oslo_concurrency": {"lock_path": home},
        "oslo_messaging_notifications": {"driver": "noop"},
        "oslo_policy": {"enforce_scope": "true"},
        "keystone_authtoken": _token(settings, "nova"),
    }
    (home / "instances").mkdir(exist_ok=True)
    _file(settings, "nova/nova-compute.conf", **common)  # without a database, as in a real cloud
    databases = {"api_database": _database(settings, "nova_api"), "database": _database(settings, "nova_cell1")}
    _file(settings, "nova/nova.conf", **common, **databases)
