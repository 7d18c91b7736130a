"""`python -m openmetadata_bulksink` is the command `openmetadata-bulksink`."""

from openmetadata_bulksink.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
