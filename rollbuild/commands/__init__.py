"""One small module per verb of `rollbuild`; each has a click command named `command`."""
