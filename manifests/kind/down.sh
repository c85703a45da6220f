#!/bin/sh
# Takes the cluster of up.sh away, its port-forwards and its files, and nothing else.
set -eu
cd "$(dirname "$0")/../.."
. manifests/kind/settings.sh

need kind "get it from https://kind.sigs.k8s.io"
case ${CONTAINER:-docker} in *podman) export KIND_EXPERIMENTAL_PROVIDER=podman ;; esac
[ "$(made)" = "$CLUSTER" ] || fail "$STATE has no cluster '$CLUSTER' of 'make kind': nothing was deleted."
for name in pipelines store; do
    end_forward "$name"
done
if is_there; then
    kind delete cluster --name "$CLUSTER" --kubeconfig "$KUBECONFIG_FILE"
fi
for name in cluster kubeconfig accesskey secretkey image.tar pipelines.log store.log; do
    rm -f "$STATE/$name"
done
rmdir "$STATE" 2>/dev/null || true
