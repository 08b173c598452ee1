"""The `compzoo` command: one front door over the catalog, the reference implementations and the site."""

from __future__ import annotations

import sys

import typer

# Each module only defines commands; what is heavy (torch, mkdocs) is imported when a command runs.
from compzoo import catalog_commands, choose_command, citation_commands, running, site_commands

app = typer.Typer(
    name="compzoo",
    help="Browse, cite and run the algorithms that compress Transformers and language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for module in (catalog_commands, choose_command, citation_commands, running, site_commands):
    module.register(app)


def main() -> None:
    """Run the command line; a reader that closes the pipe early (`compzoo list | head`) ends it quietly."""
    try:
        app()
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
