"""`python -m rollbuild`."""

import sys

from rollbuild.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
