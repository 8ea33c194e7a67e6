"""What the page, the command line and the workers share. Imports neither `web` nor `worker`."""

__version__ = "0.1.0"
