use crate::heart::quantity::Quantity;
use graded::graded;
use proptest::prelude::*;

/// One line for each text: the exact amount in nano units, whole units and thousandths.
fn check(texts: &[&str]) -> String {
    let line = |text: &&str| match Quantity::parse(text) {
        Ok(quantity) => format!(
            "{text:?}: {} nanos, value {}, milli {}\n",
            quantity.nanos(),
            quantity.value(),
            quantity.milli_value()
        ),
        Err(error) => format!("{text:?}: error: {error}\n"),
    };
    texts.iter().map(line).collect()
}

#[graded]
fn every_suffix_has_its_factor() {
    insta::assert_snapshot!(check(&[
        "1n", "1u", "1m", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
        "1e3", "1E3", "1e-3", "1e+2", "12E", "250m", "64Mi", "0.1", ".5", "5.", "+7", "-7", "-1.5Gi", "0",
        "00", "0.0Ki",
    ]));
}

#[graded]
fn what_is_finer_than_a_nano_unit_is_rounded_away_from_zero() {
    insta::assert_snapshot!(check(&[
        "0.0000000001",
        "-0.0000000001",
        "1e-12",
        "0.1n",
        "1.0000000001Ki",
        "1.5n",
        "0e-99999"
    ]));
}

#[graded]
fn what_is_larger_than_i64_is_cut_down_to_it() {
    insta::assert_snapshot!(check(&[
        "9223372036854775807",
        "9223372036854775808",
        "10E",
        "8Ei",
        "-8Ei",
        "1e40",
        "1e999999",
        "99999999999999999999999999999999999999999"
    ]));
}

#[graded]
fn what_is_no_quantity_is_refused() {
    insta::assert_snapshot!(check(&[
        "",
        " 1",
        "1 ",
        "+",
        "-",
        ".",
        "1.2.3",
        "abc",
        "1i",
        "1mi",
        "1K",
        "1KI",
        "1e",
        "1e1.5",
        "--1",
        "1Mi2",
        "0x10",
        "١",
        "1e99999999999999999999",
    ]));
}

#[graded]
fn halves_round_away_from_zero_in_whole_units() {
    // Half a byte of memory needs a byte: the scheduler must never count too little.
    for (text, value, milli) in [("1500m", 2, 1500), ("-1500m", -2, -1500), ("1u", 1, 1), ("0", 0, 0)] {
        let quantity = Quantity::parse(text).expect("a quantity");
        assert_eq!(quantity.value(), value, "{text} in whole units");
        assert_eq!(quantity.milli_value(), milli, "{text} in thousandths");
    }
}

/// A text, and its amount as an exact fraction, computed another way.
fn any_text() -> impl Strategy<Value = (String, i128, i128)> {
    let suffixes = [
        ("n", 1i128, 1_000_000_000i128),
        ("u", 1, 1_000_000),
        ("m", 1, 1000),
        ("", 1, 1),
        ("k", 1000, 1),
        ("M", 1_000_000, 1),
        ("G", 1_000_000_000, 1),
        ("T", 1_000_000_000_000, 1),
        ("Ki", 1 << 10, 1),
        ("Mi", 1 << 20, 1),
        ("Gi", 1 << 30, 1),
        ("Ti", 1 << 40, 1),
        ("e4", 10_000, 1),
        ("E-2", 1, 100),
    ];
    (
        any::<bool>(),
        0..10_000i128,
        prop::collection::vec(0..10u8, 0..5),
        prop::sample::select(suffixes.to_vec()),
    )
        .prop_map(|(negative, whole, fraction, (suffix, times, by))| {
            let places: String = fraction.iter().map(|digit| char::from(b'0' + digit)).collect();
            let point = if places.is_empty() { "" } else { "." };
            let sign = if negative { "-" } else { "" };
            let tens = 10i128.pow(places.len() as u32);
            let digits = whole * tens + places.parse::<i128>().unwrap_or(0);
            let number = digits * times * if negative { -1 } else { 1 };
            (format!("{sign}{whole}{point}{places}{suffix}"), number, tens * by)
        })
}

/// The fraction in nano units, rounded away from zero.
fn model((number, by): (i128, i128)) -> i128 {
    let nanos = number * 1_000_000_000;
    nanos.div_euclid(by) + i128::from(nanos.rem_euclid(by) != 0 && number > 0)
}

proptest! {
    #[graded]
    fn amounts_and_their_order_are_those_of_exact_fractions(a in any_text(), b in any_text()) {
        let (x, y) = (Quantity::parse(&a.0).expect("valid"), Quantity::parse(&b.0).expect("valid"));
        prop_assert_eq!(x.nanos(), model((a.1, a.2)), "{}", a.0);
        // Where nothing is finer than a nano unit the fractions themselves compare.
        if a.1 * 1_000_000_000 % a.2 == 0 && b.1 * 1_000_000_000 % b.2 == 0 {
            prop_assert_eq!(x.cmp(&y), (a.1 * b.2).cmp(&(b.1 * a.2)), "{} against {}", a.0, b.0);
        }
    }

    #[graded]
    fn sums_are_exact_and_differences_undo_them(a in any_text(), b in any_text()) {
        let (x, y) = (Quantity::parse(&a.0).expect("valid"), Quantity::parse(&b.0).expect("valid"));
        prop_assert_eq!((x + y).nanos(), x.nanos() + y.nanos());
        prop_assert_eq!(x + y - y, x);
        prop_assert_eq!(x + y, y + x);
    }

    #[graded]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,12}|[+-]?[0-9.]{0,45}[eEinumkKMGTP]{0,3}[-+]?[0-9]{0,12}") {
        let _ = Quantity::parse(&text);
    }
}
