"""The made-up cluster that tests of the front end share: that of the examples in the reference."""

from pathlib import Path

from rollbuild.cluster import (
    BootAction,
    Database,
    Interface,
    Network,
    Route,
    VirtualMachine,
    VmDisk,
    add_alias,
    add_host,
    add_interface,
    add_network,
    add_route,
    add_vm,
    open_database,
    put_boot_action,
    set_attribute,
    set_boot,
    set_host,
)

_DISKS = "/state/partition1/xen/disks"

ATTRIBUTES = {
    "Kickstart_PrivateAddress": "10.1.1.1",
    "Kickstart_PrivateDNSDomain": "local",
    "Kickstart_PrivateDNSServers": "10.1.1.1",
    "Kickstart_PrivateGateway": "10.1.1.1",
    "Kickstart_PrivateHostname": "granite",
    "Kickstart_PrivateKickstartHost": "10.1.1.1",
    "Kickstart_PrivateRootPassword": "$6$salt$made-up-hash",
    "Kickstart_Timezone": "Etc/UTC",
}


def make_cluster(root: Path) -> Database:
    """A database below `root` (var/lib/rollbuild/cluster.db): the front end granite, two VM containers, a compute host
    and three VMs."""
    folder = root / "var" / "lib" / "rollbuild"
    folder.mkdir(parents=True, exist_ok=True)
    database = open_database(f"sqlite:///{folder / 'cluster.db'}")
    with database.writing("rocks load", "tests") as c:
        add_network(c, Network("private", "10.1.0.0", "255.255.0.0", zone="local", serves_dns=True))
        add_network(c, Network("public", "203.0.113.0", "255.255.255.0", zone="example.org"))
        put_boot_action(c, BootAction("install vm", "file:///boot/kickstart/xen/vmlinuz", "initrd-xen", "ks"))
        add_host(c, "granite", appliance="frontend", rack=0, rank=0, cpus=8)
        for rank in range(2):
            add_host(c, f"vm-container-0-{rank}", appliance="vm-container", rack=0, rank=rank, cpus=16)
        add_host(c, "compute-0-0", appliance="compute", rack=0, rank=0, cpus=4)
        for name, appliance, cpus, rank in (
            ("compute-0-0-0", "compute", 1, 0),
            ("compute-0-0-1", "compute", 2, 0),
            ("hosted-vm-0-1-0", "hosted-vm", 1, 1),
        ):
            add_host(c, name, appliance=appliance, rack=0, rank=rank, cpus=cpus, is_vm=True)
            set_host(c, name, install_action="install vm")
        set_host(c, "hosted-vm-0-1-0", run_action="")
        for interface in (
            Interface("granite", "eth0", "52:54:00:aa:00:01", "10.1.1.1", "private", module="e1000"),
            Interface("granite", "eth1", "52:54:00:aa:00:02", "203.0.113.77", "public", module="e1000"),
            Interface("vm-container-0-0", "eth0", "52:54:00:aa:10:00", "10.1.255.254", "private"),
            Interface("vm-container-0-0", "vlan2", network="private", vlan=2),
            Interface("vm-container-0-1", "eth0", "52:54:00:aa:10:01", "10.1.255.253", "private"),
            Interface("compute-0-0", "eth0", "52:54:00:aa:20:00", "10.1.255.252", "private"),
            Interface("compute-0-0-0", "eth0", "4e:71:00:40:00:00", "10.1.255.251", "private"),
            Interface("compute-0-0-1", "eth0", "4e:71:00:40:00:01", "10.1.255.250", "private"),
            Interface("compute-0-0-1", "eth1", "4e:71:00:40:00:02"),
            Interface("hosted-vm-0-1-0", "eth0", "4e:71:00:40:00:03"),
        ):
            add_interface(c, interface)
        add_alias(c, "compute-0-0", "c0")
        for name, value in ATTRIBUTES.items():
            set_attribute(c, "global", "", name, value)
        set_attribute(c, "appliance", "compute", "exec_host", "true")
        set_attribute(c, "host", "compute-0-0", "HttpConf", "/etc/httpd/conf")
        add_route(c, Route("global", "", "0.0.0.0/0", gateway="10.1.1.1"))
        add_route(c, Route("global", "", "224.0.0.0/24", network="private"))
        add_route(c, Route("host", "compute-0-0", "10.2.0.0/16", gateway="10.1.1.2"))
        add_route(c, Route("host", "granite", "0.0.0.0/0", gateway="203.0.113.1"))
        for name, container, number, memory, size in (
            ("compute-0-0-0", "vm-container-0-0", 0, 1024, 36),
            ("compute-0-0-1", "vm-container-0-0", 1, 4096, 100),
            ("hosted-vm-0-1-0", "vm-container-0-1", 0, 1024, 36),
        ):
            disk = VmDisk("file", f"{_DISKS}/{name}.hda", "hda", "w", size)
            add_vm(c, VirtualMachine(name, container, number, memory, "para", disks=(disk,)))
        set_boot(c, "compute-0-0", "install")
    return database
