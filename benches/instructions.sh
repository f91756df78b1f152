#!/bin/sh
# Instructions per operation under callgrind, against the ceilings in
# instructions.toml: the difference of a run of 2 N and one of N, by N. Fails
# above a ceiling. Exits 3 without its tools.
set -eu
cd "$(dirname "$0")/.."

if ! command -v valgrind >/dev/null 2>&1; then
    echo "apt-get install valgrind"
    exit 3
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --quiet --release --no-default-features --bench count --message-format=json \
    >"$work/build.json"
program=$(sed -n 's|.*"executable":"\([^"]*/count-[^"]*\)".*|\1|p' "$work/build.json")
if [ -z "$program" ]; then
    echo "the program to count was not built" >&2
    exit 1
fi

# instructions OPERATION N
instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" \
        >"$work/run.log" 2>&1 || { cat "$work/run.log" >&2; exit 1; }
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$work/run.log"
}

wrong=0
rows=0
printf '%-24s %12s %8s\n' operation instructions ceiling
sed -n 's/^\([a-z_0-9]*\) = \([0-9]*\).*/\1 \2/p' benches/instructions.toml >"$work/ceilings"
while read -r operation ceiling; do
    # 512 runs of 32 are half of what the ring holds.
    count=8192
    [ "$operation" != ring_take_run_of_32 ] || count=512
    once=$(instructions "$operation" "$count")
    twice=$(instructions "$operation" $((2 * count)))
    each=$(awk -v a="$once" -v b="$twice" -v n="$count" 'BEGIN { printf "%.1f", (b - a) / n }')
    verdict=
    if awk -v each="$each" -v ceiling="$ceiling" 'BEGIN { exit !(each > ceiling || each <= 0) }'; then
        verdict='  OUTSIDE'
        wrong=1
    fi
    printf '%-24s %12s %8s%s\n' "$operation" "$each" "$ceiling" "$verdict"
    rows=$((rows + 1))
done <"$work/ceilings"
if [ "$rows" -eq 0 ]; then
    echo "benches/instructions.toml names no operation" >&2
    exit 1
fi
exit $wrong
