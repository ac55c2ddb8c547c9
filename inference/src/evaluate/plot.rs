//! Plots as SVG, drawn here: axes with round steps, lines, bands, bars and points with intervals.
//!
//! Colours keep a contrast of at least 4.5 to 1 on white and are told apart by dashes too; every plot carries a title
//! and a description for readers who do not see it.

use std::fmt::Write;

/// Size of a plot and of what surrounds the area between its axes.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 48.0;
/// Height of one line of the legend, and width of one entry.
const LEGEND_LINE: f64 = 20.0;
const LEGEND_ENTRY: f64 = 176.0;
/// Steps an axis is divided into, about.
const TICKS: f64 = 6.0;

/// How something is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Style {
    /// Colour of the line.
    pub colour: &'static str,
    /// Lengths of dashes and gaps; empty for a solid line.
    pub dashes: &'static str,
    /// Width of the line.
    pub width: f64,
}

/// What an axis shows.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub label: &'static str,
    pub low: f64,
    pub high: f64,
    /// Whether numbers are shares, written in per cent.
    pub percent: bool,
}

/// A plot under construction.
pub(super) struct Plot {
    id: &'static str,
    title: String,
    description: String,
    x: Axis,
    y: Axis,
    marks: String,
    legend: Vec<(String, Style)>,
}

impl Plot {
    /// An empty plot. `id` is unique on the page.
    pub fn new(id: &'static str, title: impl Into<String>, description: impl Into<String>, x: Axis, y: Axis) -> Self {
        let (title, description) = (title.into(), description.into());
        Self { id, title, description, x, y, marks: String::new(), legend: Vec::new() }
    }

    /// Names a style in the legend.
    pub fn name(&mut self, name: impl Into<String>, style: Style) {
        self.legend.push((name.into(), style));
    }

