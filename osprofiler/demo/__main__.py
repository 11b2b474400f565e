# SPDX-License-Identifier: Apache-2.0
"""``python -m osprofiler.demo``: the demo without the rest of the command line."""

import argparse
import sys

from osprofiler.demo import main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m osprofiler.demo", description=main.__doc__)
    main.add_arguments(parser)
    sys.exit(main.run(parser.parse_args()))
