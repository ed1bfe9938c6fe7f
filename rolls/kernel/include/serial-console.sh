# Shows the boot menu on a serial line as well. In: line, such as ttyS1,115200n8.

[[ $line =~ ^ttyS([0-9]+)(,([0-9]+)([noe])?([78])?)?$ ]] ||
    rb_fail "serial_console takes a line and its speed, such as ttyS0,115200n8, not $line"
unit=${BASH_REMATCH[1]} speed=${BASH_REMATCH[3]:-9600} parity=${BASH_REMATCH[4]:-n} word=${BASH_REMATCH[5]:-8}
case $parity in
o) parity=odd ;;
e) parity=even ;;
*) parity=no ;;
esac

settings=/etc/default/grub
mkdir -p /etc/default
new=$(
    {
        [ ! -e "$settings" ] || grep -vE '^(GRUB_TERMINAL|GRUB_TERMINAL_INPUT|GRUB_TERMINAL_OUTPUT|GRUB_SERIAL_COMMAND)=' "$settings" || :
        echo 'GRUB_TERMINAL="serial console"'
        echo "GRUB_SERIAL_COMMAND=\"serial --unit=$unit --speed=$speed --word=$word --parity=$parity --stop=1\""
    }
)
if [ ! -e "$settings" ] || [ "$new" != "$(cat "$settings")" ]; then
    printf '%s\n' "$new" >"$settings"
    grub=/boot/grub2/grub.cfg
    for file in /boot/efi/EFI/*/grub.cfg; do
        # From EL 9 on this one only leads to the other.
        if [ -d /sys/firmware/efi ] && [ -f "$file" ] && ! grep -q configfile "$file"; then
            grub=$file
        fi
    done
    grub2-mkconfig -o "$grub"
    # The menu would be hidden after a boot that went well.
    grub2-editenv - unset menu_auto_hide
fi
systemctl enable "serial-getty@ttyS$unit.service"
