# SPDX-License-Identifier: Apache-2.0
"""A process of a released nova: the options that it was given as JSON, and eventlet's patch or not, in nova's own way.

To be imported before anything of nova.
"""

import json
import os
import sys
import warnings

warnings.simplefilter("ignore")
options = json.loads(sys.argv[1])
os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = str(options["mode"] == "threading").lower()

from nova import monkey_patch  # nova 31 patches when this is imported  # noqa: E402

if hasattr(monkey_patch, "patch"):
    monkey_patch.patch()
