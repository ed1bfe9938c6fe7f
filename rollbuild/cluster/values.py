"""What the database holds, as values; a text that the database has no value for is ""."""

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Appliance:
    """A kind of host. `root` is the node file its graph starts at; without one it has no Kickstart."""

    name: str
    membership: str
    graph: str = "default"
    root: str = ""
    is_public: bool = False
    os: str = "linux"


@dataclass(frozen=True, slots=True)
class Network:
    """An IPv4 network of the cluster; `zone` is its DNS domain, `mtu` in bytes."""

    name: str
    address: str
    netmask: str
    mtu: int = 1500
    zone: str = ""
    serves_dns: bool = False

    @property
    def network(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(f"{self.address}/{self.netmask}")


@dataclass(frozen=True, slots=True)
class Host:
    """A host or VM.

    `boot_action` is os, install or rescue: what it does when it boots next; `run_action` and `install_action` are the
    labels of boot actions that say how. `held` is why it may not install. `changed` is the configuration
    generation of the last change of the host, its interfaces or its boot action.
    """

    name: str
    appliance: str
    membership: str
    rack: int
    rank: int
    cpus: int = 1
    arch: str = "x86_64"
    os: str = "linux"
    run_action: str = "os"
    install_action: str = "install"
    boot_action: str = "os"
    held: str = ""
    comment: str = ""
    is_vm: bool = False
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of a host; its own `name` where that differs from the host's."""

    host: str
    device: str
    mac: str = ""
    address: str = ""
    network: str = ""
    name: str = ""
    module: str = ""
    vlan: int | None = None
    options: str = ""
    channel: str = ""


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name of a host."""

    host: str
    name: str


@dataclass(frozen=True, slots=True)
class BootAction:
    """How a host boots: `kernel` is a file of the netboot tree or a command such as `localboot 0`."""

    label: str
    kernel: str = ""
    ramdisk: str = ""
    args: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """A route of all hosts that `scope` (global, os, appliance, rack, host) and `key` name.

    `destination` is `ADDRESS/PREFIX`. It goes through a gateway, or out of the interface on a network.
    """

    scope: str
    key: str
    destination: str
    gateway: str = ""
    network: str = ""
