//! Starting other programs: each is printed before it starts, and a failure names it.
//!
//! Whatever xtask itself has to say goes to standard error, so that standard output belongs to the program that was
//! asked for (`cargo xtask demo --json` prints one JSON object and nothing else).

use std::io::ErrorKind;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, anyhow, bail};

/// Runs a program to its end, with its output shown as it comes.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    eprintln!("$ {shown}");
    let status = command.status().map_err(|error| not_started(&shown, error))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}

/// Runs a program whose standard output is not the answer that the user asked for.
pub fn run_aside(command: &mut Command) -> Result<()> {
    run(command.stdout(Stdio::from(std::io::stderr())))
}

/// Runs a program and returns what it wrote to standard output; its standard error is shown.
pub fn capture(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = output(command.stderr(Stdio::inherit()))?;
    if !output.status.success() {
        bail!("`{shown}` failed: {}\n{}", output.status, String::from_utf8_lossy(&output.stdout));
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` did not write UTF-8"))
}

/// Runs a program and returns its status and output, whatever the status.
pub fn output(command: &mut Command) -> Result<Output> {
    let shown = show(command);
    command.stdin(Stdio::null()).output().map_err(|error| not_started(&shown, error))
}

/// True when the program starts and ends well. Its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The program as one would type it, less the folders in front of its name.
pub fn show(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let name = program.rsplit('/').next().unwrap_or(&program).to_owned();
    command.get_args().fold(name, |line, arg| line + " " + &arg.to_string_lossy())
}

fn not_started(shown: &str, error: std::io::Error) -> anyhow::Error {
    let reason = match error.kind() {
        ErrorKind::NotFound => "the program is not there",
        _ => "the program does not start",
    };
    anyhow!(error).context(format!("`{shown}`: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_program_and_its_arguments() {
        let error = run(&mut Command::new("false")).unwrap_err().to_string();
        assert!(error.starts_with("`false` failed"), "{error}");
        let error = capture(&mut Command::new("/nowhere/helm-that-is-not")).unwrap_err().to_string();
        assert_eq!(error, "`helm-that-is-not`: the program is not there");
    }

    #[test]
    fn output_is_captured_whole() {
        assert_eq!(capture(Command::new("printf").arg("%s").arg("two words")).unwrap(), "two words");
        assert!(!succeeds(&mut Command::new("false")));
    }
}
