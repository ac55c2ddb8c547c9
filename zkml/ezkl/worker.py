"""The process that calls EZKL: one JSON request a line comes in, one JSON answer a line goes out.

Standard input is a socket for both. It is moved to a private descriptor before EZKL is loaded, and the standard descriptors
lead nowhere from then on, because EZKL writes to all of them and its texts quote the data it was given. For the same reason
an answer tells of a failure its kind and never its text. Witness and proof live in memory files and are gone with the
request. The process ends with its parent, and its memory and processor time are limited.

    python -I -c WORKER PARENT_PID MEMORY_BYTES
"""

import asyncio
import ctypes
import hashlib
import json
import os
import resource
import signal
import socket
import sys

# Digits after the point of inputs and weights: those of the integer network, so that what EZKL rounds is already round.
SCALE = 10
# What a lane may hold: 24 bits, exact in the floats that EZKL reads. Features need 16 of them.
LANE_MAX = (1 << 24) - 1
LANE_MIN = -(1 << 15)
PR_SET_PDEATHSIG = 1
# Names a build with ICICLE reads from its environment; the official wheel knows none of them.
GPU_MARK = b"ENABLE_ICICLE_GPU"


class Failure(Exception):
    """A failure that has a kind. The kind is all that is told."""


def isolate():
    """Takes the socket out of EZKL's way, and limits this process."""
    parent, memory_bytes = int(sys.argv[1]), int(sys.argv[2])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    channel = socket.socket(fileno=os.dup(0))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    return channel


