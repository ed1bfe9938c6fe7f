"""The commands of the verbs `list` and `report`: where each is defined, and its line of help."""

_HERE = "rollbuild.commands.rocks"
_HOST = f"{_HERE}.list_host"
_STATE = f"{_HERE}.list_state"
_ATTR = f"{_HERE}.list_attr"
_CLUSTER = f"{_HERE}.list_cluster"
_STORE = f"{_HERE}.list_store"
_VM = f"{_HERE}.list_vm"
_REPORT = f"{_HERE}.report_host"
_FILES = f"{_HERE}.report_files"

LISTS = {
    "list appliance": (f"{_CLUSTER}:APPLIANCE", "The appliances, and the node each is compiled from."),
    "list appliance attr": (f"{_ATTR}:APPLIANCE_ATTR", "Attributes of appliances."),
    "list appliance route": (f"{_CLUSTER}:APPLIANCE_ROUTE", "Routes of the hosts of appliances."),
    "list attr": (f"{_ATTR}:ATTR", "Attributes of all hosts."),
    "list audit": (f"{_STATE}:AUDIT", "Who changed what, and when."),
    "list bootaction": (f"{_CLUSTER}:BOOTACTION", "The boot actions: kernel, ramdisk and arguments of each."),
    "list cluster": (f"{_CLUSTER}:CLUSTER", "The front end and its client nodes."),
    "list discovery": (f"{_STATE}:DISCOVERY", "Machines that asked for an address and are no host yet."),
    "list distro": (f"{_STORE}:DISTRO", "The distributions that hosts can install from."),
    "list host": (f"{_HOST}:HOST", "The hosts: membership, rack, rank, and how they boot."),
    "list host alias": (f"{_HOST}:ALIAS", "Other names of hosts."),
    "list host attr": (f"{_ATTR}:HOST_ATTR", "All attributes of hosts, and the scope each comes from."),
    "list host boot": (f"{_HOST}:BOOT", "What hosts do when they boot next."),
    "list host install": (f"{_STATE}:INSTALL", "How far the installs of hosts are, how often they tried, who is held."),
    "list host interface": (f"{_HOST}:INTERFACE", "The network interfaces of hosts."),
    "list host macs": (f"{_HOST}:MACS", "The MAC addresses of hosts."),
    "list host profile": (f"{_STORE}:PROFILE", "The Kickstart of a host."),
    "list host route": (f"{_HOST}:ROUTE", "All routes of hosts, and the scope each comes from."),
    "list host vm": (f"{_VM}:VM", "The VMs: container, slice, memory, processors, and how they are."),
    "list membership": (f"{_CLUSTER}:MEMBERSHIP", "The memberships: appliances by the names that people use."),
    "list network": (f"{_CLUSTER}:NETWORK", "The networks."),
    "list os attr": (f"{_ATTR}:OS_ATTR", "Attributes of all hosts of an operating system."),
    "list rack attr": (f"{_ATTR}:RACK_ATTR", "Attributes of all hosts in a rack."),
    "list roll": (f"{_STORE}:ROLL", "The rolls of the store, and which are enabled."),
    "list route": (f"{_CLUSTER}:GLOBAL_ROUTE", "Routes of all hosts."),
}

REPORTS = {
    "report distro": (f"{_FILES}:DISTRO", "The name of the distribution that hosts install from."),
    "report host": (f"{_FILES}:HOSTS_FILE", "The hosts file that the front end's name server reads."),
    "report host attr": (f"{_ATTR}:REPORT_ATTR", "All attributes of a host as name:value lines, or one value."),
    "report host dhcpd": (f"{_FILES}:DHCP", "The DHCP server's configuration, as it would be written."),
    "report host interface": (f"{_REPORT}:INTERFACE", "The NetworkManager files of a host's interfaces."),
    "report host route": (f"{_REPORT}:ROUTE", "The static routes of a host."),
    "report host vm": (f"{_VM}:REPORT", "The file of a VM that xl reads, or the document that libvirt does."),
    "report host vm config": (f"{_VM}:REPORT_CONFIG", "The document of a VM that libvirt reads."),
    "report nextip": (f"{_REPORT}:NEXT_IP", "The next free address of a network."),
    "report resolv": (f"{_FILES}:RESOLV", "The resolv.conf of the hosts."),
    "report version": (f"{_FILES}:VERSION", "The version of rollbuild."),
    "report vm nextmac": (f"{_REPORT}:NEXT_MAC", "The next free MAC address of a VM."),
}
