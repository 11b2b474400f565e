# SPDX-License-Identifier: Apache-2.0
"""OpenStack projects as they were released: their wheels unpacked, and an environment that can run them."""

import shutil
import sys
import zipfile
from pathlib import Path

from tests import environments

# Stock's osprofiler, which is this repository's where PYTHONPATH has that first, and what this one needs.
_OSPROFILER = (
    "osprofiler[redis]==4.4.0",
    *("jaeger-client", "opentracing", "six", "threadloop", "thrift", "tornado", "wrapt", "PyMySQL"),
)
_RPC = ("nova==34.0.0", "python-novaclient==18.13.1", "cinder==29.0.0", "neutron==29.0.0")
_THEIR_TESTS = (
    "ddt",
    "fixtures",
    "oslotest",
    "requests-mock",
    "stestr",
    "testresources",
    "testscenarios",
    "testtools",
    "wsgi-intercept",
)
_ENGINES = ("openstack-heat==27.0.1", "ironic==39.0.0")
_APIS = (
    *("keystone==30.0.0", "glance==33.0.0", "openstack-placement==16.0.0", "zaqar[redis]==23.0.1"),
    *("python-zaqarclient==4.7.0", "pymongo==4.16.0"),  # newer ones refuse the servers that tests have
)


def wheel(project: str, release: str) -> Path:
    """The unpacked wheel of one release, to be copied before anything in it is changed. Raises NotMade."""

    def make(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        environments.run([*pip, "--dest", str(folder), f"{project}=={release}"])
        (packed,) = folder.glob("*.whl")
        zipfile.ZipFile(packed).extractall(folder / "unpacked")

    return environments.once(f"wheel-{project}-{release}", make) / "unpacked"


def copy(project: str, release: str, folder: Path) -> Path:
    """A copy of one release in *folder*, to be changed. Raises NotMade."""
    shutil.copytree(wheel(project, release), folder, dirs_exist_ok=True)
    return folder


def python() -> Path:
    """The interpreter of an environment with nova, cinder, neutron, and what nova's own tests need. Raises NotMade."""
    wanted = (*_RPC, *_OSPROFILER, *_THEIR_TESTS)
    return environments.python("openstack", *wanted, constraints=environments.CONSTRAINTS)


def apis() -> Path:
    """The interpreter of an environment with keystone, glance, placement and zaqar. Raises NotMade."""
    return environments.python("openstack-apis", *_APIS, *_OSPROFILER, constraints=environments.CONSTRAINTS)


def engines() -> Path:
    """The interpreter of an environment with heat and ironic. Raises NotMade."""
    return environments.python("openstack-engines", *_ENGINES, *_OSPROFILER, constraints=environments.CONSTRAINTS)


def client() -> Path:
    """The interpreter of an environment with the ``openstack`` command. Raises NotMade."""
    return environments.python("openstackclient", "python-openstackclient==10.5.0", *_OSPROFILER)
