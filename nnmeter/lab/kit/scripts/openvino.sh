# OpenVINO: what a row runs. $program, $threads, $model, $runs and $folder are set.
PROGRAM=benchmark_app

prepare() {
    :
}

row_profile() {
    run_program "$program" -m "$model" -d "${DEVICE:-CPU}" -hint none -nstreams 1 -nthreads "$threads" -api sync \
        -niter "$((runs + 2))" -infer_precision f32 -report_type average_counters -report_folder "$folder" \
        -exec_graph_path "$folder/graph.xml" || return
    rm -f "$folder/graph.bin"
}

row_time() {
    run_program "$program" -m "$model" -d "${DEVICE:-CPU}" -hint none -nstreams 1 -nthreads "$threads" -api sync \
        -niter "$runs" -infer_precision f32 -report_type no_counters -report_folder "$folder"
}
