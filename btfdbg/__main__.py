"""``python -m btfdbg``: the command line."""

import sys

from btfdbg.cli.main import main

sys.exit(main())