    /// A line through points, cut off at the edges of the plot.
    pub fn line(&mut self, style: Style, points: impl IntoIterator<Item = [f64; 2]>) {
        let places: Vec<String> = points.into_iter().map(|point| self.place(point)).collect();
        self.mark(format_args!(r#"<polyline points="{}" fill="none" {}/>"#, places.join(" "), stroke(style)));
    }

    /// A dot with a vertical interval.
    pub fn dot(&mut self, style: Style, [x, y]: [f64; 2], interval: Option<[f64; 2]>) {
        let (at_x, at_y) = (self.across(x), self.down(y));
        if let Some([low, high]) = interval {
            let (low, high) = (self.down(low), self.down(high));
            self.mark(format_args!(
                r#"<line x1="{at_x:.1}" y1="{low:.1}" x2="{at_x:.1}" y2="{high:.1}" stroke="{}" stroke-width="1.5"/>"#,
                style.colour
            ));
        }
        self.mark(format_args!(r#"<circle cx="{at_x:.1}" cy="{at_y:.1}" r="3.5" fill="{}"/>"#, style.colour));
    }

    /// A bar from the bottom of the plot, with what it says to a pointer.
    pub fn bar(&mut self, style: Style, from: f64, to: f64, height: f64, says: &str) {
        let (left, right) = (self.across(from) + 1.0, self.across(to) - 1.0);
        let (top, bottom) = (self.down(height), self.down(self.y.low));
        self.mark(format_args!(
            r#"<rect x="{left:.1}" y="{top:.1}" width="{:.1}" height="{:.1}" fill="{}"><title>{}</title></rect>"#,
            right - left,
            bottom - top,
            style.colour,
            escape(says)
        ));
    }

    /// Text in the plot, centred on a point.
    pub fn text(&mut self, [x, y]: [f64; 2], text: &str) {
        let (x, y) = (self.across(x), self.down(y));
        self.mark(format_args!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="middle">{}</text>"#, escape(text)));
    }

    /// The finished SVG.
    pub fn svg(&self) -> String {
        let columns = ((WIDTH - LEFT) / LEGEND_ENTRY).floor().max(1.0) as usize;
        let height = HEIGHT + self.legend.len().div_ceil(columns) as f64 * LEGEND_LINE;
        let id = self.id;
        let mut out = format!(
            r#"<svg role="img" aria-labelledby="{id}-title {id}-text" viewBox="0 0 {WIDTH} {height}" xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif" font-size="12" fill="{INK}"><title id="{id}-title">{}</title><desc id="{id}-text">{}</desc><clipPath id="{id}-area"><rect x="{LEFT}" y="{TOP}" width="{}" height="{}"/></clipPath>"#,
            escape(&self.title),
            escape(&self.description),
            WIDTH - LEFT - RIGHT,
            HEIGHT - TOP - BOTTOM,
        );
        self.write_axes(&mut out).expect("writing to a string does not fail");
        write!(out, r##"<g clip-path="url(#{id}-area)">{}</g>"##, self.marks)
            .expect("writing to a string does not fail");
        self.write_legend(columns, &mut out).expect("writing to a string does not fail");
        out.push_str("</svg>");
        out
    }

    fn write_axes(&self, out: &mut String) -> std::fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in ticks(self.x.low, self.x.high) {
            let x = self.across(tick);
            write!(out, r#"<line x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}" stroke="{GRID}"/>"#)?;
            let label = self.x.number(tick);
            write!(out, r#"<text x="{x:.1}" y="{}" text-anchor="middle">{label}</text>"#, bottom + 18.0)?;
        }
        for tick in ticks(self.y.low, self.y.high) {
            let y = self.down(tick);
            write!(out, r#"<line x1="{LEFT}" y1="{y:.1}" x2="{right}" y2="{y:.1}" stroke="{GRID}"/>"#)?;
            let label = self.y.number(tick);
            write!(out, r#"<text x="{}" y="{:.1}" text-anchor="end">{label}</text>"#, LEFT - 8.0, y + 4.0)?;
        }
        write!(out, r#"<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="{INK}"/>"#)?;
        let middle = (LEFT + right) / 2.0;
        write!(
            out,
            r#"<text x="{middle}" y="{}" text-anchor="middle">{}</text>"#,
            bottom + 38.0,
            escape(self.x.label)
        )?;
        let middle = (TOP + bottom) / 2.0;
        let label = escape(self.y.label);
        write!(out, r#"<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{label}</text>"#)
    }

    fn write_legend(&self, columns: usize, out: &mut String) -> std::fmt::Result {
        for (index, (name, style)) in self.legend.iter().enumerate() {
            let x = LEFT + (index % columns) as f64 * LEGEND_ENTRY;
            let y = HEIGHT + (index / columns) as f64 * LEGEND_LINE + 8.0;
            write!(out, r#"<line x1="{x}" y1="{y}" x2="{}" y2="{y}" {}/>"#, x + 28.0, stroke(*style))?;
            write!(out, r#"<text x="{}" y="{}">{}</text>"#, x + 34.0, y + 4.0, escape(name))?;
        }
        Ok(())
    }

    fn mark(&mut self, mark: std::fmt::Arguments<'_>) {
        self.marks.write_fmt(mark).expect("writing to a string does not fail");
    }

    fn place(&self, [x, y]: [f64; 2]) -> String {
        format!("{:.1},{:.1}", self.across(x), self.down(y))
    }

    fn across(&self, x: f64) -> f64 {
        LEFT + self.x.share(x) * (WIDTH - LEFT - RIGHT)
    }

    fn down(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.share(y) * (HEIGHT - TOP - BOTTOM)
    }
}

/// Colour of text and axes, and of the lines behind the marks.
const INK: &str = "#1b2733";
const GRID: &str = "#e3e8ee";

impl Axis {
    /// An axis of plain numbers.
    pub fn number_axis(label: &'static str, low: f64, high: f64) -> Self {
        Self { label, low, high, percent: false }
    }

    /// An axis of shares.
    pub fn percent_axis(label: &'static str, low: f64, high: f64) -> Self {
        Self { label, low, high, percent: true }
    }

    /// Where a value lies between the ends: beyond them at most a little, so that what is cut off stays near.
    fn share(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(-0.5, 1.5)
    }

    fn number(&self, value: f64) -> String {
        let (value, unit) = if self.percent { (value * 100.0, " %") } else { (value, "") };
        // Ticks are round: three decimals are more than any of them has.
        let text = format!("{value:.3}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        format!("{}{unit}", if text == "-0" { "0" } else { text })
    }
}

/// Round numbers between two ends, both included where they are round.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / TICKS;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|n| n * power).find(|&step| step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|n| n as f64 * step).collect()
}

fn stroke(style: Style) -> String {
    let dashes =
        if style.dashes.is_empty() { String::new() } else { format!(r#" stroke-dasharray="{}""#, style.dashes) };
    format!(r#"stroke="{}" stroke-width="{}" stroke-linejoin="round"{dashes}"#, style.colour, style.width)
}

/// Text as it may stand in HTML and SVG, between tags and in attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_ends() {
        let close = |found: Vec<f64>, expected: &[f64]| {
            assert_eq!(found.len(), expected.len(), "{found:?}");
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
        };
        close(ticks(0.0, 1.0), &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        close(ticks(-9.0, 51.0), &[0.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
        close(ticks(0.0, 0.13), &[0.0, 0.025, 0.05, 0.075, 0.1, 0.125]);
    }

    #[test]
    fn a_point_is_drawn_where_its_values_say() {
        let axis = || Axis::number_axis("n", 0.0, 10.0);
        let mut plot = Plot::new("p", "t", "d", axis(), axis());
        plot.line(Style { colour: "#000", dashes: "", width: 1.0 }, [[0.0, 0.0], [10.0, 10.0], [5.0, 2.5]]);
        // The area spans 64 to 534 across and 332 to 14 up.
        assert!(plot.svg().contains(r#"points="64.0,332.0 534.0,14.0 299.0,252.5""#), "{}", plot.svg());
    }

    #[test]
    fn names_cannot_break_out_of_the_page() {
        let axis = Axis::percent_axis("x", 0.0, 1.0);
        let mut plot = Plot::new("p", "<script>", "\"&'", axis.clone(), axis);
        plot.name("</svg>", Style { colour: "#000", dashes: "1 2", width: 1.0 });
        let svg = plot.svg();
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;") && svg.contains("&quot;&amp;&#39;"));
        assert_eq!(svg.matches("</svg>").count(), 1);
        assert!(svg.contains(">20 %<") && svg.contains(r#"stroke-dasharray="1 2""#));
    }
}
