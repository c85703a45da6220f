# What up.sh and down.sh have in common; read by them, not run.
# shellcheck shell=sh
# shellcheck disable=SC2034

CLUSTER=${KIND_CLUSTER:-histoforge}
STATE=${KIND_STATE:-runs/kind}
KUBECONFIG_FILE=$STATE/kubeconfig

fail() {
    echo "$*" >&2
    exit 2
}

need() {
    command -v "$1" >/dev/null || fail "$1 is not installed: $2, and run this again."
}

# The name of the cluster that up.sh made, which is all that down.sh may delete.
made() {
    cat "$STATE/cluster" 2>/dev/null || true
}

is_there() {
    kind get clusters 2>/dev/null | grep -qxF "$CLUSTER"
}

ours() {
    kubectl --kubeconfig "$KUBECONFIG_FILE" "$@"
}

# End a port-forward of ours, whose process id may have gone to another program since.
end_forward() {
    [ -f "$STATE/$1.pid" ] || return 0
    pid=$(cat "$STATE/$1.pid")
    case $(ps -o args= -p "$pid" 2>/dev/null) in
    *"$KUBECONFIG_FILE"*port-forward*) kill "$pid" 2>/dev/null || true ;;
    esac
    rm -f "$STATE/$1.pid"
}
