"""rollbuild: describe a cluster once, build everything that installs it."""

__version__ = "0.1.0"
