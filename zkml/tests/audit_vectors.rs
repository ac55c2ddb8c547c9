//! The digests and receipts of `policies/test/vectors/audit.json`, which the contracts' own tests read too and neither side
//! computed.

use halo2_axiom::halo2curves::{
    bn256::Fr,
    ff::{Field, PrimeField},
};
use hygeia_gpu_kernels::poseidon;
use hygeia_zkml::audit::{AuditPublic, AuditReceipt};
use serde_json::{Value, json};

const VECTORS: &str = include_str!("../../policies/test/vectors/audit.json");

fn vectors() -> Value {
    serde_json::from_str(VECTORS).expect("the vectors are JSON")
}

fn list<'v>(vectors: &'v Value, name: &str) -> &'v [Value] {
    let list = vectors[name].as_array().expect("a list");
    assert!(list.len() >= 6, "{name}");
    list
}

fn bytes(value: &Value) -> [u8; 32] {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x")).expect("a number with 0x");
    hex::decode(digits).expect("hexadecimal").try_into().expect("32 bytes")
}

fn field(value: &Value) -> Fr {
    let mut bytes = bytes(value);
    bytes.reverse();
    Fr::from_repr(bytes).expect("below the modulus")
}

#[test]
fn hashes() {
    let vectors = vectors();
    for case in list(&vectors, "hashes") {
        let inputs = [field(&case["left"]), field(&case["right"])];
        assert_eq!(poseidon::hash(field(&case["tag"]), &inputs), field(&case["digest"]));
        assert_ne!(poseidon::hash(field(&case["tag"]) + Fr::ONE, &inputs), field(&case["digest"]));
    }
}

#[test]
fn receipts() {
    let vectors = vectors();
    for case in list(&vectors, "receipts") {
        let number = |name: &str| case[name].as_u64().expect("a number");
        let public = AuditPublic::new(bytes(&case["root"]), number("count") as u32).expect("below the modulus");
        let score: i64 = case["score"].as_str().and_then(|text| text.parse().ok()).expect("a score");
        let verdict = |score: i64, index: u64| {
            let receipt = json!({
                "version": 1, "index": index, "leaves": case["leaves"], "count": case["count"], "root": case["root"],
                "commitment": case["commitment"], "score": score, "path": case["path"],
            });
            let receipt = AuditReceipt::from_json(&receipt.to_string()).expect("it has the form of a receipt");
            receipt.verify(&public, number("leaves") as usize)
        };
        assert_eq!(verdict(score, number("index")), Ok(()));
        assert!(verdict(score + 1, number("index")).is_err());
        assert!(verdict(score, number("index") ^ 1).is_err());
    }
}
