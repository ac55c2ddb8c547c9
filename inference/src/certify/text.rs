//! A certificate for the terminal.

use std::fmt::{Result, Write};

use super::{AUROC_LOSS_MAX, Certificate};

impl Certificate {
    /// The certificate as text of at most 120 columns.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write_text(&mut out).expect("writing to a string does not fail");
        out
    }

    fn write_text(&self, out: &mut String) -> Result {
        writeln!(out, "Fidelity of {} ({})", self.model, self.package)?;
        writeln!(out, "on {}: {} stays, {} hourly rows\n", self.data.name, self.data.stays, self.data.rows)?;
        let error = self.score_error;
        writeln!(
            out,
            "score      integers against floats: mean {:.5}, at most {:.5} logits; {:+.5} in one direction",
            error.mean, error.max, error.bias
        )?;
        match self.auroc {
            None => writeln!(out, "AUROC      none: the data lacks one of the two labels")?,
            Some(auroc) => writeln!(
                out,
                "AUROC      float {:.5}, integer {:.5}, lost {:+.5} (allowed {AUROC_LOSS_MAX}): {}",
                auroc.float,
                auroc.integer,
                auroc.loss,
                if self.holds() { "holds" } else { "DOES NOT HOLD" }
            )?,
        }
        self.write_decisions(out)?;
        self.write_layers(out)
    }

    fn write_decisions(&self, out: &mut String) -> Result {
        let band = self.decisions.first().map_or(0.0, |decisions| decisions.band_logits);
        writeln!(
            out,
            "\n{:<42}{:>10}{:>20}{:>26}",
            "decisions at the threshold of",
            "threshold",
            "changed",
            format!("within {band} logits")
        )?;
        for decisions in &self.decisions {
            writeln!(
                out,
                "{:<42}{:>10}{:>20}{:>26}",
                decisions.at,
                decisions.threshold,
                format!("{} ({:.4} %)", decisions.changed, decisions.changed_share * 100.0),
                format!("{} of {} rows", decisions.near_changed, decisions.near)
            )?;
        }
        Ok(())
    }

    fn write_layers(&self, out: &mut String) -> Result {
        writeln!(
            out,
            "\n{:<8}{:<22}{:>9}{:>20}{:>12}{:>14}{:>14}{:>9}",
            "layer", "kind", "neurons", "scale, power of 2", "weight max", "sum max", "output max", "exact in"
        )?;
        for (index, layer) in self.layers.iter().enumerate() {
            let [least, greatest] = layer.scale_log2;
            writeln!(
                out,
                "{index:<8}{:<22}{:>9}{:>20}{:>12}{:>14}{:>14}{:>9}",
                layer.kind,
                layer.neurons,
                format!("{least:+.1} to {greatest:+.1}"),
                layer.weight_max,
                layer.partial_sum_max,
                layer.output_max,
                layer.accumulator.name()
            )?;
        }
        writeln!(out, "\nAn engine needs {} for all of it. Sums: {}.", self.accumulator.name(), self.requantisation)
    }
}
