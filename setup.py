# SPDX-License-Identifier: Apache-2.0
"""Where the packages are; all metadata is in pyproject.toml.

``patches/`` stands at the top of the repository, where people look for it, and is installed as the data package
``osprofiler.patching.patches``, where ``osprofiler.patching`` finds it. Only ``package_dir`` can say so, and it does so
for wheels, source distributions and editable installs alike.
"""

from setuptools import find_packages, setup

PATCHES = "osprofiler.patching.patches"

setup(
    packages=[*find_packages(include=["osprofiler", "osprofiler.*"]), PATCHES],
    package_dir={PATCHES: "patches"},
    package_data={
        "osprofiler": [
            "py.typed",
            "**/*.css",
            "**/*.html",
            "**/*.js",
            "**/*.json",
            "**/*.sql",
            "**/*.svg",
            "**/*.yaml",
        ],
        PATCHES: ["**/*"],
    },
    include_package_data=False,
)
