"""``python -m hannah_hw``: the command line."""

import sys

from hannah_hw.cli import main

sys.exit(main())
