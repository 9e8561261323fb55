//! Sizes on the command line: `65536`, `64K`, `4G`, `512MiB`. All units are powers of 1024.

/// Parses a size in bytes.
///
/// # Errors
///
/// A message when the text is no size or 64 bits do not hold it.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let log_unit = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err("expected a size such as 65536, 64K, 16M or 4G".into()),
    };
    let number: u64 = match number.parse() {
        Ok(number) => number,
        Err(_) if number.is_empty() => return Err("expected a size such as 65536, 64K, 16M or 4G".into()),
        Err(_) => return Err("the size is too large".into()),
    };
    number.checked_mul(1 << log_unit).ok_or_else(|| "the size is too large".into())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn units_are_powers_of_1024() {
        for (text, bytes) in
            [("0", 0), ("123", 123), ("4k", 4096), ("16MiB", 16 << 20), ("4G", 4 << 30), ("2 MB", 2 << 20)]
        {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "M", "-1", "1.5G", "4X", "4GG", "18446744073709551616", "99999999999T"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
