use crate::heart::quantity::{Format, Quantity};
use graded::graded;
use proptest::prelude::*;

fn quantity(text: &str) -> Quantity {
    Quantity::parse(text).unwrap_or_else(|error| panic!("{text:?} is a quantity, not: {error}"))
}

fn check(texts: &[&str]) -> String {
    texts.iter().map(|text| format!("{text} -> {}\n", quantity(text))).collect()
}

/// Equal specs must be equal texts once they are stored, or a controller that compares them
/// would see a change for ever. So there is one form of each amount in each family.
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
        "1.5Gi",
        "1024Ki",
        "1000Ki",
        "2048Mi",
        "0.5Mi",
        "-64Mi",
        "-0.25",
        "1024Pi",
        "4Ei",
        "8Ei",
        "1000P",
        "5.",
        "+7",
    ]));
}

/// Whoever writes exponents gets exponents back, in steps of three. There is no largest one.
#[graded]
fn exponents_are_multiples_of_three() {
    insta::assert_snapshot!(check(&[
        "1e3", "1E3", "1e1", "1e2", "1e-1", "1500e-3", "1e0", "12e6", "1e18", "1e21", "1e22", "-2e4", "1e-9",
        "5e-7"
    ]));
}

/// `0.5Ki` is 512 bytes and not `0Ki`: nothing is rounded for the sake of a suffix.
#[graded]
fn binary_suffixes_are_left_below_1024_and_for_fractions() {
    insta::assert_snapshot!(check(&[
        "0.5Ki",
        "0.999Ki",
        "0.9765625Ki",
        "1023.5Ki",
        "1Ki",
        "1.5Ki",
        "1.0001Ki",
        "1.1Ei",
        "0.0001Ki",
        "-0.5Ki",
        "-1Ki",
        "-1.5Ki",
    ]));
}

/// Nothing has no unit. Upstream writes every zero so.
#[graded]
fn zero_is_one_digit_in_every_family() {
    for text in ["0", "00", "0Ki", "0m", "0e5", "-0", "0.000"] {
        assert_eq!(quantity(text).to_string(), "0", "{text}");
    }
}

/// Upstream drops the suffix of what is beyond exa (`1000E` is printed `1`), which reads back
/// as another amount. That breaks invariant 2, so ours keeps it.
#[graded]
fn the_largest_suffix_stays_when_the_number_grows() {
    assert_eq!(quantity("1000E").to_string(), "1000E");
    assert_eq!(quantity("100000000000E").to_string(), "100000000000E");
    let two_to_the_70 = quantity("1180591620717411303424").with_format(Format::BinarySi);
    assert_eq!(two_to_the_70.to_string(), "1024Ei");
}

/// A quota's `used` starts at zero and takes the notation of the first pod that is counted.
#[graded]
fn a_sum_keeps_the_left_notation_unless_it_is_zero() {
    let sum = |a: &str, b: &str| (quantity(a) + quantity(b)).to_string();
    assert_eq!(sum("1Gi", "1G"), "2073741824");
    assert_eq!(sum("1Gi", "1Gi"), "2Gi");
    assert_eq!(sum("1Gi", "1073741824"), "2Gi");
    assert_eq!(sum("1e3", "1k"), "2e3");
    assert_eq!(sum("0", "1Gi"), "1Gi");
    assert_eq!(sum("0Ki", "1k"), "1k");
    assert_eq!(sum("1k", "24"), "1024");
    assert_eq!(sum("1k", "1Ki"), "2024");
    assert_eq!(sum("1Ki", "1"), "1025");
    let difference = |a: &str, b: &str| (quantity(a) - quantity(b)).to_string();
    assert_eq!(difference("0", "1Gi"), "-1Gi");
    assert_eq!(difference("2Gi", "1024Mi"), "1Gi");
    assert_eq!(difference("1e3", "2"), "998");
    let mut used = quantity("1Gi");
    used += quantity("1Gi");
    used -= quantity("512Mi");
    assert_eq!(used.to_string(), "1536Mi");
}

/// A value that was computed is written in the family that its reader expects.
#[graded]
fn an_amount_can_change_its_family() {
    assert_eq!(Quantity::from_value(2048).with_format(Format::BinarySi).to_string(), "2Ki");
    assert_eq!(Quantity::from_value(2048).to_string(), "2048");
    assert_eq!(Quantity::from_milli(1500).to_string(), "1500m");
    assert_eq!(Quantity::from_milli(2000).to_string(), "2");
    assert_eq!(quantity("2Ki").with_format(Format::DecimalExponent).to_string(), "2048");
    assert_eq!(Quantity::ZERO.to_string(), "0");
    let typed = k8s_openapi::apimachinery::pkg::api::resource::Quantity::from(quantity("1.5Gi"));
    assert_eq!(typed.0, "1536Mi");
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
    /// Stored, read and stored again, an amount is the same, and so is its text.
    #[graded]
    fn the_canonical_form_is_a_fixed_point_of_equal_value(
        text in "-?[0-9]{1,7}(\\.[0-9]{1,6})?(n|u|m||k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|e3|E-4)"
    ) {
        let quantity = quantity(&text);
        let printed = quantity.to_string();
        let again = Quantity::parse(&printed).expect("what is printed can be read");
        prop_assert_eq!(again, quantity, "{} printed as {}", text, printed);
        prop_assert_eq!(again.to_string(), printed.clone(), "printed twice");
        prop_assert!(!printed.contains('.'), "{} has a point", printed);
    }

    /// The rule in its own words, tried with every suffix from the largest down.
    #[graded]
    fn a_decimal_form_has_the_largest_suffix_that_divides(number in 1..1_000_000i128, unit in 0..10usize) {
        let nanos = number * DECIMAL[unit].1;
        let printed = quantity(&format!("{number}{}", DECIMAL[unit].0)).to_string();
        let (suffix, factor) = DECIMAL.iter().rev().find(|(_, factor)| nanos % factor == 0).expect("n divides all");
        prop_assert_eq!(printed, format!("{}{suffix}", nanos / factor));
    }

    /// The same for powers of 1024.
    #[graded]
    fn a_binary_form_has_the_largest_suffix_that_divides(number in 1..1_000_000i128, unit in 0..5u32) {
        let names = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let units = number << (10 * unit);
        let printed = quantity(&format!("{number}{}", names[unit as usize])).with_format(Format::BinarySi).to_string();
        let step = (0..7).rev().find(|step| units % (1i128 << (10 * step)) == 0).expect("1 divides all");
        // Below 1024 the amount is written as a decimal one.
        let expected = match units {
            ..1024 => quantity(&units.to_string()).to_string(),
            _ => format!("{}{}", units >> (10 * step), names[step as usize]),
        };
        prop_assert_eq!(printed, expected);
    }
}
