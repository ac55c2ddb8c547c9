//! CPU time of a window against gas of a proof, both on logarithmic scales: what is better lies to the left and below.

use std::fmt::Write as _;

use super::table::{Row, Table};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 40.0;
const RIGHT: f64 = 190.0;
const BOTTOM: f64 = 60.0;
/// CPU milliseconds and gas that the axes cover.
const CPU_MS: (f64, f64) = (5.0, 50_000.0);
const GAS: (f64, f64) = (150_000.0, 1_500_000.0);
/// One for each model.
const COLOURS: [&str; 3] = ["#0b6e4f", "#c1440e", "#3454d1"];

/// The plot. A proof that no contract verifies lies on the upper edge.
pub fn svg(table: &Table) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">"
    );
    let _ = writeln!(text, "<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>");
    let _ = writeln!(
        text,
        "<text x=\"{LEFT}\" y=\"22\" font-size=\"15\">Provers of one statement: CPU time of a window, gas of a proof</text>"
    );
    axes(&mut text);
    let mut models: Vec<&str> = table.rows.iter().map(|row| row.model).collect();
    models.dedup();
    for (index, model) in models.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let y = TOP + 18.0 * index as f64;
        let x = WIDTH - RIGHT + 30.0;
        let _ = writeln!(text, "<circle cx=\"{x}\" cy=\"{y}\" r=\"5\" fill=\"{colour}\"/>");
        let _ = writeln!(text, "<text x=\"{}\" y=\"{}\">{model}</text>", x + 12.0, y + 4.0);
        table.rows.iter().filter(|row| row.model == *model).for_each(|row| point(&mut text, row, colour));
    }
    text + "</svg>\n"
}

fn axes(text: &mut String) {
    for cpu_ms in [10.0, 100.0, 1_000.0, 10_000.0] {
        let x = across(cpu_ms);
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>",
            HEIGHT - BOTTOM
        );
        let _ = writeln!(
            text,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{cpu_ms} ms</text>",
            HEIGHT - BOTTOM + 18.0
        );
    }
    for gas in [200_000.0, 400_000.0, 800_000.0] {
        let y = down(Some(gas));
        let _ = writeln!(
            text,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>",
            WIDTH - RIGHT
        );
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}k</text>",
            LEFT - 8.0,
            y + 4.0,
            gas / 1_000.0
        );
    }
    let _ =
        writeln!(text, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">no contract</text>", LEFT + 60.0, TOP - 4.0);
    let _ = writeln!(text, "<text x=\"{LEFT}\" y=\"{:.1}\">CPU time of a window</text>", HEIGHT - 14.0);
}

fn point(text: &mut String, row: &Row, colour: &str) {
    let (x, y) = (across(row.cpu_s * 1e3), down(row.gas.map(|gas| gas as f64)));
    let _ = writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{colour}\" fill-opacity=\"0.8\"/>");
    let _ = writeln!(text, "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>", x + 8.0, y - 6.0, row.prover);
}

fn across(cpu_ms: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * share(cpu_ms, CPU_MS)
}

fn down(gas: Option<f64>) -> f64 {
    let share = gas.map_or(1.0, |gas| share(gas, GAS));
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
}

fn share(value: f64, (least, most): (f64, f64)) -> f64 {
    ((value / least).ln() / (most / least).ln()).clamp(0.0, 1.0)
}
