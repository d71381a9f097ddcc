"""`python -m zsad` is `zsad`."""

import sys

from zsad.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
