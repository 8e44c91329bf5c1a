"""A phone that is a folder here: `adb` is a script."""

import stat
import sys
from dataclasses import replace
from pathlib import Path

from nnmeter.lab.wire.board import parse_address
from tests.lab.kit import test_kit

ADB = """#!/bin/sh
[ "$1 $2" = "-s R58N" ] || {{ echo "wrong phone: $*" >&2; exit 1; }}
[ -e {folder}/unplugged ] && {{ echo "adb: device 'R58N' not found" >&2; exit 1; }}
echo $$ >>{folder}/pids
echo "$3" >>{folder}/verbs
shift 2
verb=$1
shift
case $verb in
    shell) exec sh -c "$1" ;;
    push | pull)
        for last; do :; done
        while [ $# -gt 1 ]; do cp -R "$1" "$last" || exit 1; shift; done ;;
esac
"""
STAND_IN = Path(test_kit.__file__).with_name("perf_test_stand_in.py")


class Phone:
    def __init__(self, folder):
        self.folder, self.place = folder, folder / "phone"
        self.bin = folder / "android"
        for place in (self.bin, folder / "host"):
            place.mkdir()
        self.program(f'exec "{sys.executable}" "{STAND_IN}" "$@"\n')
        self._write(folder / "host" / "adb", ADB.format(folder=folder))
        self.board = replace(parse_address("adb://R58N"), bin=self.bin)

    def program(self, text):
        self._write(self.bin / "onnxruntime_perf_test", f"#!/bin/sh\n{text}")

    def _write(self, path, text):
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def rows(self):
        return sorted(int(row.name) for row in self.place.glob("*/results/rows/*[0-9]"))
