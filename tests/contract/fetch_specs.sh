#!/bin/sh
# Gets Twilio's OpenAPI documents and prints the folder they are in: fetch_specs.sh CACHE_DIR
#
# Twilio publishes them on GitHub and in the npm package of its command line tool. The package has a version and a
# checksum, so that a run of today and one of next year check against the same words.
set -eu

VERSION=9.0.0
SHA256=9fef3d7234dbce63ff3005a422f46fcf7e3486b369f852f61b3ede41097e5667

[ $# -eq 1 ] || { echo "usage: $0 CACHE_DIR" >&2; exit 2; }
mkdir -p "$1"
cache=$(cd "$1" && pwd)
specs=$cache/twilio-openapi-$VERSION
if [ -d "$specs" ]; then
    echo "$specs"
    exit 0
fi

new=$(mktemp -d "$cache/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
(cd "$new" && npm pack --silent --ignore-scripts "@twilio/cli-core@$VERSION" >&2)
archive=$new/twilio-cli-core-$VERSION.tgz

if command -v sha256sum >/dev/null; then sum=$(sha256sum "$archive"); else sum=$(shasum -a 256 "$archive"); fi
if [ "${sum%% *}" != "$SHA256" ]; then
    echo "@twilio/cli-core $VERSION is not the package that was pinned: SHA-256 ${sum%% *}" >&2
    exit 1
fi

mkdir "$new/specs"
tar -xzf "$archive" -C "$new/specs" --strip-components 4 package/src/services/twilio-api
# Moved as a whole and last, so that a folder of this name is a complete one.
[ -d "$specs" ] || mv "$new/specs" "$specs"
echo "$specs"
