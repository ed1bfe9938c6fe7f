#!/bin/sh
# Compiles and checks the shipped appliances for every supported Enterprise Linux release.
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
TEXT
