"""``python -m lit_autotune``: the ``autotune`` command where scripts are not on the path."""
# PYTHON_ARGCOMPLETE_OK

import sys

from lit_autotune.cli import main

if __name__ == "__main__":
    sys.exit(main())
