use crate::heart::quantity::{Format, Quantity};
use graded::graded;
use proptest::prelude::*;

fn quantity(text: &str) -> Quantity {
    Quantity::parse(text).unwrap_or_else(|error| panic!("{text:?} is a quantity, not: {error}"))
}

/// One line for each text: the exact amount in nano units, whole units and thousandths.
fn check(texts: &[&str]) -> String {
    let line = |text: &&str| match Quantity::parse(text) {
        Ok(quantity) => format!(
            "{text:?}: {} nanos, value {}, milli {}, {:?}\n",
            quantity.nanos(),
            quantity.value(),
            quantity.milli_value(),
            quantity.format(),
        ),
        Err(error) => format!("{text:?}: error: {error}\n"),
    };
    texts.iter().map(line).collect()
}

/// A manifest's author chooses the unit. The scheduler adds `250m` to `0.5` and compares the
/// sum with a node's `4`, so every notation must become one exact number.
#[graded]
fn every_suffix_has_its_factor() {
    insta::assert_snapshot!(check(&[
        "1n", "1u", "1m", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
        "1e3", "1E3", "1e-3", "1e+2", "12E", "250m", "64Mi", "0.1", ".5", "5.", "+7", "-7", "-1.5Gi", "0",
        "00", "0.0Ki", "-0",
    ]));
}

/// Whoever asks for something, however little, must get something: half a nano unit that
/// became nothing would be a container without a limit.
#[graded]
fn what_is_finer_than_a_nano_unit_is_rounded_away_from_zero() {
    insta::assert_snapshot!(check(&[
        "0.0000000001",
        "-0.0000000001",
        "1e-12",
        "0.1n",
        "1.0000000001Ki",
        "1.0000000001",
        "1.5n",
        "-1.5n",
        "0e-99999",
        "1e-99999",
    ]));
}

/// Upstream ends the binary family at 2⁶³-1, since bytes are counted in an int64. The other
/// families go on; `value` then stops at the ends of what an int64 can say.
#[graded]
fn binary_amounts_end_at_two_to_the_63_and_values_at_the_ends_of_an_int64() {
    insta::assert_snapshot!(check(&[
        "7Ei",
        "8Ei",
        "9Ei",
        "-8Ei",
        "7.9999999999999999999Ei",
        "99999999999999999999999999999999999999999Ki",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "10E",
        "1e28",
        "1e29",
        "1e30",
        "1e999999",
        "-1e40",
        "99999999999999999999999999999999999999999",
    ]));
}

/// Less than one byte has no binary suffix to be written with, so upstream calls it decimal
/// from the start. It matters when such an amount is the first of a sum.
#[graded]
fn a_binary_amount_below_one_is_decimal() {
    for (text, format) in [
        ("0.0001Ki", Format::DecimalSi),
        ("-0.0001Ki", Format::DecimalSi),
        ("0.0009765624Ki", Format::DecimalSi),
        ("0.0009765625Ki", Format::BinarySi),
        ("0.001Ki", Format::BinarySi),
        ("0Ki", Format::BinarySi),
        ("1Ki", Format::BinarySi),
        ("0.0001e3", Format::DecimalExponent),
        ("0.5", Format::DecimalSi),
    ] {
        assert_eq!(quantity(text).format(), format, "the family of {text}");
    }
}

/// The two errors are told apart because a person mends them differently: one is no number
/// at all, the other has a unit that does not exist (`1K`, `1mi`).
#[graded]
fn what_is_no_quantity_is_refused() {
    insta::assert_snapshot!(check(&[
        "",
        " 1",
        "1 ",
        "1.2.3",
        "abc",
        "1i",
        "1mi",
        "1K",
        "1KI",
        "1e",
        "1E+",
        "1e1.5",
        "1e1e1",
        "1Ee3",
        "n3",
        "--1",
        "+-1",
        "1Mi2",
        "1-2",
        "0x10",
        "1_000",
        "1,5",
        "١",
        "1e99999999999999999999",
    ]));
}

/// Upstream's scanner is laxer than the regular expression that its error names: where no
/// digit stands the amount is zero. Manifests exist that rely on less.
#[graded]
fn no_digits_are_zero() {
    for text in ["-", "+", ".", "-.", "Mi", "m", "k", "e3", "-Ki"] {
        assert!(quantity(text).is_zero(), "{text:?} is zero");
    }
    assert!(!quantity("1n").is_zero() && !quantity("-1n").is_zero());
}

/// Memory is counted in whole bytes and cpu in thousandths. Half a byte needs a byte: a
/// scheduler that counts too little puts one pod too many on a node.
#[graded]
fn parts_of_a_unit_round_away_from_zero() {
    for (text, value, milli) in [
        ("1500m", 2, 1500),
        ("-1500m", -2, -1500),
        ("1u", 1, 1),
        ("-1u", -1, -1),
        ("1001u", 1, 2),
        ("0", 0, 0),
        ("3", 3, 3000),
        ("-3", -3, -3000),
    ] {
        let quantity = quantity(text);
        assert_eq!(quantity.value(), value, "{text} in whole units");
        assert_eq!(quantity.milli_value(), milli, "{text} in thousandths");
    }
}

