//! Numbers in a form that is easy to read.

/// A time in nanoseconds, with three significant digits.
pub(super) fn duration(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        // A value that would be rounded to 1000 of a unit is written as 1 of the next.
        n if n < 999.5 => return format!("{n:.0} ns"),
        n if n < 999.5e3 => (n / 1e3, "µs"),
        n if n < 999.5e6 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

/// A number with commas between thousands. A small number has decimals, if it has any.
pub(super) fn count(value: f64) -> String {
    if value < 100.0 && value.fract() != 0.0 {
        return three_digits(value);
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The same for a whole number.
pub(super) fn whole(value: u64) -> String {
    count(value as f64)
}

/// Bytes, with units that are powers of 1000, as is usual for networks.
pub(super) fn bytes(value: f64) -> String {
    match value {
        b if b < 999.5 => format!("{b:.0} B"),
        b if b < 999.5e3 => format!("{} kB", three_digits(b / 1e3)),
        b if b < 999.5e6 => format!("{} MB", three_digits(b / 1e6)),
        b => format!("{} GB", three_digits(b / 1e9)),
    }
}

/// A share, in per cent.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p == 0.0 || p >= 99.95 => format!("{p:.0} %"),
        p if p >= 10.0 => format!("{p:.1} %"),
        p if p >= 0.01 => format!("{p:.2} %"),
        _ => "<0.01 %".to_owned(),
    }
}

fn three_digits(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_the_unit_that_fits() {
        for (nanoseconds, text) in [
            (0.0, "0 ns"),
            (812.4, "812 ns"),
            (999.6, "1.00 µs"),
            (63_140.0, "63.1 µs"),
            (999_600.0, "1.00 ms"),
            (1_234_000.0, "1.23 ms"),
            (9_996_000.0, "10.0 ms"),
            (2.5e9, "2.50 s"),
            (1.2e11, "120 s"),
        ] {
            assert_eq!(duration(nanoseconds), text, "{nanoseconds}");
        }
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (value, text) in [
            (0.0, "0"),
            (7.25, "7.25"),
            (99.0, "99"),
            (999.9, "1,000"),
            (1234.0, "1,234"),
            (12_345_678.4, "12,345,678"),
        ] {
            assert_eq!(count(value), text, "{value}");
        }
    }

    #[test]
    fn shares_are_rounded_to_what_counts() {
        for (share, text) in [
            (0.0, "0 %"),
            (0.000_01, "<0.01 %"),
            (0.0004, "0.04 %"),
            (0.125, "12.5 %"),
            (0.9996, "100 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(percent(share), text, "{share}");
        }
    }
}
