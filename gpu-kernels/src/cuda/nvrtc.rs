//! CUDA's run-time compiler, looked for when it is needed: text to machine code of one architecture.

use std::{
    ffi::{CString, c_char},
    panic::{AssertUnwindSafe, catch_unwind},
};

use cudarc::nvrtc::{
    result::{self, NvrtcError},
    sys,
};

use super::{library::NVRTC, source::Source};
use crate::KernelError;

/// Most that is kept of what the compiler says: the first errors.
const LOG_CHARACTERS_MAX: usize = 4096;

/// The compiler's version, major and minor.
pub fn version() -> Result<(i32, i32), KernelError> {
    guarded(|| {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both are places for a number.
        unsafe { sys::nvrtcVersion(&mut major, &mut minor) }.result().map_err(failed("ask NVRTC for its version"))?;
        Ok((major, minor))
    })
}

/// Machine code for an architecture such as `sm_90`.
pub fn compile(source: &Source, architecture: &str) -> Result<Vec<u8>, KernelError> {
    compiled(source, architecture, Program::machine_code)
}

/// The instructions that the machine code is made from, as text.
pub fn compile_to_ptx(source: &Source, architecture: &str) -> Result<String, KernelError> {
    compiled(source, architecture, Program::ptx)
}

fn compiled<T>(
    source: &Source,
    architecture: &str,
    take: impl Fn(&Program) -> Result<T, KernelError>,
) -> Result<T, KernelError> {
    guarded(|| {
        let text = CString::new(source.text.as_str()).expect("kernels have no zero bytes");
        let program = Program(result::create_program(&text, None).map_err(failed("create an NVRTC program"))?);
        let options = [format!("--gpu-architecture={architecture}"), "--std=c++17".to_owned()];
        // SAFETY: the program was created above, and is destroyed when it is dropped.
        match unsafe { result::compile_program(program.0, &options) } {
            Ok(()) => take(&program),
            Err(_) => Err(KernelError::Compile { name: source.name, log: program.log() }),
        }
    })
}

/// An NVRTC program, destroyed when dropped.
struct Program(sys::nvrtcProgram);

impl Program {
    fn machine_code(&self) -> Result<Vec<u8>, KernelError> {
        let failed = failed("read what NVRTC compiled");
        let mut size = 0;
        // SAFETY: the program is alive, and `size` is a place for a size.
        unsafe { sys::nvrtcGetCUBINSize(self.0, &mut size) }.result().map_err(failed)?;
        let mut code = vec![0_u8; size];
        // SAFETY: the program is alive, and the buffer has the size it asked for.
        unsafe { sys::nvrtcGetCUBIN(self.0, code.as_mut_ptr().cast::<c_char>()) }.result().map_err(failed)?;
        Ok(code)
    }

    fn ptx(&self) -> Result<String, KernelError> {
        // SAFETY: the program is alive.
        let text = unsafe { result::get_ptx(self.0) }.map_err(failed("read what NVRTC compiled"))?;
        Ok(text_of(&text))
    }

    fn log(&self) -> String {
        // SAFETY: the program is alive.
        let log = unsafe { result::get_program_log(self.0) }.unwrap_or_default();
        text_of(&log).chars().take(LOG_CHARACTERS_MAX).collect()
    }
}

/// Up to the first zero byte.
fn text_of(characters: &[c_char]) -> String {
    let bytes: Vec<u8> = characters.iter().map(|byte| byte.to_ne_bytes()[0]).take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: created by NVRTC, and destroyed here alone. Nothing can be done about a failure.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}

fn failed(operation: &'static str) -> impl Fn(NvrtcError) -> KernelError + Copy {
    move |error| KernelError::Device { operation, code: error.0 as i32 }
}

/// Runs a call of the bindings, which panic when the library or one of its symbols is missing.
fn guarded<T>(call: impl FnOnce() -> Result<T, KernelError>) -> Result<T, KernelError> {
    NVRTC.require()?;
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(NVRTC.missing()))
}
