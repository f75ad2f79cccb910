"""`python -m fastslow`, the command `fastslow`, and what `torchrun -m fastslow` starts."""

import os
import sys

# No other imports here: while they last, Ctrl-C ends in a traceback.


def main(arguments: list[str] | None = None) -> None:
    """Runs one command, see `fastslow.cli`; Ctrl-C ends it in a line, while its parts are still being imported too."""
    try:
        from fastslow.cli import main as run

        run(arguments)
    except KeyboardInterrupt:
        if os.environ.get("FASTSLOW_DEBUG") == "1":
            raise
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
