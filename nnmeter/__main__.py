"""`python -m nnmeter`."""

from nnmeter.cli.main import main

main()
