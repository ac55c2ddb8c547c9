//! CPU time of a window by prover, on a logarithmic scale, one dot for each model; gas and size of a proof beside it.

use std::fmt::Write as _;

use serde_json::Value;

const WIDTH: f64 = 940.0;
const LEFT: f64 = 160.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 70.0;
const ROW: f64 = 34.0;
/// CPU milliseconds that the axis covers.
const CPU_MS: (f64, f64) = (5.0, 50_000.0);
/// One for each model.
const COLOURS: [&str; 3] = ["#0b6e4f", "#c1440e", "#3454d1"];

/// The plot of a record's rows.
pub fn svg(rows: &[Value]) -> String {
    let (models, provers) = (names(rows, "model"), names(rows, "prover"));
    let bottom = TOP + ROW * provers.len() as f64;
    let mut text = String::new();
    let mut line = |shown: String| text.push_str(&(shown + "\n"));
    line(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\" font-size=\"12\">",
        bottom + 40.0
    ));
    line("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>".to_owned());
    line(label(LEFT, 20.0, "start", "CPU time of a window, witness included"));
    line(label(WIDTH - RIGHT + 20.0, TOP - 12.0, "start", "gas"));
    line(label(WIDTH - 20.0, TOP - 12.0, "end", "proof, bytes"));
    for (index, model) in models.iter().enumerate() {
        let x = LEFT + 170.0 * index as f64;
        line(dot(x + 5.0, 40.0, COLOURS[index % COLOURS.len()]));
        line(label(x + 16.0, 44.0, "start", model));
    }
    for (ms, shown) in [(10.0, "10 ms"), (100.0, "100 ms"), (1_000.0, "1 s"), (10_000.0, "10 s")] {
        let x = across(ms);
        line(format!("<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#ddd\"/>"));
        line(label(x, bottom + 18.0, "middle", shown));
    }
    for (place, prover) in provers.iter().enumerate() {
        let y = TOP + ROW * (place as f64 + 0.5);
        line(label(LEFT - 12.0, y + 4.0, "end", prover));
        line(format!("<line x1=\"{LEFT}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"#eee\"/>", WIDTH - RIGHT));
        let of_prover = rows.iter().filter(|row| row["prover"] == *prover);
        for row in of_prover.clone() {
            let model = models.iter().position(|model| row["model"] == *model).unwrap_or(0);
            line(dot(across(row["cpu_s"].as_f64().unwrap_or(0.0) * 1e3), y, COLOURS[model % COLOURS.len()]));
        }
        let first = of_prover.clone().next();
        let number = |name: &str| first.and_then(|row| row[name].as_u64()).map_or("none".to_owned(), |n| n.to_string());
        line(label(WIDTH - RIGHT + 20.0, y + 4.0, "start", &number("gas")));
        line(label(WIDTH - 20.0, y + 4.0, "end", &number("proof_bytes")));
    }
    let _ = writeln!(text, "</svg>");
    text
}

/// The texts of a field, each once, in order.
fn names<'r>(rows: &'r [Value], field: &str) -> Vec<&'r str> {
    let mut found: Vec<&str> = Vec::new();
    for name in rows.iter().filter_map(|row| row[field].as_str()) {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

fn label(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")
}

fn dot(x: f64, y: f64, colour: &str) -> String {
    format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\" fill=\"{colour}\" fill-opacity=\"0.8\"/>")
}

fn across(ms: f64) -> f64 {
    let share = (ms / CPU_MS.0).ln() / (CPU_MS.1 / CPU_MS.0).ln();
    LEFT + (WIDTH - LEFT - RIGHT) * share.clamp(0.0, 1.0)
}
