#!/bin/sh
# Carries this kit to a phone over adb, runs it there, and brings the results back. Run it again to go on.
#   sh run-adb.sh [SERIAL]
# The runtime's program for the phone, with the libraries that it needs, goes into bin/ first.
set -u
cd "$(dirname "$0")" || exit 2
place=${KIT_PLACE:-/data/local/tmp/nnmeter-kit}
adb=${ADB:-adb}
command -v "$adb" >/dev/null 2>&1 || { echo "nnmeter kit: adb is not here; install Android's platform tools" >&2; exit 2; }
[ -d bin ] || { echo "nnmeter kit: put the runtime's program for the phone into bin/ first" >&2; exit 2; }
[ $# -gt 0 ] && { ANDROID_SERIAL=$1; export ANDROID_SERIAL; }
"$adb" wait-for-device || exit 2
if [ "$("$adb" shell "cat $place/kit.json 2>/dev/null | wc -c" | tr -d ' \r')" != "$(wc -c <kit.json | tr -d ' ')" ]; then
    "$adb" shell "mkdir -p $place"
    for part in bin models plan.txt runtime.sh threads budget run.sh; do
        "$adb" push "$part" "$place/" || exit 2
    done
    "$adb" shell "chmod +x $place/bin/*"
    "$adb" push kit.json "$place/" || exit 2 # last: it says that the kit is whole
fi
"$adb" shell "cd $place && LD_LIBRARY_PATH=$place/bin sh run.sh" </dev/null
code=$?
"$adb" pull "$place/results" . || exit 2
exit $code