/// `1` and `1000m` are one amount, and a map or a set must find one under the other.
#[graded]
fn equal_amounts_are_equal_in_every_notation() {
    use std::collections::HashSet;
    let one = ["1", "1000m", "1e0", "0.001k", "1000000000n", "1.0", "+1"];
    let distinct: HashSet<Quantity> = one.iter().map(|text| quantity(text)).collect();
    assert_eq!(distinct.len(), 1, "{distinct:?}");
    assert_eq!(quantity("1Ki"), quantity("1024"));
    assert!(quantity("1Ki") > quantity("1k") && quantity("-1Ki") < quantity("-1k"));
    assert!(quantity("-1n").is_negative() && !quantity("0").is_negative() && !quantity("1n").is_negative());
    assert_ne!(quantity("1"), quantity("1.000000001"));
}

/// Typed objects hold quantities as texts. Components turn them into amounts and back.
#[graded]
fn amounts_come_out_of_typed_objects_and_go_back() {
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
    assert_eq!(Quantity::try_from(&ApiQuantity("1.5Gi".to_owned())), Ok(quantity("1536Mi")));
    assert!(Quantity::try_from(&ApiQuantity("much".to_owned())).is_err());
    assert_eq!("250m".parse(), Ok(quantity("0.25")));
    assert_eq!(Quantity::from_value(3), quantity("3"));
    assert_eq!(Quantity::from_milli(-250), quantity("-0.25"));
    assert_eq!(-quantity("3"), quantity("-3"));
}

/// A text, its amount as an exact fraction, computed another way, and whether it is binary.
fn any_text() -> impl Strategy<Value = (String, i128, i128, bool)> {
    let suffixes = [
        ("n", 1i128, 1_000_000_000i128),
        ("u", 1, 1_000_000),
        ("m", 1, 1000),
        ("", 1, 1),
        ("k", 1000, 1),
        ("M", 1_000_000, 1),
        ("G", 1_000_000_000, 1),
        ("T", 1_000_000_000_000, 1),
        ("P", 1_000_000_000_000_000, 1),
        ("E", 1_000_000_000_000_000_000, 1),
        ("Ki", 1 << 10, 1),
        ("Mi", 1 << 20, 1),
        ("Gi", 1 << 30, 1),
        ("Ti", 1 << 40, 1),
        ("Pi", 1 << 50, 1),
        ("Ei", 1 << 60, 1),
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
            (format!("{sign}{whole}{point}{places}{suffix}"), number, tens * by, suffix.ends_with('i'))
        })
}

/// The fraction in nano units, rounded away from zero, a binary one cut.
fn model((_, number, by, binary): &(String, i128, i128, bool)) -> i128 {
    let nanos = number * 1_000_000_000;
    let rounded = nanos.div_euclid(*by) + i128::from(nanos.rem_euclid(*by) != 0 && *number > 0);
    let most = if *binary { i128::from(i64::MAX) * 1_000_000_000 } else { i128::MAX };
    rounded.clamp(-most, most)
}

proptest! {
    /// The second oracle: fractions of whole numbers, which know neither rounding nor suffixes.
    #[graded]
    fn amounts_and_their_order_are_those_of_exact_fractions(a in any_text(), b in any_text()) {
        let (x, y) = (quantity(&a.0), quantity(&b.0));
        prop_assert_eq!(x.nanos(), model(&a), "{}", a.0);
        prop_assert_eq!(x.cmp(&y), model(&a).cmp(&model(&b)), "{} against {}", a.0, b.0);
        prop_assert_eq!(x == y, model(&a) == model(&b), "{} and {}", a.0, b.0);
    }

    /// A quota adds thousands of requests up and takes them away again: nothing may be left.
    #[graded]
    fn sums_are_exact_and_differences_undo_them(a in any_text(), b in any_text()) {
        let (x, y) = (quantity(&a.0), quantity(&b.0));
        prop_assert_eq!((x + y).nanos(), x.nanos() + y.nanos());
        prop_assert_eq!((x - y).nanos(), x.nanos() - y.nanos());
        prop_assert_eq!(x + y - y, x);
        prop_assert_eq!(x + y, y + x);
        prop_assert_eq!([x, y, x].into_iter().sum::<Quantity>(), x + y + x);
    }

    /// A manifest comes from outside. Whatever stands in it, the API server answers.
    #[graded]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,12}|[+-]?[0-9.]{0,45}[eEinumkKMGTP]{0,3}[-+]?[0-9]{0,12}") {
        if let Ok(quantity) = Quantity::parse(&text) {
            let _ = (quantity.value(), quantity.milli_value());
        }
    }
}
