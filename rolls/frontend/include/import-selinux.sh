# Tells SELinux what stands in /etc/rollbuild/selinux.d, in one import, because each one builds the policy anew; what
# is known already is left out, so that a second run does nothing. Lines of these files:
#
#   fcontext TYPE PATTERN    files that match have this type
#   equal FOLDER OTHER       files below OTHER are labelled as those below FOLDER
#   port TYPE NUMBER         the TCP port has this type
#   boolean on|off NAME
set -euo pipefail
known=$(semanage export | tr -d "'\"")

# known_as KIND NAME MARK: whether the last line about NAME has MARK; "other" where it says something else.
known_as() {
    awk -v kind="$1" -v name="$2" -v mark="$3" '
        $1 == kind && $NF == name { found = index(" " $0 " ", " " mark " ") ? "same" : "other" }
        END { print found ? found : "none" }' <<<"$known"
}

wanted=$(cat /etc/rollbuild/selinux.d/*)
import=''
while read -r kind value name; do
    case $kind in
    fcontext)
        case $(known_as fcontext "${name//\\/\\\\}" "-t $value") in
        none) import+="fcontext -a -f a -t $value '$name'"$'\n' ;;
        other) import+="fcontext -m -f a -t $value '$name'"$'\n' ;;
        esac
        ;;
    equal)
        case $(known_as fcontext "$name" "-e $value") in
        none) import+="fcontext -a -e $value $name"$'\n' ;;
        esac
        ;;
    port)
        case $(known_as port "$name" "-t $value") in
        none) import+="port -a -t $value -p tcp $name"$'\n' ;;
        other) import+="port -m -t $value -p tcp $name"$'\n' ;;
        esac
        ;;
    boolean)
        state=-0
        [ "$value" != on ] || state=-1
        case $(known_as boolean "$name" "$state") in
        none | other) import+="boolean -m $state $name"$'\n' ;;
        esac
        ;;
    '' | '#'*) ;;
    *) echo "selinux: a line begins with $kind" >&2 && exit 1 ;;
    esac
done <<<"$wanted"
if [ -n "$import" ]; then
    semanage import <<<"${import%$'\n'}"
fi