def limit_cpu(seconds):
    """Allows this request so many seconds of processor time, all threads together."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, hard))


def call(kind, function, *args, **named):
    """Calls EZKL. What it raises, a panic among it, becomes the kind of this step."""
    try:
        result = function(*args, **named)
    except MemoryError:
        raise Failure("memory") from None
    except Exception:
        raise Failure(kind) from None
    except BaseException:
        # A panic in Rust is no Exception.
        raise Failure("panic") from None
    if result is False:
        raise Failure(kind)
    return result


class MemoryFile:
    """A file that has a path and no name."""

    def __init__(self, content=b""):
        self.descriptor = os.memfd_create("hygeia", os.MFD_CLOEXEC)
        self.path = f"/proc/self/fd/{self.descriptor}"
        written = 0
        while written < len(content):
            written += os.write(self.descriptor, content[written:])

    def json(self):
        size = os.fstat(self.descriptor).st_size
        return json.loads(os.pread(self.descriptor, size, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.descriptor)


def text_of(values):
    """Lanes as the JSON that EZKL reads. Whoever asks has checked them; a lane that is none never reaches EZKL."""
    if not values or any(type(value) is not int or not LANE_MIN <= value <= LANE_MAX for value in values):
        raise Failure("input")
    # Exact: a lane has at most 24 bits.
    return json.dumps({"input_data": [[value / (1 << SCALE) for value in values]]})


class Worker:
    def __init__(self, ezkl):
        self.ezkl = ezkl
        self.files = {}

    def open(self, request):
        """Opens the package: files that the parent holds and nothing can change."""
        try:
            for name, path in request["files"].items():
                self.files[name] = f"/proc/self/fd/{os.open(path, os.O_RDONLY | os.O_CLOEXEC)}"
        except OSError:
            raise Failure("package") from None
        return {}

    def settings(self, request):
        """Settings of a model, with the fewest rows that made-up inputs get by with."""
        folder = request["folder"]
        model, settings = os.path.join(folder, "model.onnx"), os.path.join(folder, "settings.json")
        arguments = self.ezkl.PyRunArgs()
        arguments.input_visibility, arguments.param_visibility, arguments.output_visibility = "hashed", "fixed", "public"
        arguments.input_scale = arguments.param_scale = SCALE
        arguments.decomp_base, arguments.decomp_legs = request["decomp_base"], request["decomp_legs"]
        call("settings", self.ezkl.gen_settings, model, settings, py_run_args=arguments)
        lanes = [lane for window in request["calibration"] for lane in window]
        with MemoryFile(text_of(lanes).encode()) as data:
            call("calibrate", self.ezkl.calibrate_settings, data=data.path, model=model, settings=settings, target="resources", scales=[SCALE])
        with open(settings) as file:
            made = json.load(file)
        # The same model gives the same settings, and so the same keys, whenever they are made.
        made["timestamp"] = 0
        for unordered in ("required_lookups", "required_range_checks"):
            made[unordered].sort()
        with open(settings, "w") as file:
            json.dump(made, file, sort_keys=True)
        return {"run_args": made["run_args"], "rows": made["num_rows"]}

    def compile(self, request):
        """Circuit, keys and verifier contract of settings that were made before."""
        path = lambda name: os.path.join(request["folder"], name)
        call("compile", self.ezkl.compile_circuit, path("model.onnx"), path("circuit.ezkl"), path("settings.json"))
        srs = {"srs_path": path("kzg.srs")}
        call("setup", self.ezkl.setup, model=path("circuit.ezkl"), vk_path=path("verifying.key"), pk_path=path("proving.key"), **srs)
        named = {"vk_path": path("verifying.key"), "settings_path": path("settings.json"), **srs}
        self.contract(path("verifier.sol"), path("verifier.abi"), reusable=False, **named)
        return {}

    def contract(self, solidity, abi, **named):
        async def create():
            await self.ezkl.create_evm_verifier(sol_code_path=solidity, abi_path=abi, **named)

        try:
            asyncio.run(create())
        except BaseException:
            # It writes the source, then looks for a compiler, which is not there.
            pass
        if not os.path.isfile(solidity) or os.path.getsize(solidity) == 0:
            raise Failure("contract")

    def prove(self, request):
        """A proof and its public values as EZKL writes them. Nothing is verified here: EZKL proves a wrong witness, too."""
        ezkl, files = self.ezkl, self.files
        data = text_of(request["lanes"])
        with MemoryFile() as witness, MemoryFile() as proof:
            call("witness", ezkl.gen_witness, data=data, model=files["circuit.ezkl"], output=witness.path)
            call("prove", ezkl.prove, witness=witness.path, model=files["circuit.ezkl"], pk_path=files["proving.key"], proof_path=proof.path, srs_path=files["kzg.srs"])
            made = proof.json()
        return {"proof": bytes(made["proof"]).hex(), "instances": made["instances"][0]}

    def verify(self, request):
        """Whether a proof holds. Only the proof's bytes and the public values go in; nothing else of EZKL's file counts."""
        proof = list(bytes.fromhex(request["proof"]))
        file = {"protocol": None, "instances": [request["instances"]], "proof": proof, "hex_proof": None, "split": None, "pretty_public_inputs": None, "timestamp": 0, "version": None}
        files = self.files
        with MemoryFile(json.dumps(file).encode()) as proof:
            call("rejected", self.ezkl.verify, proof_path=proof.path, settings_path=files["settings.json"], vk_path=files["verifying.key"], srs_path=files["kzg.srs"])
        return {}

    def answer(self, request):
        limit_cpu(request["cpu_s"])
        operations = {"open": self.open, "settings": self.settings, "compile": self.compile, "prove": self.prove, "verify": self.verify}
        return operations[request["do"]](request)


def about(ezkl):
    """Which build of EZKL this is."""
    with open(ezkl.ezkl.__file__, "rb") as module:
        content = module.read()
    return {"ezkl": ezkl.__version__, "module_sha256": hashlib.sha256(content).hexdigest(), "has_gpu": GPU_MARK in content}


def serve():
    channel = isolate()
    lines, answers = channel.makefile("r"), channel.makefile("w")

    def tell(answer):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    def attempt(work):
        try:
            tell({"done": work()})
        except Failure as failure:
            tell({"failed": str(failure)})
        except MemoryError:
            tell({"failed": "memory"})
        except BaseException:
            tell({"failed": "request"})

    def load():
        try:
            import ezkl
        except MemoryError:
            raise Failure("memory") from None
        except BaseException:
            raise Failure("import") from None
        nonlocal worker
        worker = Worker(ezkl)
        return about(ezkl)

    worker = None
    attempt(load)
    for line in lines:
        attempt(lambda: worker.answer(json.loads(line)))


serve()
