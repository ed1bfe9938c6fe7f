"""What virsh prints, as libvirt 9.0 on Xen 4.17 printed it, and what is made of it."""

import re

import pytest

from rollbuild.errors import RollbuildError
from rollbuild.vm.values import DomainState
from rollbuild.vm.virshtext import (
    EXISTS,
    NO_POOL,
    NOT_RUNNING,
    at_work,
    find_errors,
    hung_up,
    read_paths,
    read_states,
    shorten,
    spell_word,
)

LISTED = """
 Id   Name            State
--------------------------------
 0    Domain-0        running
 3    compute-0-0-1   in shutdown
 -    compute-0-0-2   shut off

Pool disks refreshed

 Name                 Path
-------------------------------------------------------------
 compute-0-0-1.xvda   /state/partition1/vm/disks/compute-0-0-1.xvda
 lost+found           /state/partition1/vm/disks/lost+found

"""


def test_what_is_listed() -> None:
    assert read_states(LISTED) == {"compute-0-0-1": DomainState.SHUTDOWN, "compute-0-0-2": DomainState.SHUTOFF}
    folder = "/state/partition1/vm/disks"
    assert read_paths(LISTED) == {f"{folder}/compute-0-0-1.xvda", f"{folder}/lost+found"}


VOLUME = ["error: Failed to create vol x", "error: storage volume 'x' exists already"]
NOT_ON = ["error: Failed to destroy domain 'x'", "error: Requested operation is not valid: domain is not running"]
POOL = ["error: failed to get pool 'x'", "error: Storage pool not found: no storage pool with matching name 'x'"]
BUSY = ["error: Failed to refresh pool x", "error: internal error: pool 'x' has asynchronous jobs running."]
OTHER = ["error: Failed to create vol x", "error: cannot fill file '/x': No space left on device"]


@pytest.mark.parametrize(
    ("said", "allowed", "wrong"),
    [
        (VOLUME, EXISTS, []),
        (VOLUME, None, VOLUME),
        (NOT_ON, NOT_RUNNING, []),
        (["error: failed to get domain 'x'"], NOT_RUNNING, []),
        (POOL, NO_POOL, []),
        ([*POOL, *OTHER], NO_POOL, OTHER),
        ([*OTHER, *POOL], NO_POOL, OTHER),
        (BUSY, None, []),
        ([*BUSY, *OTHER], EXISTS, OTHER),
        (["warning: this is none"], None, []),
        (["error: one line"], None, ["error: one line"]),
    ],
)
def test_which_errors_count(said: list[str], allowed: re.Pattern[str] | None, wrong: list[str]) -> None:
    assert find_errors(said, allowed) == wrong


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "failed to connect to the hypervisor Cannot recv data: ssh: connect to host 10.1.1.9 port 22: "
            "Connection refused: Connection reset by peer",
            "ssh: connect to host 10.1.1.9 port 22: Connection refused",
        ),
        (
            "failed to connect to the hypervisor End of file while reading data: : Input/output error",
            "End of file while reading data: : Input/output error",
        ),
        (
            "failed to connect to the hypervisor Cannot recv data: mux_client_request_session: read from master "
            "failed: Broken pipe ssh: connect to host vm-container-0-0 port 22: No route to host: "
            "Connection reset by peer",
            "ssh: connect to host vm-container-0-0 port 22: No route to host",
        ),
        ("failed to connect to the hypervisor", "no answer"),
    ],
)
def test_why_there_is_no_connection(said: str, reason: str) -> None:
    assert shorten(said) == reason


@pytest.mark.parametrize(
    ("said", "is_so"),
    [
        (
            "error: failed to connect to the hypervisor\nerror: End of file while reading data: : Input/output error\n",
            True,
        ),
        ("error: failed to connect to the hypervisor\nerror: Cannot recv data: Connection reset by peer\n", True),
        ("error: failed to connect to the hypervisor\nerror: End of file while reading data: nc: refused: x\n", False),
        ("error: Failed to start domain x\nerror: End of file while reading data: Input/output error\n", False),
        ("", False),
    ],
)
def test_a_connection_that_broke_off_is_tried_again(said: str, is_so: bool) -> None:
    assert hung_up(said.encode()) is is_so


@pytest.mark.parametrize(
    ("shown", "is_so"),
    [
        ("Job type:         None        \n\n", False),
        ("Job type:         Unbounded   \nOperation:        Save        \nTime elapsed:     1204         ms\n", True),
        ("", False),
    ],
)
def test_whether_a_machine_is_being_saved(shown: str, is_so: bool) -> None:
    assert at_work(shown) is is_so


def test_words() -> None:
    assert spell_word("/state/x.xvda") == "/state/x.xvda"
    assert spell_word("a b;c") == "'a b;c'"
    for text in ("it's", "a\nb"):
        with pytest.raises(RollbuildError, match="cannot be given to libvirt"):
            spell_word(text)
