"""`python -m sanderling` is the command `sanderling`."""

from sanderling.cli.main import entry

if __name__ == "__main__":
    entry()
