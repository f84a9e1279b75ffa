"""`python -m dialogue` is the command `starfold`."""

from dialogue.cli import main

main()
