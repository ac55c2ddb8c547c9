//! `hygeia evaluate`: one command from a file of stays to a page, a JSON object and a card.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

use hygeia_inference::{ModelPackage, Variable};
use serde_json::Value;

/// Stays of thirty hours, every third septic from its twentieth; a third of those are from their first.
fn data(stays: usize) -> String {
    let columns: Vec<&str> = Variable::ALL.iter().map(|variable| variable.challenge_column()).collect();
    let mut text = format!("pid,{},Unit1,Unit2,HospAdmTime,Age,Gender,SepsisLabel\n", columns.join(","));
    for stay in 0..stays {
        for hour in 0..30 {
            let septic = stay % 9 == 0 || stay % 3 == 0 && hour >= 20;
            let noise = (stay * 31 + hour * 17) % 23;
            let rate = 70 + noise + if septic { 25 } else { 0 };
            let empty = ",".repeat(columns.len() - 1);
            let (unit, sex) = (stay % 2, stay / 2 % 2);
            let facts = format!("{unit},{},-5,{},{sex},{}", 1 - unit, 40 + stay % 45, u8::from(septic));
            writeln!(text, "p{stay},{rate}{empty},{facts}").unwrap();
        }
    }
    text
}

fn evaluate(arguments: &[&str], inside: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hygeia")).arg("evaluate").args(arguments).current_dir(inside).output().unwrap()
}

#[test]
fn a_file_becomes_a_page_an_object_and_a_card() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("stays.csv"), data(90)).unwrap();
    let printed = evaluate(&["--data", "stays.csv"], dir.path());
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let text = String::from_utf8(printed.stdout).unwrap();
    for said in ["90 stays (30 septic, 10 of them from their first hour)", "Logistic regression", "after triage", "[0."]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    let hash = hex::encode(ModelPackage::default_model().hash());
    let out = dir.path().join("target/evaluation").join(format!("stays-{}", &hash[..8]));
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("</html>") && page.contains(&hash));

    let json = evaluate(&["--data", "stays.csv", "--json", "--out", "named", "--into-card", "noted"], dir.path());
    let object: Value = serde_json::from_slice(&json.stdout).unwrap();
    for score in ["model", "news2", "sirs", "clock", "logistic"] {
        assert!(["auroc", "auprc", "utility"].iter().all(|figure| object[score][figure].is_f64()), "{score}");
    }
    let before = object["model"]["burden_before_triage"]["alerts_per_patient_day"].as_f64().unwrap();
    let after = object["model"]["burden_after_triage"]["alerts_per_patient_day"].as_f64().unwrap();
    assert!(after <= before, "triage calls no more often than every hour: {after} {before}");
    assert_eq!(object, serde_json::from_slice::<Value>(&std::fs::read(out.join("report.json")).unwrap()).unwrap());
    assert_eq!(std::fs::read_to_string(dir.path().join("named/report.html")).unwrap(), page);
    let noted = ModelPackage::load(&dir.path().join("noted")).unwrap();
    assert_eq!(noted.card().evaluations.last().unwrap().data, "stays.csv");
    assert_ne!(noted.hash(), ModelPackage::default_model().hash());
}

#[test]
fn a_longer_cool_down_calls_less_often() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("stays.csv"), data(90)).unwrap();
    let calls = |hours: &str| {
        let found = evaluate(&["--data", "stays.csv", "--json", "--cool-down-h", hours], dir.path());
        let object: Value = serde_json::from_slice(&found.stdout).unwrap();
        let curve = object["sirs"]["curves"]["budget"].as_array().unwrap();
        curve.last().unwrap()["alerts_per_patient_day"].as_f64().unwrap()
    };
    let (often, seldom) = (calls("2"), calls("12"));
    assert!(seldom > 0.0 && seldom < often / 1.5, "{seldom} after twelve hours, {often} after two");
}

#[test]
fn what_cannot_be_evaluated_ends_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("well.csv"), data(1).replace(",1\n", ",0\n")).unwrap();
    for (arguments, said) in [
        (["--data", "nowhere.csv"].as_slice(), "cannot read nowhere.csv"),
        (&["--data", "well.csv"], "lacks one of the two labels"),
        (&["--data", "well.csv", "--model", "nowhere"], "loading the model package in nowhere"),
    ] {
        let output = evaluate(arguments, dir.path());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(error.lines().any(|line| line.starts_with("hygeia: ") && line.contains(said)), "{said}: {error}");
    }
    assert!(!dir.path().join("target").exists(), "nothing is written of a failed evaluation");
}
