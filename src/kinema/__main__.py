"""`python -m kinema`, which is also how `torchrun -m kinema` starts several processes."""

import sys

from .cli import main

sys.exit(main())
