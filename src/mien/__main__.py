"""Entry point of the `mien` command and of `python -m mien`."""

from __future__ import annotations

import sys

from mien.child_python import protect_children


def main() -> None:
    """Run the command. Without the `cli` extra, print how to install it."""
    protect_children()
    try:
        from mien.cli import run
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich", "click"}:
            raise
        from mien.installation import install_command

        sys.stderr.write(f"The mien command needs its extra. Get it with: {install_command('cli')}\n")
        sys.exit(2)
    except KeyboardInterrupt:  # while the command was being imported
        sys.exit(130)
    sys.exit(run())


if __name__ == "__main__":
    main()
