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

printf '\nThe Kickstarts, one per appliance and release:\n'
for kickstart in build/demo/el*/*.ks; do
    printf '  %s (%s lines)\n' "$kickstart" "$(wc -l <"$kickstart" | tr -d ' ')"
done
cat <<'TEXT'
The graph, to open in a browser:
  build/demo/graph.html

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
TEXT
