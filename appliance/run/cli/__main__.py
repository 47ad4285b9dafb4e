"""`python -m appliance.run.cli`: the command line where no script is installed."""

from __future__ import annotations

import sys

from appliance.run.cli import main

sys.exit(main())
