# SPDX-License-Identifier: Apache-2.0
"""The shipped profiles on the newest releases: each name is there, and points are put into the real modules."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from osprofiler.instrumentation.points import profile
from tests import conftest, environments, released

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parent / "programs" / "released_points.py"


class Service(NamedTuple):
    """A released service, and a call in it that is a point; what it returns or raises does not matter."""

    project: str  # as it calls itself
    python: Callable[[], Path]
    call: tuple[str, ...]  # module, name there, arguments
    operation: str
    placed: int  # points at least: about what its newest release has


SERVICES = [
    Service("cinder", released.python, ("cinder.db.api", "volume_get", "", "id"), "cinder.db.api.volume_get", 200),
    Service("glance", released.apis, ("glance.db.sqlalchemy.api", "image_get", "", "id"),
            "glance.db.sqlalchemy.api.image_get", 70),
    Service("heat", released.engines, ("heat.db.api", "stack_get", "", "id"), "heat.db.api.stack_get", 80),
    Service("ironic", released.engines, ("ironic.conductor.verify", "do_node_verify", ""),
            "ironic.conductor.verify.do_node_verify", 100),
    Service("keystone", released.apis, ("keystone.identity.backends.sql", "Identity.get_user", "", "id"),
            "keystone.identity.backends.sql.Identity.get_user", 25),
    Service("neutron", released.python, ("neutron.objects.network", "Network.get_objects", ""),
            "neutron.objects.base.NeutronDbObject.get_objects", 100),
    Service("nova", released.python, ("nova.virt.fake", "FakeDriver.list_instances", ""),
            "nova.virt.fake.FakeDriver.list_instances", 300),
    Service("placement", released.apis, ("placement.objects.trait", "get_all", ""),
            "placement.objects.trait.get_all", 30),
    Service("Zaqar", released.apis, ("zaqar.notification.tasks.webhook", "WebhookTask.execute", "", "", ""),
            "zaqar.notification.tasks.webhook.WebhookTask.execute", 5),
]  # fmt: skip


#: Profiles of libraries: see :mod:`tests.integration.test_points_libraries`.
LIBRARIES = ["libvirt", "paramiko"]


def test_each_profile_is_tried() -> None:
    tried = [*(service.project.lower() for service in SERVICES), *LIBRARIES]
    assert sorted([*tried, profile.DEFAULT]) == profile.shipped()  # it has no points


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.project)
def test_a_released_service_has_the_points_of_its_profile(service: Service, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(conftest.made(service.python)), str(PROGRAM), service.project, *service.call],
        env=environments.variables(environments.REPOSITORY),
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["log"], result["faults"]) == ([], [])
    assert service.operation in result["operations"]
    assert result["placed"] >= service.placed
