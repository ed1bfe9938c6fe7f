#!/bin/sh
# Compiles and checks the shipped appliances for every supported Enterprise Linux release.
set -eu

cd "$(dirname "$0")/.."
rollbuild=.venv/bin/rollbuild

for release in el8 el9 el10; do
    printf '\n== %s\n' "$release"
    "$rollbuild" compile --os-release "$release" -o "build/demo/$release"
    "$rollbuild" check --strict --os-release "$release"
done

printf '\nThe Kickstarts, one per appliance and release:\n'
for kickstart in build/demo/el*/*.ks; do
    printf '  %s (%s lines)\n' "$kickstart" "$(wc -l <"$kickstart" | tr -d ' ')"
done
cat <<'TEXT'

What to try next:
  . .venv/bin/activate
  rollbuild --help
  rollbuild list appliances
  rollbuild list packages compute --json
  rollbuild explain compute package:chrony
  rollbuild graph compute --format dot
  rollbuild compile --rolls DIR ...       your own rolls, as they are
TEXT
