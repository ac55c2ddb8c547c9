//! The CUDA kernels, emulated: the same body of tests as every accelerator.

mod conformance;

#[test]
fn the_emulated_device_conforms() {
    conformance::all(&hygeia_gpu_emulator::accelerator().unwrap());
}
