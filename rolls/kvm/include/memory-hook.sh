# libvirt calls this as NAME OPERATION SUB-OPERATION EXTRA, with the machine's description on standard input, and does
# not start the machine when this fails. What stands on standard error becomes part of the message.
description=$(cat)
if [ "$2" != prepare ]; then
    exit 0
fi

# What the emulator of a machine needs besides the machine's own memory, in MiB.
overhead=256

# memory_in TEXT: the memory of the machine that is described, in MiB, with what its emulator needs.
memory_in() {
    local kib
    kib=$(sed -n "s/.*<memory unit='KiB'>\([0-9]*\)<.*/\1/p" <<<"$1" | sed -n 1p)
    echo "$((${kib:-0} / 1024 + overhead))"
}

total=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024))
if [ -z "$kept" ]; then
    kept=$((total / 10))
    if [ "$kept" -lt 2048 ]; then
        kept=2048
    fi
fi
used=0
for file in /run/libvirt/qemu/*.xml; do
    if [ -e "$file" ] && [ "$file" != "/run/libvirt/qemu/$1.xml" ]; then
        used=$((used + $(memory_in "$(cat "$file")")))
    fi
done
wanted=$(memory_in "$description")
if [ "$((used + wanted + kept))" -gt "$total" ]; then
    echo "$1 needs $wanted MiB: of $total MiB, other machines have $used and the host keeps $kept (vm_host_memory)" >&2
    exit 1
fi
