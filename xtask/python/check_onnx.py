"""Compares an exported model with what this project computes of the same windows.

    check_onnx.py runtime MODEL.onnx ROWS.csv      in the environment that has onnxruntime
    check_onnx.py ezkl MODEL.onnx ROWS.csv FOLDER  in the environment that has EZKL; FOLDER takes its files

ROWS.csv is what `hygeia features --scores` writes. `runtime` checks the file with onnx.checker and scores every row;
`ezkl` makes settings, a circuit and witnesses of a few rows. Both fail when a score is too far from the float layers'.
"""

import csv
import json
import os
import sys

# Rounding to floats of 32 bits.
RUNTIME_ERROR_MAX = 1e-3
# EZKL rounds inputs and weights to 13 binary digits.
EZKL_ERROR_MAX = 0.1
EZKL_ROWS = 3


def read(path):
    """Features and float scores of all rows."""
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    header, rows = rows[0], rows[1:]
    first, last = header.index("label") + 1, header.index("score_float")
    return [[float(x) for x in row[first:last]] for row in rows], [float(row[last]) for row in rows]


def told(peer, errors, most):
    worst = max(errors)
    print(f"{peer}: {len(errors)} windows, at most {worst:.6f} logits from the float layers (allowed {most})")
    if not worst < most:
        sys.exit(f"{peer} computes something else")


def runtime(model, rows):
    import numpy
    import onnx
    import onnxruntime

    onnx.checker.check_model(onnx.load(model), full_check=True)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    features, scores = read(rows)
    computed = session.run(["score"], {"features": numpy.array(features, numpy.float32)})[0]
    if computed.shape != (len(scores), 1):
        sys.exit(f"onnxruntime gives scores of the shape {computed.shape}")
    errors = numpy.abs(computed[:, 0].astype(numpy.float64) - numpy.array(scores))
    told(f"onnxruntime {onnxruntime.__version__}", errors.tolist(), RUNTIME_ERROR_MAX)


def engine(model, rows, folder):
    import ezkl

    path = lambda name: os.path.join(folder, name)
    arguments = ezkl.PyRunArgs()
    arguments.input_visibility, arguments.param_visibility, arguments.output_visibility = "hashed", "fixed", "public"
    arguments.input_scale = arguments.param_scale = 13
    arguments.decomp_base, arguments.decomp_legs = 1024, 3
    settings, circuit, witness = path("settings.json"), path("circuit.ezkl"), path("witness.json")
    if not ezkl.gen_settings(model, settings, py_run_args=arguments):
        sys.exit("EZKL makes no settings")
    if not ezkl.compile_circuit(model, circuit, settings):
        sys.exit("EZKL compiles no circuit")
    made = json.load(open(settings))
    scale = made["model_output_scales"][0]
    features, scores = read(rows)
    # Rows at even distances: the first ones are all of one stay.
    chosen = range(0, len(scores), max(1, len(scores) // EZKL_ROWS))[:EZKL_ROWS]
    errors = []
    for row in chosen:
        with open(path("input.json"), "w") as file:
            json.dump({"input_data": [features[row]]}, file)
        output = ezkl.gen_witness(data=path("input.json"), model=circuit, output=witness)["outputs"][0][0]
        errors.append(abs(ezkl.felt_to_float(output, scale) - scores[row]))
    told(f"EZKL {ezkl.__version__} ({made['num_rows']} rows of circuit)", errors, EZKL_ERROR_MAX)


if __name__ == "__main__":
    {"runtime": runtime, "ezkl": engine}[sys.argv[1]](*sys.argv[2:])
