"""``python -m kinestream`` is the command line."""

import sys

try:
    from kinestream.commands.main import main
except KeyboardInterrupt:  # before `main` can say anything
    sys.exit(130)

if __name__ == "__main__":
    main()
