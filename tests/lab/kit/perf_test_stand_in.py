"""Stands in for onnxruntime_perf_test, which no package brings: the same options, the same files, ONNX Runtime itself.

    python perf_test_stand_in.py -e cpu -I -z -x 1 -y 1 -m times -r N [-p PREFIX] [-u OPTIMIZED] MODEL RESULTS

Inputs are zeros, as those of `-I` are where no seed is given; one run warms up, and is not in the results.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

TYPES = {"float": np.float32, "float16": np.float16, "double": np.float64, "int64": np.int64, "int32": np.int32,
         "bool": np.bool_, "int8": np.int8, "uint8": np.uint8}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="onnxruntime_perf_test", allow_abbrev=False)
    parser.add_argument("-e", default="cpu")
    parser.add_argument("-I", action="store_true")
    parser.add_argument("-z", action="store_true")
    parser.add_argument("-x", type=int, default=0)
    parser.add_argument("-y", type=int, default=0)
    parser.add_argument("-m", default="duration")
    parser.add_argument("-r", type=int, default=1000)
    parser.add_argument("-p", default="")
    parser.add_argument("-u", default="")
    parser.add_argument("--opt_data", default="")
    parser.add_argument("--opt_weight_min_size", type=int, default=1024)
    parser.add_argument("model")
    parser.add_argument("results")
    given = parser.parse_args()
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = given.x, given.y
    options.log_severity_level = 3
    if given.z:
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
    if given.p:
        options.enable_profiling, options.profile_file_prefix = True, given.p
    if given.u:
        options.optimized_model_filepath = given.u
    if given.u and given.opt_data:
        prefix = "session.optimized_model_external_initializers_"
        options.add_session_config_entry(f"{prefix}file_name", given.opt_data)
        options.add_session_config_entry(f"{prefix}min_size_in_bytes", str(given.opt_weight_min_size))
    session = ort.InferenceSession(given.model, options, providers=["CPUExecutionProvider"])
    feeds = {value.name: np.zeros(value.shape, TYPES[value.type[7:-1]]) for value in session.get_inputs()}
    session.run(None, feeds)
    with open(given.results, "a", encoding="ascii") as stream:
        for number in range(given.r):
            begin = time.perf_counter()
            session.run(None, feeds)
            stream.write(f"{Path(given.model).name},{time.perf_counter() - begin:.9f},0,100,{number}\n")
    if given.p:
        session.end_profiling()


if __name__ == "__main__":
    try:
        main()
    except Exception as fault:
        sys.exit(f"{type(fault).__name__}: {str(fault).splitlines()[0]}")
