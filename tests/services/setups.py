# SPDX-License-Identifier: Apache-2.0
"""How each released service is set up: options, commands and headers, without an account or with an own one."""

import os
import uuid
from pathlib import Path

from tests.servers import free_port
from tests.services.running import Place, Service

PASSWORD = "a password"
PROJECT = "0123456789abcdef0123456789abcdef"


def keystone(at: Place) -> Service:
    manage = ["keystone-manage", "--config-file", "keystone.conf"]
    account = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
    return Service(
        name="keystone-public",
        module="keystone.wsgi.api",
        variables={"OS_KEYSTONE_CONFIG_DIR": "."},
        file="keystone.conf",
        options={
            "database": {"connection": at.database},
            "fernet_tokens": {"key_repository": str(at.folder / "fernet")},
            "credential": {"key_repository": str(at.folder / "credential")},
        },
        commands=[
            [*manage, "db_sync"],
            [*manage, "fernet_setup", *account],
            [*manage, "credential_setup", *account],
            [*manage, "bootstrap", "--bootstrap-password", PASSWORD],
        ],
        headers={},
    )


def placement(at: Place) -> Service:
    return Service(
        name="placement-placement",
        module="placement.wsgi.api",
        variables={"OS_PLACEMENT_CONFIG_DIR": "."},
        file="placement.conf",
        options={"placement_database": {"connection": at.database}, "api": {"auth_strategy": "noauth2"}},
        commands=[["placement-manage", "--config-file", "placement.conf", "db", "sync"]],
        headers={"X-Auth-Token": "admin", "OpenStack-API-Version": "placement 1.9"},
    )


def glance(at: Place) -> Service:
    def files(name: str) -> dict[str, str]:
        (at.folder / name).mkdir()
        return {"filesystem_store_datadir": str(at.folder / name)}

    (at.folder / "policy.yaml").write_text("\n".join(f'"{rule}": "@"' for rule in _GLANCE_RULES))
    return Service(
        name="glance-api",
        module="glance.wsgi.api",
        variables={"OS_GLANCE_CONFIG_DIR": "."},
        file="glance-api.conf",
        options={
            "DEFAULT": {"enabled_backends": "here:file", "node_staging_uri": f"file://{at.folder}/staging"},
            "glance_store": {"default_backend": "here"},
            "here": files("images"),
            "os_glance_staging_store": files("staging"),
            "os_glance_tasks_store": files("tasks"),
            "database": {"connection": at.database},
            "oslo_policy": {"policy_file": str(at.folder / "policy.yaml")},
            "paste_deploy": {"config_file": str(_etc(at, "glance") / "glance-api-paste.ini")},
        },
        commands=[["glance-manage", "--config-file", "glance-api.conf", "db_sync"]],
        headers={},
    )


_GLANCE_RULES = ("get_images", "get_image", "add_image", "modify_image", "upload_image", "download_image")


def cinder(at: Place) -> Service:
    volumes = {
        "volume_backend_name": "fake",
        "volume_driver": "cinder.tests.fake_driver.FakeLoggingVolumeDriver",
    }
    return Service(
        name="cinder-cinder-api",
        module="cinder.wsgi.api",
        variables={"HOME": "."},
        file=".cinder/cinder.conf",
        options={
            "DEFAULT": {
                "auth_strategy": "noauth",
                "state_path": str(at.folder),
                "transport_url": at.transport,
                "enabled_backends": "fake",
                "api_paste_config": str(_etc(at, "cinder") / "api-paste.ini"),
                "resource_query_filters_file": str(_etc(at, "cinder") / "resource_filters.json"),
            },
            "fake": volumes,
            "database": {"connection": at.database},
            "oslo_concurrency": {"lock_path": str(at.folder / "locks")},
        },
        commands=[["cinder-manage", "--config-file", ".cinder/cinder.conf", "db", "sync"]],
        headers={"X-Auth-Token": f"admin:{PROJECT}"},
        workers=("cinder-scheduler", "cinder-volume"),
    )


def neutron(at: Place) -> Service:
    """Its API, without agents."""
    return Service(
        name="neutron-neutron-server",
        module="neutron.wsgi.api",
        variables={"OS_NEUTRON_CONFIG_DIR": ".", "OS_NEUTRON_CONFIG_FILES": "neutron.conf"},
        file="neutron.conf",
        options={
            "DEFAULT": {
                "auth_strategy": "noauth",
                "state_path": str(at.folder),
                "transport_url": at.transport,
                "core_plugin": "ml2",
                "service_plugins": "",
                "api_paste_config": str(_etc(at, "neutron") / "api-paste.ini"),
                "notify_nova_on_port_status_changes": "false",
                "notify_nova_on_port_data_changes": "false",
            },
            "ml2": {"type_drivers": "local", "tenant_network_types": "local", "mechanism_drivers": "openvswitch"},
            "database": {"connection": at.database},
            "oslo_concurrency": {"lock_path": str(at.folder / "locks")},
        },
        commands=[["neutron-db-manage", "--config-file", "neutron.conf", "upgrade", "heads"]],
        headers={"X-Project-Id": PROJECT, "X-Roles": "admin"},
    )


