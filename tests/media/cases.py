"""A network and hosts that the tests of the netboot tree share."""

import ipaddress

from rollbuild.media.table import BootAction, BootHost, BootNetwork

NETWORK = BootNetwork(
    server=ipaddress.IPv4Address("10.1.1.1"),
    network=ipaddress.IPv4Network("10.1.0.0/16"),
    url="http://10.1.1.1/install/netboot",
    gateway="10.1.1.1",
    nameservers=("10.1.1.1",),
    domain="cluster.internal",
)
ARGUMENTS = ("inst.stage2=http://10.1.1.1/install/dist/el9", "inst.ks=http://10.1.1.1/ks/c0?a=1&b=$2;{3}", "ip=dhcp")
INSTALLS = BootHost(
    *("compute-0-0", "52:54:00:aa:bb:01", "10.1.255.254", BootAction.INSTALL),
    kernel="images/el9-1/vmlinuz",
    initrd="images/el9-1/initrd.img",
    arguments=ARGUMENTS,
)
STARTS = BootHost("compute-0-1", "52:54:00:aa:bb:02", "10.1.255.253", BootAction.OS)
