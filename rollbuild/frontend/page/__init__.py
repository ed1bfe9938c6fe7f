"""The web page: what is there, how far installs are, and why a Kickstart is as it is. Read-only, without login."""

from rollbuild.frontend.page.routes import page_routes

__all__ = ["page_routes"]
