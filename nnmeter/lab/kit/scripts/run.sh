#!/bin/sh
# Measures the networks of this kit. Needs a POSIX shell and the runtime's own program, nothing else.
#   sh run.sh [SECONDS]     goes on where it was ended, by a key, a kill or a reboot
# PROGRAM_PATH=/path/to/program names the program; MAX_CELSIUS=80 the temperature above which it waits.
# LOCK=/path/to/folder is made while it runs, for several kits on one device; WHO=text is what others are told.
set -u
cd "$(dirname "$0")" || exit 2

say() { printf '%s\n' "nnmeter kit: $*" >&2; }
fail() { say "$*"; exit 2; }
now() { date +%s; }

[ -f plan.txt ] && [ -f runtime.sh ] && [ -f kit.json ] || fail "plan.txt, runtime.sh or kit.json is missing; copy the whole kit"
threads=$(cat threads)
. ./runtime.sh
budget=${1:-$(cat budget)}
case $budget in '' | *[!0-9]*) fail "'$budget' is no number of seconds" ;; esac

# The program: named, beside this script, or in the path.
program=${PROGRAM_PATH:-}
if [ -z "$program" ] && [ -x "./bin/$PROGRAM" ]; then program=$(pwd)/bin/$PROGRAM; fi
if [ -z "$program" ]; then program=$(command -v "$PROGRAM") || program=; fi
[ -n "$program" ] && [ -x "$program" ] || fail "$PROGRAM is not here; put it into bin/, or name it: PROGRAM_PATH=... sh run.sh"

mkdir -p results/rows || exit 2

# One script at a time: the folder is made by one of them. A lock whose process is gone was left by a kill or a reboot.
lock=${LOCK:-results/lock}
if ! mkdir "$lock" 2>/dev/null; then
    owner=$(cat "$lock"/pid 2>/dev/null)
    boot=$(cat "$lock"/boot 2>/dev/null)
    if [ -n "$owner" ] && kill -0 "$owner" 2>/dev/null && [ "$boot" = "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)" ]; then
        [ -z "${LOCK:-}" ] || { say "is held by $(cat "$lock/who" 2>/dev/null), process $owner"; exit 75; }
        fail "process $owner is running this kit already"
    fi
    # What a killed script was running must not run beside what is measured now.
    orphan=$(cat "$lock"/child 2>/dev/null)
    [ -n "$orphan" ] && grep -q "$PROGRAM" "/proc/$orphan/cmdline" 2>/dev/null && kill -9 "$orphan" 2>/dev/null
    rm -rf "$lock"
    mkdir "$lock" 2>/dev/null || fail "another process has just begun this kit"
fi
echo $$ >"$lock"/pid
echo "${WHO:-}" >"$lock"/who
cat /proc/sys/kernel/random/boot_id >"$lock"/boot 2>/dev/null

