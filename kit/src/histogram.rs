//! Who answered how often.

use std::collections::BTreeMap;

/// Counts the answers by which of `names` each contains; what contains none counts for itself.
pub fn count<'a>(answers: &'a str, names: &[&'a str]) -> BTreeMap<&'a str, usize> {
    let mut counts: BTreeMap<&str, usize> = names.iter().map(|name| (*name, 0)).collect();
    for answer in answers.lines().filter(|line| !line.trim().is_empty()) {
        let name = names.iter().find(|name| answer.contains(**name)).copied();
        *counts.entry(name.unwrap_or(answer)).or_default() += 1;
    }
    counts
}

/// One line each: the label, a bar, the number.
pub fn bars(counts: &[(String, usize)]) -> String {
    const WIDTH: usize = 30;
    let widest = counts.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let line = |(label, count): &(String, usize)| {
        let bar = "█".repeat((count * WIDTH).div_ceil(most));
        format!("{label:<widest$}  {bar} {count}\n")
    };
    counts.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_the_name_in_them() {
        let counts =
            count("hello from web-a\nweb-b: GET /\n\nhello from web-a\nodd\n", &["web-a", "web-b", "web-c"]);
        assert_eq!(counts, BTreeMap::from([("web-a", 2), ("web-b", 1), ("web-c", 0), ("odd", 1)]));
    }

    #[test]
    fn the_longest_bar_is_the_most_and_none_is_nothing() {
        let text = bars(&[("a".into(), 3), ("long".into(), 1), ("none".into(), 0)]);
        let lengths: Vec<usize> = text.lines().map(|line| line.matches('█').count()).collect();
        assert_eq!(lengths, [30, 10, 0]);
        assert!(text.starts_with("a     █"), "{text}");
    }
}
