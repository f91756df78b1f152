#!/bin/sh
# Runs the tests of ring and newest under Miri, several thread schedules for
# those with two threads; two seeded mistakes must be found. Exits 3 without
# its tools.
set -eu
cd "$(dirname "$0")/.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "rustup +nightly component add miri rust-src"
    exit 3
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0
torn=newest::cell::tests::values_read_while_a_thread_writes_are_whole
raced=ring::tests::two_threads_exchange_every_record_that_was_not_counted_as_dropped

run() {
    cargo +nightly miri test --quiet --lib --no-default-features -- "$@"
}

# caught BUG TEST MESSAGE: with the mistakes, the test fails with the message.
caught() {
    verdict=caught
    if run --exact "$2" >"$work/run.log" 2>&1 || ! grep -q "$3" "$work/run.log"; then
        verdict='NOT CAUGHT'
        wrong=1
        cat "$work/run.log"
    fi
    printf '%-22s %-40s %s\n' "$1" "$3" "$verdict"
}

run ring:: newest::
export MIRIFLAGS="-Zmiri-many-seeds=0..4"
run --exact "$torn" "$raced"

export RUSTFLAGS="--cfg seeded_bug_odd --cfg seeded_bug_release"
caught seeded_bug_odd "$torn" 'torn: '
caught seeded_bug_release "$raced" 'Data race detected'
exit $wrong
