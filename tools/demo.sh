#!/bin/sh
# Compiles and checks the shipped appliances for every supported Enterprise Linux release, builds the shipped rolls, and
# with ISO=/path/to/an/EL/DVD.iso joins them with that DVD to a distribution.
set -eu

cd "$(dirname "$0")/.."
rollbuild=.venv/bin/rollbuild

for release in el8 el9 el10; do
    printf '\n== %s\n' "$release"
    "$rollbuild" check --strict --os-release "$release"
    "$rollbuild" compile --os-release "$release" -o "build/demo/$release"
done

printf '\n== the graph\n'
"$rollbuild" graph --format html -o build/demo/graph.html

printf '\n== the rolls\n'
options=''
if ! command -v rpmbuild >/dev/null; then
    echo 'rpmbuild is missing (package rpm-build, or rpm on Debian): the rolls get no package of their description'
    options=--no-description-package
fi
if command -v xorriso >/dev/null; then
    options="$options --iso"
else
    echo 'xorriso is missing (package xorriso): the rolls get no ISOs'
fi
# shellcheck disable=SC2086  # a list of options
"$rollbuild" -q roll build rolls graphs -o build/demo/rolls $options
for roll in build/demo/rolls/*.x86_64; do
    printf '  %s\n' "$roll"
done

if [ -n "${ISO:-}" ]; then
    printf '\n== a distribution of %s\n' "$ISO"
    export ROLLBUILD_STORE=build/demo/store
    "$rollbuild" distro import-os "$ISO" --name demo-os
    "$rollbuild" -q roll add --enable build/demo/rolls/*.x86_64
    "$rollbuild" distro create demo --os demo-os
fi

printf '\n== a front end, all below build/demo/front-end\n'
# What a front end has in /etc, /export and /var lies below this folder; nothing is restarted, no root is needed.
ROLLBUILD_ROOT=$(pwd)/build/demo/front-end
export ROLLBUILD_ROOT
rocks=.venv/bin/rocks
rm -rf "$ROLLBUILD_ROOT"
mkdir -p "$ROLLBUILD_ROOT/export/rollbuild"
export ROLLBUILD_STORE="$ROLLBUILD_ROOT/export/rollbuild"
if [ -n "${ISO:-}" ]; then
    export ROLLBUILD_STORE=build/demo/store
fi
"$rocks" add frontend attrs=docs/examples/site.yaml rolls=rolls
"$rocks" add host vm-container-0-0 membership="VM Container"
"$rocks" add host interface vm-container-0-0 eth0 mac=52:54:00:aa:10:00 ip=10.1.255.254 subnet=private
"$rocks" add host compute-0-0 membership=Compute cpus=4
"$rocks" add host interface compute-0-0 eth0 mac=52:54:00:aa:10:01 ip=10.1.255.253 subnet=private
"$rocks" sync config
"$rocks" list host
"$rocks" list host interface

printf '\nThe Kickstarts, one per appliance and release:\n'
for kickstart in build/demo/el*/*.ks; do
    printf '  %s (%s lines)\n' "$kickstart" "$(wc -l <"$kickstart" | tr -d ' ')"
done
cat <<'TEXT'
The graph, to open in a browser:
  build/demo/graph.html

The files that dnsmasq on that front end would read:
  build/demo/front-end/etc/rollbuild/hosts
  build/demo/front-end/etc/rollbuild/dhcp-hosts

What to try next:
  . .venv/bin/activate
  rollbuild list appliances
  rollbuild explain compute package:chrony      why is this installed?
  rollbuild explain vm-container line:30        where does this line come from?
  rollbuild diff build/demo/el8 build/demo/el10 what differs between the releases?
  rollbuild compile --rolls DIR ...             your own rolls, as they are
  rollbuild roll add --enable build/demo/rolls/*.x86_64
  rollbuild distro import-os DVD.iso            an EL8, EL9 or EL10 install DVD
  rollbuild distro create cluster --os NAME     all of it in one tree to install from
  rollbuild init                                questions about your site, answered into site.yaml
  rocks help                                    what the front end's commands are
TEXT