def heat(at: Place) -> Service:
    """Its API and an engine, with heat's own stand-in of a keystone client.

    The pipeline for requests without an account is heat's own, and has the middleware in the place that the one with
    accounts has.
    """
    pipelines = (_etc(at, "heat") / "api-paste.ini").read_text()
    plain = "noauth context http_proxy_to_wsgi"
    assert pipelines.count(plain) == 1
    (at.folder / "api-paste.ini").write_text(pipelines.replace(plain, "noauth http_proxy_to_wsgi context osprofiler"))
    return Service(
        name="heat-heat-api",
        module="heat.wsgi.api",
        variables={"HOME": "."},
        file=".heat/heat.conf",
        options={
            "DEFAULT": {
                "transport_url": at.transport,
                "auth_encryption_key": "0123456789abcdef" * 2,
                "environment_dir": str(_etc(at, "heat") / "environment.d"),
                "deferred_auth_method": "password",
                "keystone_backend": "heat.engine.clients.os.keystone.fake_keystoneclient.FakeKeystoneClient",
                "num_engine_workers": "1",
            },
            "database": {"connection": at.database},
            "oslo_concurrency": {"lock_path": str(at.folder / "locks")},
            "oslo_policy": {"enforce_new_defaults": "false", "enforce_scope": "false"},  # the one role is "admin"
            "paste_deploy": {"flavor": "noauth", "api_paste_config": str(at.folder / "api-paste.ini")},
        },
        commands=[["heat-manage", "--config-file", ".heat/heat.conf", "db_sync"]],
        headers={},
        workers=("heat-engine",),
    )


def ironic(at: Place) -> Service:
    """Its API and a conductor with fake hardware. Under a WSGI server the API does not turn tracing on."""
    port = free_port()
    interfaces = ("bios", "boot", "deploy", "firmware", "inspect", "management", "power", "raid", "vendor")
    return Service(
        name="ironic-ironic_api",
        module="",
        variables={"HOME": "."},
        file=".ironic/ironic.conf",
        options={
            "DEFAULT": {
                "auth_strategy": "noauth",
                "state_path": str(at.folder),
                "tempdir": str(at.folder),
                "transport_url": at.transport,
                "rpc_transport": "oslo",
                "enabled_hardware_types": "fake-hardware",
                **{f"enabled_{interface}_interfaces": "fake" for interface in interfaces},
                **{f"default_{interface}_interface": "fake" for interface in interfaces},
                "enabled_network_interfaces": "noop",
            },
            "database": {"connection": at.database},
            "api": {"host_ip": "127.0.0.1", "port": str(port), "api_workers": "1"},
            "dhcp": {"dhcp_provider": "none"},
            "oslo_concurrency": {"lock_path": str(at.folder / "locks")},
        },
        commands=[["ironic-dbsync", "--config-file", ".ironic/ironic.conf", "create_schema"]],
        headers={"X-OpenStack-Ironic-API-Version": "1.80"},
        workers=("ironic-conductor", "ironic-api"),
        address=f"http://127.0.0.1:{port}",
    )


def zaqar(at: Place, *, pooling: bool = False) -> Service:
    """With *pooling*, messages go to the pools that requests of an administrator make; the headers are of one."""
    store = at.store.partition(":")[0]
    default = {"unreliable": "true"}  # MongoDB need not be a replica set
    if pooling:
        default |= {"pooling": "true", "admin_mode": "true"}
    return Service(
        name="Zaqar-Zaqar-server",
        module="zaqar.transport.wsgi.app",
        variables={"HOME": "."},
        file=".zaqar/zaqar.conf",
        options={
            "DEFAULT": default,
            "drivers": {"transport": "wsgi", "message_store": store, "management_store": "sqlalchemy"},
            "drivers:management_store:sqlalchemy": {"uri": at.database},
            f"drivers:message_store:{store}": {"uri": at.store},
            "profiler": {f"trace_{what}": "true" for what in ("wsgi_transport", "message_store", "management_store")},
        },
        commands=[["zaqar-sql-db-manage", "--config-file", ".zaqar/zaqar.conf", "upgrade", "head"]],
        headers={"Client-ID": str(uuid.uuid4()), "X-Project-ID": "p", **({"X-Roles": "admin"} if pooling else {})},
    )


def _etc(at: Place, project: str) -> Path:
    """The folder in which a released service brings its files of configuration."""
    return at.programs.parent / "etc" / project