child=
finish() {
    trap - INT TERM HUP EXIT
    [ -n "$child" ] && kill "$child" 2>/dev/null
    rm -rf "$lock" results/rows/*.part
    [ "${1:-0}" -ne 0 ] && rm -f results/in_hand
    exit "${1:-0}"
}
trap 'finish 130' INT
trap 'finish 143' TERM HUP
trap 'finish $?' EXIT

# After a reboot, what was not on the disk for sure is measured again.
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
if [ -n "$boot" ] && [ -f results/boot ] && [ "$(cat results/boot)" != "$boot" ] && [ -f results/synced ]; then
    find results/rows -mindepth 1 -maxdepth 1 -newer results/synced -exec rm -rf {} +
fi
[ -n "$boot" ] && echo "$boot" >results/boot
rm -rf results/rows/*.part
cp kit.json results/kit.json

# What the system says of the device, once.
if [ ! -f results/device.txt ]; then
    {
        echo "system=$(uname -s) $(uname -r)"
        echo "architecture=$(uname -m)"
        echo "program=$program"
        command -v getprop >/dev/null 2>&1 && for name in ro.product.manufacturer ro.product.model ro.soc.manufacturer ro.soc.model \
            ro.board.platform ro.build.version.release; do echo "$name=$(getprop $name)"; done
        command -v sysctl >/dev/null 2>&1 && sysctl machdep.cpu.brand_string hw.model 2>/dev/null | sed 's/: /=/'
        for file in /sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor \
            /sys/devices/virtual/dmi/id/product_name; do [ -r "$file" ] && echo "$(basename "$file")=$(cat "$file")"; done
        for index in /sys/devices/system/cpu/cpu0/cache/index*; do
            [ -r "$index/size" ] && echo "cache=$(cat "$index/level") $(cat "$index/type") $(cat "$index/size") $(cat "$index/shared_cpu_list" 2>/dev/null)"
        done
    } >results/device.part 2>/dev/null
    cat /proc/cpuinfo >results/cpuinfo.txt 2>/dev/null
    mv results/device.part results/device.txt
fi

celsius() {
    hottest=
    for zone in /sys/class/thermal/thermal_zone*/temp; do
        read -r value <"$zone" 2>/dev/null || continue
        case $value in '' | *[!0-9]*) continue ;; esac
        [ "$value" -ge 1000 ] && value=$((value / 1000))
        [ "$value" -lt 130 ] && { [ -z "$hottest" ] || [ "$value" -gt "$hottest" ]; } && hottest=$value
    done 2>/dev/null
    echo "$hottest"
}
megahertz() {
    read -r value 2>/dev/null </sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq && echo "$((value / 1000))"
}

limit=
command -v timeout >/dev/null 2>&1 && limit="timeout ${ROW_SECONDS:-300}"
run_program() {
    # shellcheck disable=SC2086
    $limit "$@" >"$folder/log" 2>&1 </dev/null &
    child=$!
    echo "$child" >"$lock"/child
    wait "$child"
    code=$?
    child=
    return $code
}

# A row that the device did not survive three times is given up.
tries=0
if [ -f results/in_hand ]; then
    read -r lost tries <results/in_hand
    if [ -d "results/rows/$lost" ]; then
        tries=0
    elif [ "${tries:-0}" -ge 3 ]; then
        mkdir "results/rows/$lost.part" && echo "the device died of it three times" >"results/rows/$lost.part/failed" &&
            mv "results/rows/$lost.part" "results/rows/$lost"
        tries=0
    fi
else
    lost=
fi

spent=0
[ -f results/spent ] && read -r spent <results/spent
case $spent in '' | *[!0-9]*) spent=0 ;; esac
prepare
done_rows=0
waited=0
while read -r row kind network runs; do
    [ -d "results/rows/$row" ] && continue
    [ "$spent" -ge "$budget" ] && break
    while heat=$(celsius) && [ -n "$heat" ] && [ "$heat" -ge "${MAX_CELSIUS:-80}" ] && [ "$waited" -lt 600 ]; do
        say "$heat degrees; waiting"
        sleep 5
        waited=$((waited + 5))
    done
    if [ "$lost" = "$row" ]; then tries=$((tries + 1)); else tries=1; fi
    lost=
    echo "$row $tries" >results/in_hand
    folder=results/rows/$row.part
    model=models/$network.onnx
    mkdir "$folder" || exit 2
    began=$(now)
    if "row_$kind"; then :; else
        code=$?
        { echo "the program ended with code $code"; tail -n 1 "$folder/log" 2>/dev/null; } >"$folder/failed"
    fi
    took=$(($(now) - began))
    { [ "$took" -ge 0 ] && [ "$took" -lt 100000 ]; } || took=1 # the clock was set meanwhile
    echo "$kind $network $began $took $(celsius) $(megahertz)" >"$folder/row"
    mv "$folder" "results/rows/$row"
    rm -f results/in_hand
    spent=$((spent + took))
    echo "$spent" >results/spent.part && mv results/spent.part results/spent
    done_rows=$((done_rows + 1))
    if [ $((done_rows % 16)) -eq 0 ]; then
        sync 2>/dev/null
        : >results/synced
        say "row $row, $spent of $budget s"
    fi
done <plan.txt
sync 2>/dev/null
: >results/synced
say "$(find results/rows -mindepth 1 -maxdepth 1 -type d | wc -l | tr -d ' ') rows in results, $spent s; carry results back"
