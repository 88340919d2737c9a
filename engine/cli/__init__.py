"""The command line: `holdfast [-C DIR] COMMAND`.

One file for each group of commands. They hold words and layout only; what a command does, it asks of the rooms below.
"""

from __future__ import annotations


def main() -> None:
    """Run the command in `sys.argv` and exit with its code."""
    from engine.cli.root import app  # noqa: PLC0415 - whoever imports the package wants a part of it, not the app

    app(prog_name="holdfast")
