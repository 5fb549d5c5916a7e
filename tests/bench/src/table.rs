//! What is printed.

use crate::figures::Figures;

pub struct Row {
    pub measure: String,
    pub ours: Figures,
    pub theirs: Figures,
}

pub fn head() {
    println!("\nRates a second; p50 and p99 in ms; CPU: µs of the servers' processors for each.");
    println!("{:30}{:>37}{:>37}   ratios of", "", "coracle", "etcd");
    let columns = format!("{:>10}{:>9}{:>9}{:>9}", "rate", "p50", "p99", "CPU");
    println!("{:30}{columns}{columns}{:>8}{:>7}{:>7}", "", "rate", "p99", "CPU");
}

pub fn row(row: &Row) {
    let ratio = |of: fn(&Figures) -> Option<f64>| ratio(of(&row.ours), of(&row.theirs));
    let ratios = format!("{:>8}{:>7}{:>7}", ratio(|f| Some(f.rate)), ratio(|f| f.p99), ratio(|f| f.cpu));
    println!("{:30}{}{}{ratios}", row.measure, cells(&row.ours), cells(&row.theirs));
}

/// Figures of one store alone.
pub fn single(measure: &str, figures: &Figures) {
    println!("{measure:30}{}", cells(figures));
}

pub fn pair(what: &str, ours: f64, theirs: f64) {
    println!("  {what:28}{ours:>10.2}{theirs:>10.2}{:>8}", ratio(Some(ours), Some(theirs)));
}

fn cells(f: &Figures) -> String {
    let small = |x: Option<f64>, digits| x.map_or("-".into(), |x| format!("{x:.digits$}"));
    format!("{:>10.0}{:>9}{:>9}{:>9}", f.rate, small(f.p50, 2), small(f.p99, 2), small(f.cpu, 1))
}

fn ratio(ours: Option<f64>, theirs: Option<f64>) -> String {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if theirs > 0.0 => format!("{:.2}", ours / theirs),
        _ => "-".into(),
    }
}
