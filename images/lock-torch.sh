# Locks torch and torchvision with the hashes of one package index, such as PyTorch's index of CPU builds, whose files
# differ from those of the default index:
#     lock-torch.sh UV INDEX OUT
set -eu

folder=$(dirname "$0")
"$1" pip compile --quiet --no-header --no-deps --generate-hashes --python-version 3.11 --index-url "$2" \
    --output-file "$3" "$folder/cpu/torch.in"
if [ "$(grep -c -- --hash=sha256: "$3")" -lt 2 ]; then
    rm -f "$3"
    echo "$2 gives no SHA-256 of its files: lock from an index that does." >&2
    exit 2
fi
