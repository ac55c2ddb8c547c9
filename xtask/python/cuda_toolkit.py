"""Makes a CUDA build tree of wheels: what `nvcc` and build scripts look for, and libraries to link with on a machine that has
no driver.

    python cuda_toolkit.py WHEELS DESTINATION CUDARC

WHEELS is a folder of wheels, CUDARC the folder of the crate whose bindings say which functions programs are linked with.

A program that is linked with the driver's library does not start where there is none. So it is linked with stand-ins: each
function is a jump that looks the real library up at its first call, and answers with an error where there is no such library.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# Library: module of the bindings, file names to look for, what a call answers where the library is missing.
LIBRARIES = {
    "cuda": ("driver", ["libcuda.so.1", "libcuda.so"], 100),
    "nvrtc": ("nvrtc", ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"], 7),
    "cublas": ("cublas", ["libcublas.so.13", "libcublas.so.12", "libcublas.so"], 1),
    "cublasLt": ("cublaslt", ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"], 1),
    "curand": ("curand", ["libcurand.so.10", "libcurand.so"], 203),
}
# Registers that carry arguments; the look-up must leave them as they are.
INTEGERS = ["rdi", "rsi", "rdx", "rcx", "r8", "r9"]
FLOATS = 8
# Functions that answer with a text: their names end or go on like this.
TEXTS = ("GetErrorString", "GetErrorName", "GetStatusString", "GetStatusName")


def extract(wheels, destination):
    destination.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        for wheel in sorted(wheels.glob("*.whl")):
            zipfile.ZipFile(wheel).extractall(scratch)
        shutil.copytree(Path(scratch, "nvidia/cu13"), destination, dirs_exist_ok=True, symlinks=True)
    # Archives do not carry the permission to run.
    for program in [*destination.glob("bin/*"), *destination.glob("nvvm/bin/*")]:
        program.chmod(0o755)


def lay_out(destination):
    """Names that build scripts expect; the run-time library is linked statically."""
    library = destination / "lib"
    for shared in library.glob("libcudart.so*"):
        shared.unlink()
    (destination / "lib64").symlink_to("lib")
    (library / "libcudart.a").symlink_to("libcudart_static.a")
    stubs = library / "stubs"
    stubs.mkdir(exist_ok=True)
    (stubs / "libcudart.a").symlink_to("../libcudart_static.a")
    return stubs


def functions(library, cudarc, include):
    module, _, _ = LIBRARIES[library]
    bindings = (cudarc / "src" / module / "sys/mod.rs").read_text()
    names = set(re.findall(r"^pub unsafe fn (\w+)", bindings, re.M)) - {"culib", "is_culib_present"}
    if library == "cuda":
        # The header gives some functions other names than the bindings have.
        command = ["c++", "-E", "-P", "-x", "c++", "-I", str(include), "-"]
        header = subprocess.run(command, input="#include <cuda.h>\n", text=True, capture_output=True, check=True).stdout
        names |= set(re.findall(r"\bCUresult\s+(cu\w+)\s*\(", header))
    return sorted(names)


def look_up(library, names):
    """C: where each function is, looked up once; `missing` where it is not."""
    _, files, error = LIBRARIES[library]
    quoted = lambda texts: ", ".join(f'"{text}"' for text in texts)
    is_text = " || ".join(f'strstr(name, "{text}")' for text in TEXTS)
    return f"""
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
static const char *const files[] = {{{quoted(files)}}};
static const char *const names[] = {{{quoted(names)}}};
__attribute__((visibility("hidden"))) void *standin_{library}_found[{len(names)}];
static long missing(void) {{ return {error}; }}
static const char *missing_text(void) {{ return "{files[0]} is not on this machine"; }}
static void *library(void) {{
    static void *opened;
    static int tried;
    if (!__atomic_load_n(&tried, __ATOMIC_ACQUIRE)) {{
        void *found = NULL;
        for (size_t file = 0; file < {len(files)} && !found; file++) found = dlopen(files[file], RTLD_NOW | RTLD_GLOBAL);
        if (found) __atomic_store_n(&opened, found, __ATOMIC_RELEASE);
        __atomic_store_n(&tried, 1, __ATOMIC_RELEASE);
    }}
    return __atomic_load_n(&opened, __ATOMIC_ACQUIRE);
}}
__attribute__((visibility("hidden"))) void *standin_{library}_look_up(size_t index) {{
    const char *name = names[index];
    void *from = library(), *function = from ? dlsym(from, name) : NULL;
    // The driver's own texts are written through a pointer, and its functions answer with a number.
    int is_text = strncmp(name, "cuGet", 5) != 0 && ({is_text});
    if (!function) function = is_text ? (void *)missing_text : (void *)missing;
    __atomic_store_n(&standin_{library}_found[index], function, __ATOMIC_RELEASE);
    return function;
}}
"""


def jumps(library, names):
    """Assembly: one jump for each function, and the way to the look-up that keeps all arguments."""
    saved = "".join(f" pushq %{register}\n" for register in INTEGERS)
    saved += f" subq ${16 * FLOATS}, %rsp\n"
    saved += "".join(f" movdqu %xmm{index}, {16 * index}(%rsp)\n" for index in range(FLOATS))
    restored = "".join(f" movdqu {16 * index}(%rsp), %xmm{index}\n" for index in range(FLOATS))
    restored += f" addq ${16 * FLOATS}, %rsp\n"
    restored += "".join(f" popq %{register}\n" for register in reversed(INTEGERS))
    slow = f"standin_{library}_slow:\n pushq %rbp\n movq %rsp, %rbp\n{saved} movq %rax, %rdi\n"
    slow += f" call standin_{library}_look_up\n movq %rax, %r11\n{restored} popq %rbp\n jmp *%r11\n"
    one = lambda index, name: (
        f".globl {name}\n.type {name}, @function\n{name}:\n movq standin_{library}_found+{8 * index}(%rip), %r11\n"
        f" testq %r11, %r11\n je 1f\n jmp *%r11\n1: movl ${index}, %eax\n jmp standin_{library}_slow\n"
    )
    every = "".join(one(index, name) for index, name in enumerate(names))
    return f".text\n{slow}{every}.section .note.GNU-stack,\"\",@progbits\n"


def stand_in(library, stubs, cudarc, include):
    names = functions(library, cudarc, include)
    with tempfile.TemporaryDirectory() as scratch:
        sources = {"look_up.c": look_up(library, names), "jumps.S": jumps(library, names)}
        objects = []
        for name, text in sources.items():
            source = Path(scratch, name)
            source.write_text(text)
            objects.append(str(source.with_suffix(".o")))
            subprocess.run(["cc", "-O2", "-fPIC", "-c", str(source), "-o", objects[-1]], check=True)
        subprocess.run(["ar", "crs", str(stubs / f"lib{library}.a"), *objects], check=True)


def main(wheels, destination, cudarc):
    wheels, destination, cudarc = Path(wheels), Path(destination), Path(cudarc)
    extract(wheels, destination)
    stubs = lay_out(destination)
    for library in LIBRARIES:
        stand_in(library, stubs, cudarc, destination / "include")


main(*sys.argv[1:])
