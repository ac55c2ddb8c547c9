"""EZKL as a peer of the proof benchmarks: one JSON command a line in, one JSON answer a line out.

    python ezkl_peer.py MODEL.onnx FOLDER WIDTH tuned|default

At start it makes settings, circuit, keys and contract in FOLDER: hashed input, fixed parameters, public output, scale 13,
and the fewest rows that calibration finds. Tuned, range checks have three limbs of base 1024, which was found best for such
models; by default they are as EZKL has them. Then `{"prove": [..]}` proves a window of floats and says what the call took, in seconds of this
process (user and system, all threads); the proof is verified outside that time. `{"stop": 0}` says the memory it had.
"""

import asyncio
import json
import os
import resource
import sys
import time

import ezkl

SCALE = 13


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def must(result, what):
    if not result:
        sys.exit(f"EZKL: {what} failed")
    return result


class Engine:
    def __init__(self, model, folder, width, kind):
        self.path = lambda name: os.path.join(folder, name)
        arguments = ezkl.PyRunArgs()
        arguments.input_visibility, arguments.param_visibility, arguments.output_visibility = "hashed", "fixed", "public"
        arguments.input_scale = arguments.param_scale = SCALE
        if kind == "tuned":
            arguments.decomp_base, arguments.decomp_legs = 1024, 3
        self.settings, self.circuit = self.path("settings.json"), self.path("circuit.ezkl")
        must(ezkl.gen_settings(model, self.settings, py_run_args=arguments), "gen_settings")
        samples = [[((7 * row + 3 * index) % 17 - 8) / 4 for index in range(width)] for row in range(8)]
        self.write([value for row in samples for value in row])
        data = self.path("input.json")
        must(ezkl.calibrate_settings(data=data, model=model, settings=self.settings, target="resources", scales=[SCALE]), "calibrate")
        made = json.load(open(self.settings))
        self.logrows, self.rows = made["run_args"]["logrows"], made["num_rows"]
        self.srs = self.path("kzg.srs")
        ezkl.gen_srs(self.srs, self.logrows)
        must(ezkl.compile_circuit(model, self.circuit, self.settings), "compile")
        before = cpu()
        must(ezkl.setup(model=self.circuit, vk_path=self.path("vk"), pk_path=self.path("pk"), srs_path=self.srs), "setup")
        self.setup_cpu_s = cpu() - before
        self.contract()

    def contract(self):
        """Writes verifier.sol. EZKL then looks for a compiler, which is not there."""
        paths = {"sol_code_path": self.path("verifier.sol"), "abi_path": self.path("verifier.abi")}

        async def create():
            await ezkl.create_evm_verifier(vk_path=self.path("vk"), settings_path=self.settings, srs_path=self.srs, **paths)

        try:
            asyncio.run(create())
        except RuntimeError:
            pass
        must(os.path.exists(paths["sol_code_path"]), "create_evm_verifier")

    def write(self, values):
        with open(self.path("input.json"), "w") as file:
            json.dump({"input_data": [values]}, file)

    def prove(self, features):
        self.write(features)
        data, witness, proof = self.path("input.json"), self.path("witness.json"), self.path("proof.json")
        before, wall = cpu(), time.perf_counter()
        ezkl.gen_witness(data=data, model=self.circuit, output=witness)
        must(ezkl.prove(witness=witness, model=self.circuit, pk_path=self.path("pk"), proof_path=proof, srs_path=self.srs), "prove")
        took = {"cpu_s": cpu() - before, "wall_s": time.perf_counter() - wall}
        before = cpu()
        must(ezkl.verify(proof_path=proof, settings_path=self.settings, vk_path=self.path("vk"), srs_path=self.srs), "verify")
        took["verify_cpu_s"] = cpu() - before
        took["proof_bytes"] = len(json.load(open(proof))["hex_proof"]) // 2 - 1
        ezkl.encode_evm_calldata(proof=proof, calldata=self.path("calldata.bin"))
        return took


def main(model, folder, width, kind):
    engine = Engine(model, folder, int(width), kind)
    about = {
        "ezkl": ezkl.__version__,
        "logrows": engine.logrows,
        "rows": engine.rows,
        "key_bytes": os.path.getsize(engine.path("pk")),
        "setup_cpu_s": engine.setup_cpu_s,
    }
    # EZKL prints to the same output; what is ours begins with a mark.
    print("@@" + json.dumps(about), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        if "stop" in command:
            print("@@" + json.dumps({"peak_mb": peak_mb()}), flush=True)
            return
        print("@@" + json.dumps(engine.prove(command["prove"])), flush=True)


main(*sys.argv[1:])
