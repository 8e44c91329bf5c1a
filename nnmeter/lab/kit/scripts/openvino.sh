# OpenVINO: what a row runs. $program, $threads, $model, $runs and $folder are set.
PROGRAM=benchmark_app

prepare() {
    :
}

# Element types of the inputs, which the program would change else.
types() {
    cat "models/$network.types" 2>/dev/null
}

# That no dimension of the inputs is a batch: the program refuses models whose inputs seem to have several ones.
layouts() {
    cat "models/$network.layouts" 2>/dev/null
}

row_profile() {
    run_program "$program" -m "$model" -d "${DEVICE:-CPU}" -hint none -nstreams 1 -nthreads "$threads" -api sync \
        -niter "$((runs + 2))" -infer_precision f32 -iop "$(types)" -layout "$(layouts)" -report_type average_counters -report_folder "$folder" \
        -exec_graph_path "$folder/graph.xml" || return
    rm -f "$folder/graph.bin"
}

row_time() {
    run_program "$program" -m "$model" -d "${DEVICE:-CPU}" -hint none -nstreams 1 -nthreads "$threads" -api sync \
        -niter "$runs" -infer_precision f32 -iop "$(types)" -layout "$(layouts)" -report_type no_counters -report_folder "$folder"
}
