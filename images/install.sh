# Installs the packages listed in the *.lock files of this folder into a virtual environment, each checked by its hash:
#     install.sh VENV [TORCH_INDEX]
# Packages that come as source are built with the locked setuptools and wheel, so that pip downloads nothing else. pip's
# reports on what it installed remain in reports/, for the SBOM.
set -eu

pip=$1/bin/pip
mkdir -p reports

sed -n '/^\(setuptools\|wheel\)==/,/[^\\]$/p' requirements.lock >build.lock
"$pip" install --quiet --require-hashes --no-deps --report reports/build.json -r build.lock
if [ -e torch.lock ]; then
    "$pip" install --quiet --require-hashes --no-deps --report reports/torch.json \
        ${2:+--index-url "$2"} -r torch.lock
fi
"$pip" install --quiet --require-hashes --no-deps --no-build-isolation --report reports/requirements.json \
    -r requirements.lock
