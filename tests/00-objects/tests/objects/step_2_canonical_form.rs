use crate::heart::quantity::Quantity;
use graded::graded;
use proptest::prelude::*;

fn check(texts: &[&str]) -> String {
    let line = |text: &&str| format!("{text} -> {}\n", Quantity::parse(text).expect("a quantity"));
    texts.iter().map(line).collect()
}

#[graded]
fn the_largest_suffix_that_keeps_the_number_whole_is_chosen() {
    insta::assert_snapshot!(check(&[
        "0.1",
        "1.5",
        "1000m",
        "1500m",
        "100000000n",
        "12000",
        "1200",
        "1e3",
        "1e1",
        "1500e-3",
        "1e18",
        "1.5Gi",
        "1024Ki",
        "1000Ki",
        "2048Mi",
        "0.5Mi",
        "-64Mi",
        "-0.25",
        "8Ei",
    ]));
}

#[graded]
fn binary_suffixes_are_left_below_1024_and_for_fractions() {
    insta::assert_snapshot!(check(&[
        "0.5Ki",
        "0.999Ki",
        "0.9765625Ki",
        "1Ki",
        "1.5Ki",
        "1.0001Ki",
        "0Ki",
        "-0.5Ki"
    ]));
}

#[graded]
fn a_sum_keeps_the_left_notation_unless_it_is_zero() {
    let sum = |a: &str, b: &str| {
        let (a, b) = (Quantity::parse(a).expect("valid"), Quantity::parse(b).expect("valid"));
        (a + b).to_string()
    };
    assert_eq!(sum("1Gi", "1G"), "2073741824");
    assert_eq!(sum("1Gi", "1Gi"), "2Gi");
    assert_eq!(sum("0", "1Gi"), "1Gi");
    assert_eq!(sum("1k", "24"), "1024");
}

/// Suffixes from small to large with their factors in nano units.
const DECIMAL: [(&str, i128); 10] = [
    ("n", 1),
    ("u", 1_000),
    ("m", 1_000_000),
    ("", 1_000_000_000),
    ("k", 1_000_000_000_000),
    ("M", 10i128.pow(15)),
    ("G", 10i128.pow(18)),
    ("T", 10i128.pow(21)),
    ("P", 10i128.pow(24)),
    ("E", 10i128.pow(27)),
];

proptest! {
    #[graded]
    fn the_canonical_form_is_a_fixed_point_of_equal_value(
        text in "-?[0-9]{1,7}(\\.[0-9]{1,6})?(n|u|m||k|M|G|T|P|Ki|Mi|Gi|Ti|e3|E-4)"
    ) {
        let quantity = Quantity::parse(&text).expect("valid");
        let printed = quantity.to_string();
        let again = Quantity::parse(&printed).expect("what is printed can be read");
        prop_assert_eq!(again, quantity, "{} printed as {}", text, printed);
        prop_assert_eq!(again.to_string(), printed.clone(), "printed twice");
        prop_assert!(!printed.contains('.'), "{} has a point", printed);
    }

    #[graded]
    fn a_decimal_form_has_the_largest_suffix_that_divides(number in 1..1_000_000i128, unit in 0..6usize) {
        let nanos = number * DECIMAL[unit].1;
        let printed = Quantity::parse(&format!("{number}{}", DECIMAL[unit].0)).expect("valid").to_string();
        let (suffix, factor) = DECIMAL.iter().rev().find(|(_, factor)| nanos % factor == 0).expect("n divides all");
        prop_assert_eq!(printed, format!("{}{suffix}", nanos / factor));
    }
}
