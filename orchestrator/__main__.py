"""`python -m orchestrator` is the command `rowrace`."""

from orchestrator.cli import main

main()
