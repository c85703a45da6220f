#!/bin/sh
# A cluster in containers of this machine, with Kubeflow Pipelines and this project's image, for `make cluster-check`.
# Run again, it takes up where it stopped. What it makes: the cluster, and files below KIND_STATE; your kubeconfig is left.
#
#   KIND_CLUSTER     name of the cluster                           (histoforge)
#   KIND_NODE_IMAGE  image of its nodes, for a mirror              (kind's own)
#   KFP_VERSION      of Kubeflow Pipelines                         (2.17.0)
#   KFP_MANIFESTS    where its manifests/kustomize is: an address that kubectl takes, or a folder
#   KFP_TIMEOUT      seconds until Kubeflow has started            (1200)
#   IMAGE            image that the tasks run in; it must be on this machine
#   CONTAINER        docker or podman
#   KIND_STATE       folder for kubeconfig, keys and logs          (runs/kind)
set -eu
cd "$(dirname "$0")/../.."
. manifests/kind/settings.sh
KFP_VERSION=${KFP_VERSION:-2.17.0}
KFP_MANIFESTS=${KFP_MANIFESTS:-github.com/kubeflow/pipelines/manifests/kustomize}
KFP_TIMEOUT=${KFP_TIMEOUT:-1200}
CONTAINER=${CONTAINER:-docker}

need kind "get it from https://kind.sigs.k8s.io"
need kubectl "get it from https://kubernetes.io/docs/tasks/tools"
need "$CONTAINER" "kind keeps its nodes in containers"
[ -n "${IMAGE:-}" ] || fail "No image is named: build one with 'make images', and give IMAGE=registry/histoforge-cpu:version."
"$CONTAINER" image inspect "$IMAGE" >/dev/null 2>&1 ||
    fail "The image $IMAGE is not on this machine: build it with 'make images', or pull it."
case $CONTAINER in *podman) export KIND_EXPERIMENTAL_PROVIDER=podman ;; esac

umask 077 # keys are kept here
mkdir -p "$STATE"

case $(made) in
"$CLUSTER") ;;
'') if is_there; then fail "There is a kind cluster '$CLUSTER' that was not made here: give another name in KIND_CLUSTER."; fi ;;
*) fail "$STATE is that of the cluster '$(made)': run 'make kind-down' first, or give another folder in KIND_STATE." ;;
esac
echo "$CLUSTER" >"$STATE/cluster"
if is_there; then
    kind export kubeconfig --name "$CLUSTER" --kubeconfig "$KUBECONFIG_FILE"
else
    kind create cluster --name "$CLUSTER" --kubeconfig "$KUBECONFIG_FILE" ${KIND_NODE_IMAGE:+--image "$KIND_NODE_IMAGE"}
fi

archive=$STATE/image.tar
"$CONTAINER" save --output "$archive" "$IMAGE"
kind load image-archive "$archive" --name "$CLUSTER"
rm -f "$archive"

# As Kubeflow Pipelines' own page on its installation has it, but for the version.
if [ -d "$KFP_MANIFESTS" ]; then version=''; else version="?ref=$KFP_VERSION"; fi
ours apply --kustomize "$KFP_MANIFESTS/cluster-scoped-resources$version"
ours wait crd/applications.app.k8s.io --for condition=established --timeout 60s
ours apply --kustomize "$KFP_MANIFESTS/env/platform-agnostic$version"
ours wait deployment --selector application-crd-id=kubeflow-pipelines --namespace kubeflow \
    --for condition=Available --timeout "${KFP_TIMEOUT}s"

# The store is Kubeflow's own; its keys go from secret to secret through files, and never into a command.
for key in accesskey secretkey; do
    ours get secret mlpipeline-minio-artifact --namespace kubeflow --output "go-template={{.data.$key | base64decode}}" \
        >"$STATE/$key"
done
ours create secret generic histoforge-storage --namespace kubeflow --dry-run=client --output yaml \
    --from-literal=endpoint=http://seaweedfs.kubeflow:9000 \
    --from-file="accesskey=$STATE/accesskey" --from-file="secretkey=$STATE/secretkey" |
    ours apply --filename -
ours apply --kustomize manifests/overlays/standalone

forward() { # name, service, ports
    end_forward "$1"
    nohup kubectl --kubeconfig "$KUBECONFIG_FILE" port-forward --namespace kubeflow "service/$2" "$3" \
        >"$STATE/$1.log" 2>&1 &
    echo $! >"$STATE/$1.pid"
}
forward pipelines ml-pipeline-ui "${KIND_PIPELINES_PORT:-8080}:80"
forward store seaweedfs "${KIND_STORE_PORT:-9000}:9000"

folder=$(cd "$STATE" && pwd)
cat <<END

Kubeflow Pipelines $KFP_VERSION runs in the kind cluster '$CLUSTER'. To check it:

export KUBECONFIG='$folder/kubeconfig'
export KF_PIPELINES_ENDPOINT=http://localhost:${KIND_PIPELINES_PORT:-8080}
export HISTOFORGE_S3_ENDPOINT=http://localhost:${KIND_STORE_PORT:-9000}
export HISTOFORGE_S3_SECRET_DIR='$folder'
make cluster-check STORE=minio://mlpipeline/histoforge IMAGE='$IMAGE' CHECK='--cpu 1 --memory 2Gi'

make kind-down takes it away again.
END
