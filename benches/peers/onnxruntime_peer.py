"""onnxruntime as a peer of the serving benchmark: one JSON command a line in, one JSON answer a line out.

    python onnxruntime_peer.py MODEL.onnx

`{"check": [[...], ...]}` gives the scores of windows of floats. `{"batch": 64, "workers": 2, "seconds": 0.5}` gives
windows per second: each worker is a thread with a session of one thread of its own, input and output are bound once.
Python's part of a call is measured with a graph that only passes its input on, and told as `overhead_s`.
"""

import json
import sys
import threading
import time

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def identity(width):
    """The graph that does nothing."""
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
    node = helper.make_node("Identity", ["features"], ["score"])
    graph = helper.make_graph([node], "identity", [value("features")], [value("score")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return model.SerializeToString()


class Worker:
    def __init__(self, model, batch, width, outputs):
        self.session = session(model)
        self.binding = self.session.io_binding()
        features = numpy.random.default_rng(1).normal(size=(batch, width)).astype(numpy.float32)
        self.input = onnxruntime.OrtValue.ortvalue_from_numpy(features)
        self.output = onnxruntime.OrtValue.ortvalue_from_numpy(numpy.zeros((batch, outputs), numpy.float32))
        self.binding.bind_ortvalue_input("features", self.input)
        self.binding.bind_ortvalue_output("score", self.output)
        self.rate = 0.0

    def run(self, until):
        run, binding = self.session.run_with_iobinding, self.binding
        calls, busy = 0, time.thread_time()
        while time.perf_counter() < until:
            for _ in range(8):
                run(binding)
            calls += 8
        self.rate = calls / (time.thread_time() - busy)


def rate(workers, seconds):
    """Calls per second of all workers together, in seconds in which each had a core."""
    until = time.perf_counter() + seconds
    threads = [threading.Thread(target=worker.run, args=(until,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(worker.rate for worker in workers)


def main(path):
    model = open(path, "rb").read()
    width = onnx.load_from_string(model).graph.input[0].type.tensor_type.shape.dim[1].dim_value
    one, nothing = session(model), identity(width)
    made = {}
    print(json.dumps({"onnxruntime": onnxruntime.__version__}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        if "check" in command:
            scores = one.run(["score"], {"features": numpy.array(command["check"], numpy.float32)})[0]
            print(json.dumps({"scores": scores.ravel().tolist()}), flush=True)
            continue
        batch, count, seconds = command["batch"], command["workers"], command["seconds"]
        if (batch, count) not in made:
            made[batch, count] = (
                [Worker(model, batch, width, 1) for _ in range(count)],
                [Worker(nothing, batch, width, width)],
            )
        workers, empty = made[batch, count]
        overhead = 1 / rate(empty, seconds / 4)
        calls = rate(workers, seconds)
        print(json.dumps({"windows_per_second": calls * batch, "overhead_s": overhead}), flush=True)


main(sys.argv[1])
