# SPDX-License-Identifier: Apache-2.0
"""Set up and query the cloud through its APIs: ``seed.py COMMAND [ARGUMENT]``. Runs in the services' environment.

``identity``: make the service users and the catalog. ``resources``: make an image, flavors and a network; print the ids
of the image and the network. ``ready``: exit status 0 if nova can boot. ``state NAME``: print the status of a server,
its task (or ``-``) and its fault. ``delete NAME``: delete a server. Environment variables hold the services' URLs.
"""

import json
import os
import sys

from keystoneauth1 import session
from keystoneauth1.identity import v3

AUTH = os.environ["OS_AUTH_URL"]
URLS = json.loads(os.environ["CLOUD_URLS"])

api = session.Session(
    auth=v3.Password(
        auth_url=AUTH,
        username=os.environ["OS_USERNAME"],
        password=os.environ["OS_PASSWORD"],
        project_name=os.environ["OS_PROJECT_NAME"],
        user_domain_id="default",
        project_domain_id="default",
    )
)


def ensure(collection, one, match, more):
    items = api.get(f"{AUTH}/{collection}").json()[collection]
    matching = [item for item in items if all(item.get(key) == value for key, value in match.items())]
    return matching[0] if matching else api.post(f"{AUTH}/{collection}", json={one: {**match, **more}}).json()[one]


def identity():
    project = ensure("projects", "project", {"name": "service"}, {"domain_id": "default"})
    roles = [ensure("roles", "role", {"name": name}, {})["id"] for name in ("admin", "service")]
    types = {"glance": "image", "placement": "placement", "nova": "compute", "neutron": "network"}
    for name, kind in types.items():
        account = {"domain_id": "default", "password": os.environ["OS_PASSWORD"]}
        user = ensure("users", "user", {"name": name}, account)
        for role in roles:
            api.put(f"{AUTH}/projects/{project['id']}/users/{user['id']}/roles/{role}")
        service = ensure("services", "service", {"type": kind}, {"name": name})
        url = URLS[name] + ("/v2.1" if name == "nova" else "")
        for interface in ("public", "internal", "admin"):
            match = {"service_id": service["id"], "interface": interface, "region_id": "RegionOne"}
            ensure("endpoints", "endpoint", match, {"url": url})


def resources():
    images = f"{URLS['glance']}/v2/images"
    properties = {"name": "tiny", "container_format": "bare", "disk_format": "raw", "visibility": "public"}
    image = api.post(images, json=properties).json()
    octets = {"Content-Type": "application/octet-stream"}
    api.put(f"{images}/{image['id']}/file", data=b"tiny image\n", headers=octets)
    # No host has a disk for the flavor "huge".
    for name, number, ram, disk in (("tiny", "1", 64, 1), ("small", "2", 128, 1), ("huge", "3", 64, 1_000_000_000)):
        flavor = {"name": name, "ram": ram, "vcpus": 1, "disk": disk, "id": number}
        api.post(f"{URLS['nova']}/v2.1/flavors", json={"flavor": flavor})
    neutron = f"{URLS['neutron']}/v2.0"
    # neutron configures a mapper with its first query of networks. Without it, the first query of ports gets a 500.
    api.get(f"{neutron}/networks")
    api.get(f"{neutron}/ports")
    network = api.post(f"{neutron}/networks", json={"network": {"name": "net"}}).json()["network"]
    # No DHCP: a port would wait for the DHCP agent.
    subnet = {"network_id": network["id"], "ip_version": 4, "cidr": "10.9.0.0/24", "enable_dhcp": False}
    api.post(f"{neutron}/subnets", json={"subnet": subnet})
    print(image["id"], network["id"])


def ready():
    services = api.get(f"{URLS['nova']}/v2.1/os-services").json()["services"]
    up = {service["binary"] for service in services if service["state"] == "up"}
    providers = api.get(
        f"{URLS['placement']}/resource_providers", headers={"OpenStack-API-Version": "placement 1.20"}
    ).json()["resource_providers"]
    return 0 if up >= {"nova-scheduler", "nova-conductor", "nova-compute"} and providers else 1


def server(name):
    servers = api.get(f"{URLS['nova']}/v2.1/servers/detail", params={"name": f"^{name}$"}).json()["servers"]
    return servers[0] if servers else None


def state(name):
    item = server(name)
    if item is not None:
        print(item["status"], item["OS-EXT-STS:task_state"] or "-", item.get("fault", {}).get("message", ""))


def delete(name):
    item = server(name)
    if item is not None:
        api.delete(f"{URLS['nova']}/v2.1/servers/{item['id']}")


COMMANDS = {"identity": identity, "resources": resources, "ready": ready, "state": state, "delete": delete}
sys.exit(COMMANDS[sys.argv[1]](*sys.argv[2:]))
