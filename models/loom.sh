#!/bin/sh
# Runs the loom models of ring, newest and doorbell: they must pass, and each
# seeded mistake must make the models fail that are there to find it.
set -eu
cd "$(dirname "$0")/.."

export RUSTFLAGS="--cfg loom"
export CARGO_TARGET_DIR=target/loom CARGO_PROFILE_RELEASE_LTO=off
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0

# build [--cfg BUG]: only this crate is built anew for a mistake.
build() {
    # The bench profile is the release profile with the test harness.
    cargo rustc --quiet --lib --profile bench --no-default-features \
        --message-format=json -- "$@" >"$work/build.json"
    tests=$(sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' "$work/build.json")
}

# caught BUG MODEL…: with the mistake, each of these models fails.
caught() {
    bug=$1
    shift
    build --cfg "$bug"
    "$tests" --test-threads=1 loom_ >"$work/run.log" 2>&1 || true
    for model in "$@"; do
        verdict=caught
        if ! grep -q "^test .*::$model .*FAILED" "$work/run.log"; then
            verdict='NOT CAUGHT'
            wrong=1
        fi
        printf '%-22s %-62s %s\n' "$bug" "$model" "$verdict"
    done
}

build
"$tests" --test-threads=1 loom_

whole=loom_a_value_is_read_whole_or_not_at_all
once=loom_records_arrive_whole_in_order_and_once_or_are_counted
rung=loom_a_ring_after_the_last_look_wakes_the_sleeper
caught seeded_bug "$whole" "$once" "$rung"
caught seeded_bug_early loom_a_run_published_together_is_seen_together
caught seeded_bug_read "$whole"
caught seeded_bug_release "$once"
caught seeded_bug_ring "$rung"
exit $wrong
