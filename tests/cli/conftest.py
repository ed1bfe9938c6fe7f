"""The made-up cluster, for commands that only show what is there."""

from pathlib import Path

import pytest

from tests.clusters import make_cluster


@pytest.fixture(scope="session")
def unchanged_cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root folder of a front end with the made-up cluster, which no test changes."""
    root = tmp_path_factory.mktemp("cluster")
    make_cluster(root).close()
    return root
