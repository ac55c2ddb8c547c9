//! The kernels' text, put together so that compilers without a file system take it.

/// Kernels to be compiled together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// For messages and for the name of what is kept.
    pub name: &'static str,
    /// One text, without includes.
    pub text: String,
    /// What can be launched, without parameters.
    pub kernels: Vec<&'static str>,
}

macro_rules! header {
    ($name:literal) => {
        ($name, include_str!(concat!("../../cuda/include/", $name)))
    };
}

/// Headers, each behind those that it includes.
const FIELD: [(&str, &str); 4] =
    [header!("device.cuh"), header!("chain.cuh"), header!("limbs.cuh"), header!("field.cuh")];
const CURVE: (&str, &str) = header!("curve.cuh");
const SCAN: (&str, &str) = header!("scan.cuh");

impl Source {
    /// Combinations, powers, inverses, scans and polynomial values.
    pub fn vector() -> Self {
        let kernels = vec![
            "vector_combine",
            "vector_subtract_low",
            "vector_powers",
            "vector_invert",
            "evaluate_partial",
            "sum_rows",
            "scan_affine_totals",
            "scan_affine_carries",
            "scan_affine_apply",
            "scan_sum_totals",
            "scan_sum_carries",
            "scan_sum_apply",
            "scan_product_totals",
            "scan_product_carries",
            "scan_product_apply",
            "scan_count_totals",
            "scan_count_carries",
            "scan_count_apply",
        ];
        Self::of("vector", &[SCAN], include_str!("../../cuda/src/vector.cu"), kernels)
    }

    /// Transforms.
    pub fn ntt() -> Self {
        Self::of("ntt", &[], include_str!("../../cuda/src/ntt.cu"), vec!["ntt_pass"])
    }

    /// Multi-scalar multiplication.
    pub fn msm() -> Self {
        let kernels = vec![
            "msm_count",
            "msm_scatter",
            "msm_sum_points",
            "msm_sum_parts",
            "msm_weigh",
            "msm_total",
            "msm_multiples",
        ];
        Self::of("msm", &[CURVE], include_str!("../../cuda/src/msm.cu"), kernels)
    }

    /// Poseidon.
    pub fn poseidon() -> Self {
        Self::of("poseidon", &[], include_str!("../../cuda/src/poseidon.cu"), vec!["poseidon_hash"])
    }

    /// A text that uses the fields.
    pub fn over_fields(name: &'static str, text: &str, kernels: Vec<&'static str>) -> Self {
        Self::of(name, &[], text, kernels)
    }

    /// A text that uses the curve.
    pub fn over_curve(name: &'static str, text: &str, kernels: Vec<&'static str>) -> Self {
        Self::of(name, &[CURVE], text, kernels)
    }

    fn of(name: &'static str, headers: &[(&str, &str)], text: &str, kernels: Vec<&'static str>) -> Self {
        let parts = FIELD.iter().chain(headers).copied().chain([(name, text)]);
        Self { name, text: parts.map(|(name, text)| inlined(name, text)).collect(), kernels }
    }
}

/// Without includes of our own headers, and with line numbers that messages can be read by.
fn inlined(name: &str, text: &str) -> String {
    let keep = |line: &&str| !line.starts_with("#include \"") && !line.starts_with("#pragma once");
    // Lines left out stay behind as empty ones, so that numbers hold.
    let lines: Vec<&str> = text.lines().map(|line| if keep(&line) { line } else { "" }).collect();
    format!("#line 1 \"{name}\"\n{}\n", lines.join("\n"))
}
