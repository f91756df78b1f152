#!/bin/sh
# Checks models/doorbell.pml with spin: the good doorbells must be clean, and
# every seeded mistake must be found. Exits 1 if not, 3 without its tools.
set -eu

for tool in spin gcc; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "apt-get install $tool"
        exit 3
    fi
done

model=$(cd "$(dirname "$0")" && pwd)/doorbell.pml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
wrong=0

# check EXPECTED NAME [-DDEFINE…]
check() {
    expected=$1 name=$2
    shift 2
    rm -f pan pan.* ./*.trail
    spin -a "$@" "$model" >spin.log 2>&1 || { cat spin.log; exit 1; }
    gcc -O2 -DSAFETY -DNOREDUCE -o pan pan.c >gcc.log 2>&1 || { cat gcc.log; exit 1; }
    ./pan -m100000 >pan.log 2>&1 || true
    # Only a search that went through to its end may call a model clean.
    found=unclear
    if grep -q 'assertion violated' pan.log; then
        found=caught
    elif grep -q 'errors: 0$' pan.log && ! grep -qi 'truncated\|too small\|out of memory' pan.log; then
        found=clean
    fi
    states=$(awk '/states, stored/ { print $1; exit }' pan.log)
    verdict=ok
    if [ "$found" != "$expected" ]; then
        verdict=WRONG
        wrong=1
    fi
    printf '%-58s %-9s %-9s %9s  %s\n' "$name" "$expected" "$found" "${states:--}" "$verdict"
}

printf '%-58s %-9s %-9s %9s\n' doorbell expected found states
check clean 'one process: both fence, the ringer takes the flag' -DWRITER_FENCE -DWRITER_CLEARS
check clean 'two processes, writer with a fence, no nap' -DWRITER_FENCE
check clean 'two processes, writer with a fence, nap' -DWRITER_FENCE -DNAP
check clean 'two processes, writer without a fence, nap' -DNAP
check caught 'one process, no fence in the agent' -DWRITER_FENCE -DWRITER_CLEARS -DNO_AGENT_FENCE
check caught 'one process, no fence in the writer' -DWRITER_CLEARS
check caught 'two processes, no fence in the agent' -DNAP -DNO_AGENT_FENCE
check caught 'two processes, writer without a fence, no nap'
check caught 'two processes, a wake-up that is forgotten' -DNAP -DEDGE
exit $wrong
