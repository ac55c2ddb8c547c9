//! One body of tests for every accelerator.

mod conformance;

use hygeia_gpu_kernels::CpuAccelerator;

#[test]
fn the_cpu_conforms() {
    conformance::all(&CpuAccelerator);
}
