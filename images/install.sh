# Installs what the *.lock files of this folder list into a virtual environment, every package by its hash:
#     install.sh VENV [TORCH_INDEX]
# Packages that come as source are built with the locked setuptools and wheel, so that pip fetches nothing else. pip's
# reports on what it installed stay in reports/, for the SBOM.
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
