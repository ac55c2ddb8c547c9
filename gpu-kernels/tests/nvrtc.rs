//! CUDA's own compiler on all kernels, where it is: `libnvrtc` on the loader's path is enough, no device is needed.

use hygeia_gpu_kernels::{
    CudaAccelerator, KernelError, RowProgram,
    cuda::{DriverConfig, Source, nvrtc, program_source},
    program::{Operand, Operation, Query, Source as Column, Step},
};

/// The architecture of the devices that the kernels are laid out for.
const ARCHITECTURE: &str = "sm_90";

/// Every step, operand and column.
fn program() -> RowProgram {
    RowProgram {
        queries: vec![
            Query { source: Column::Fixed(3), rotation: 0 },
            Query { source: Column::Advice(1), rotation: -2 },
            Query { source: Column::Instance, rotation: 1 },
        ],
        steps: vec![
            Step::Compute(0, Operation::Add, Operand::Query(0), Operand::Query(1)),
            Step::Compute(1, Operation::Multiply, Operand::Register(0), Operand::Scalar(1)),
            Step::Compute(0, Operation::Subtract, Operand::Register(1), Operand::Query(2)),
            Step::Gather(Operand::Register(0)),
        ],
        registers: 2,
        scalars: 2,
    }
}

fn is_present() -> bool {
    match nvrtc::version() {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error, KernelError::Missing { library: "NVRTC" });
            eprintln!("skipped: {error}");
            false
        }
    }
}

#[test]
fn kernels_compile_for_a_device() {
    if !is_present() {
        return;
    }
    for source in [Source::vector(), Source::ntt(), Source::msm(), Source::poseidon(), program_source(&program())] {
        let image = nvrtc::compile(&source, ARCHITECTURE).unwrap();
        // Machine code is an ELF file, and names its kernels.
        assert!(image.starts_with(b"\x7fELF"), "{}", source.name);
        let names = |kernel: &str| image.windows(kernel.len()).any(|window| window == kernel.as_bytes());
        assert!(source.kernels.iter().all(|kernel| names(kernel)), "{}", source.name);
    }
}

#[test]
fn what_does_not_compile_is_an_error_with_its_line() {
    if !is_present() {
        return;
    }
    let source = Source::over_fields("wrong", "\n\nthis is no kernel", vec![]);
    let Err(KernelError::Compile { name: "wrong", log }) = nvrtc::compile(&source, ARCHITECTURE) else {
        panic!("compiled what is no kernel");
    };
    assert!(log.starts_with("wrong(3): error"), "{log}");
}

#[test]
fn a_machine_without_a_device_gets_a_typed_error() {
    let opened = CudaAccelerator::open(&DriverConfig { ordinal: 4096, ..DriverConfig::default() });
    assert!(matches!(opened.err(), Some(KernelError::Missing { .. } | KernelError::Device { .. })));
}
