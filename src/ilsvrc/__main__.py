"""Run the program as `python -m ilsvrc`."""

import sys

from ilsvrc.cli.main import main

sys.exit(main())
