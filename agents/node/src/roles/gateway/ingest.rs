//! Hop 1, the pure part: the body of a request becomes observations to publish and reasons to refuse.
//!
//! A refusal names the place in the request and the reason, never the content.

use hygeia_protocol::observation::{Limits, Observation, Rejection};
use hygeia_protocol::time::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

/// Observations in one request: an hour of a large ward at a vital sign a minute.
pub const ITEMS_MAX: usize = 1_000;

/// A request sorted into what is published and what is not.
#[derive(Debug, PartialEq, Eq)]
pub struct Screened {
    /// To publish, in the order they came.
    pub accepted: Vec<Observation>,
    /// Not published.
    pub refused: Vec<Refusal>,
}

/// One observation that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Its place in the request, from 0.
    pub index: usize,
    /// The label of the reason.
    pub reason: &'static str,
}

/// Why a body is no request at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Begins like an array and is none.
    #[error("the body is not a JSON array")]
    Malformed,
    /// More than [`ITEMS_MAX`] observations.
    #[error("the request holds too many observations")]
    TooMany,
}

/// The answer to a request whose accepted observations are all stored.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Observations the broker holds now.
    pub stored: usize,
    /// How many of them it held already: exact copies, kept once.
    pub repeated: usize,
    /// The others.
    pub refused: Vec<Refusal>,
}

/// Reads one observation or an array of them.
pub fn screen(body: &[u8], received: Timestamp, limits: &Limits) -> Result<Screened, BodyError> {
    let is_array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if !is_array {
        return Ok(sort([Observation::decode(body, received, limits)]));
    }
    // Each item is decoded from its own bytes, so that it is judged as strictly as one that comes alone.
    let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(|_content| BodyError::Malformed)?;
    if items.len() > ITEMS_MAX {
        return Err(BodyError::TooMany);
    }
    Ok(sort(items.iter().map(|item| Observation::decode(item.get().as_bytes(), received, limits))))
}

fn sort(decoded: impl IntoIterator<Item = Result<Observation, Rejection>>) -> Screened {
    let mut screened = Screened { accepted: Vec::new(), refused: Vec::new() };
    for (index, observation) in decoded.into_iter().enumerate() {
        match observation {
            Ok(observation) => screened.accepted.push(observation),
            Err(rejection) => screened.refused.push(Refusal { index, reason: rejection.reason() }),
        }
    }
    screened
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const GOOD: &str = r#"{"v":1,"patient":"p-1","device":"m-7","seq":1,"code":{"system":"http://loinc.org","code":"8867-4"},"value":72.5,"unit":"/min","effective":"2026-01-01T00:00:00Z"}"#;

    fn check(body: &str, expected: Expect) {
        let received = Timestamp::parse_rfc3339("2026-01-01T00:00:10Z").unwrap();
        let text = match screen(body.as_bytes(), received, &Limits::default()) {
            Ok(s) => {
                let refused: Vec<String> = s.refused.iter().map(|r| format!("{}:{}", r.index, r.reason)).collect();
                format!("accepted {}, refused [{}]", s.accepted.len(), refused.join(" "))
            }
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn one_observation() {
        check(GOOD, expect!["accepted 1, refused []"]);
        check(&format!("\n  {GOOD}\n"), expect!["accepted 1, refused []"]);
        check(&GOOD.replace("8867-4", "1-1"), expect!["accepted 0, refused [0:unknown_code]"]);
        check(&GOOD.replace("/min", "Cel"), expect!["accepted 0, refused [0:wrong_unit]"]);
        check(&GOOD.replace("72.5", "-100"), expect!["accepted 0, refused [0:implausible_value]"]);
        check(&GOOD.replace("2026-01-01", "2027-01-01"), expect!["accepted 0, refused [0:future_time]"]);
        check(&GOOD[..40], expect!["accepted 0, refused [0:malformed]"]);
        check("", expect!["accepted 0, refused [0:malformed]"]);
    }

    #[test]
    fn a_bad_item_does_not_hold_back_the_others() {
        let bad = GOOD.replace("72.5", "8388607");
        check(&format!("[{GOOD}, {bad}, 3, {GOOD}]"), expect!["accepted 2, refused [1:implausible_value 2:malformed]"]);
    }

    #[test]
    fn an_item_is_judged_as_strictly_as_one_that_comes_alone() {
        let doubled = GOOD.replace("\"seq\":1", "\"seq\":1,\"seq\":2");
        check(&format!("[{doubled}]"), expect!["accepted 0, refused [0:malformed]"]);
    }

    #[test]
    fn arrays_are_bounded_and_whole() {
        check("[]", expect!["accepted 0, refused []"]);
        check(&format!("[{GOOD}"), expect!["the body is not a JSON array"]);
        check(&format!("[{}]", vec!["0"; ITEMS_MAX + 1].join(",")), expect!["the request holds too many observations"]);
        let most = format!("[{}]", vec![GOOD; ITEMS_MAX].join(","));
        check(&most, expect!["accepted 1000, refused []"]);
    }
}
