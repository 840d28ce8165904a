#!/bin/sh
# all.sh: measures on the first GPU what docs/results.md quotes, and runs the tests that need a GPU.
#
#     bench/all.sh                    every step, one after the other (about 20 minutes)
#     bench/all.sh compare choice     those steps
#
# Each step's output goes to build/all/STEP.txt; its last lines are printed. Needs torch, triton for some peers, and
# compute-sanitizer for the step of that name. The exit status is 1 if a step failed.
cd "$(dirname "$0")/.." || exit 1
out=build/all
steps='tests python stress threads sanitizer calls tune compare bf16 sustained mma mma-peers kernelbench bandwidth choice'
mma_shapes=4096x4096x4096,8192x8192x8192,1024x8192x8192,2048x2048x2048,512x11008x4096,1000x1000x1000
mma_shapes=$mma_shapes,333x4097x2050,336x4096x2048,4095x4095x4095,128x512x1024
mkdir -p $out
gpu='env TILESMITH_TEST_DRIVER=libcuda.so.1'

run() {
    case $1 in
    tests) make check-gpu ;;
    python) python3 -m pytest -q tests/python ;;
    stress) $gpu TILESMITH_LAUNCHES=100000 build/tests/stress ;;
    threads) $gpu TILESMITH_SECONDS=60 build/tests/threads ;;
    sanitizer)
        $gpu timeout 200 compute-sanitizer --tool memcheck build/tests/stress || return 1
        $gpu TILESMITH_QUICK=1 timeout 200 compute-sanitizer --tool racecheck build/tests/stress ;;
    calls) make -s bench-call && python3 bench/bench_call.py ;;
    tune) TILESMITH_CACHE_DIR=$out/cache build/tilesmith tune --shape 1024x4096x4096 ;;
    compare) python3 bench/compare.py --config auto --peers mm,eager,compile,triton-tuned --mode bursts --out $out/f16 ;;
    bf16) python3 bench/compare.py --config auto --dtype bf16 --peers mm --mode bursts --out $out/bf16 ;;
    sustained) python3 bench/compare.py --config auto --peers mm --mode sustained --out $out/sustained ;;
    mma) python3 bench/compare.py --arch sm_80 --config auto --peers mm --mode bursts --out $out/mma --shapes $mma_shapes ;;
    mma-peers) python3 bench/compare.py --arch sm_80 --config auto --peers mm,triton-tuned-sm89,tilesmith-xf32,tilesmith-wcol \
        --mode both --out $out/mma-peers --shapes $mma_shapes ;;
    kernelbench) python3 bench/kernelbench70.py ;;
    bandwidth) python3 bench/bandwidth.py ;;
    choice) python3 bench/choice.py --out $out/choice ;;
    *) echo "no such step: $1; there are $steps"; return 2 ;;
    esac
}

status=0
make -s "-j$(nproc)" all build/tests/stress build/tests/threads || exit 1
for step in ${*:-$steps}; do
    if run "$step" >"$out/$step.txt" 2>&1; then echo "== $step"; else echo "== $step FAILED"; status=1; fi
    tail -n 12 "$out/$step.txt"
done
exit $status
