//! Integers and sizes as configurations write them.
//!
//! Source: configuration.txt section 2.6.

/// A plain integer, all digits.
pub(super) fn integer(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// An integer with an optional sign.
pub(super) fn signed(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    integer(digits)?;
    text.parse().ok()
}

/// A number of connections and the like.
pub(super) fn count(text: &str) -> Option<usize> {
    integer(text).and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= COUNT_MAX)
}

/// Bytes, with an optional `k`, `m` or `g`.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, factor) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1 << 10),
        b'm' | b'M' => (&text[..text.len() - 1], 1 << 20),
        b'g' | b'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    integer(number)?.checked_mul(factor)
}

/// A file mode in octal.
pub(super) fn mode(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return None;
    }
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777)
}

/// HAProxy counts in C's int.
const COUNT_MAX: usize = i32::MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_or_refused() {
        assert_eq!(integer("12"), Some(12));
        for bad in ["", "+1", "-1", "1x", " 1", "99999999999999999999999"] {
            assert_eq!(integer(bad), None, "{bad}");
        }
        assert_eq!(signed("-5"), Some(-5));
        assert_eq!(signed("+-5"), None);
        assert_eq!(size("4k"), Some(4096));
        assert_eq!(size("1G"), Some(1 << 30));
        for bad in ["", "k", "1kk", "1.5k", "99999999999g", "é"] {
            assert_eq!(size(bad), None, "{bad}");
        }
        assert_eq!(mode("660"), Some(0o660));
        assert_eq!(mode("9"), None);
        assert_eq!(count("4294967296"), None);
    }
}
