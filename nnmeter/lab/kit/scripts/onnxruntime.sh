# ONNX Runtime: what a row runs. $program, $threads, $model, $runs and $folder are set.
PROGRAM=onnxruntime_perf_test

prepare() {
    # Newer programs write the weights of the optimized model to a file of their own, which is not kept.
    optimized_data=
    if "$program" --help 2>&1 </dev/null | grep -q opt_data; then
        optimized_data="--opt_data optimized.weights --opt_weight_min_size 1024"
    fi
}

row_profile() {
    # shellcheck disable=SC2086
    run_program "$program" -e "${PROVIDER:-cpu}" -I -z -x "$threads" -y 1 -m times -r "$((runs + 2))" \
        -p "$folder/profile" -u "$folder/optimized.onnx" $optimized_data "$model" "$folder/profiled.csv" || return
    rm -f "$folder/optimized.weights"
    # Without that option the model has its weights: kept where it is small.
    if [ -f "$folder/optimized.onnx" ] && [ "$(wc -c <"$folder/optimized.onnx")" -gt 8000000 ]; then
        rm -f "$folder/optimized.onnx"
    fi
}

row_time() {
    run_program "$program" -e "${PROVIDER:-cpu}" -I -z -x "$threads" -y 1 -m times -r "$runs" \
        "$model" "$folder/times.csv"
}
