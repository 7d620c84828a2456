"""`python -m shopcue` is `shopcue`."""

import sys

from shopcue.cli import main

sys.exit(main())
