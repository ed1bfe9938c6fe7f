"""The page of the service's small front end."""

from tests.frontend.service.conftest import made, root, service

__all__ = ["made", "root", "service"]
