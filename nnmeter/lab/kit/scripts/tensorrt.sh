# TensorRT: what a row runs. $program, $model, $runs and $folder are set. Building the engine takes most of the time.
PROGRAM=trtexec

prepare() {
    :
}

row_profile() {
    run_program "$program" --onnx="$model" --iterations="$runs" --warmUp=200 --duration=0 --separateProfileRun \
        --profilingVerbosity=detailed --exportLayerInfo="$folder/layers.json" --exportProfile="$folder/profile.json" \
        --exportTimes="$folder/times.json" ${TRT_OPTIONS:-}
}

row_time() {
    run_program "$program" --onnx="$model" --iterations="$runs" --warmUp=200 --duration=0 \
        --exportTimes="$folder/times.json" ${TRT_OPTIONS:-}
}
