//! The variable-length integer of HAProxy's peers protocol, which SPOP uses for every number and length.
//!
//! Not LEB128: one byte below 240, otherwise four bits of the first byte and seven of each further one, each added *with* its
//! continuation bit. That makes the code a bijection: no value has two encodings.
//!
//! Source: SPOE.txt §3.1; `doc/peers-v2.0.txt` ("encoded integer").

use super::{DecodeError, DecodeErrorKind};

/// The most bytes a 64-bit value takes.
pub const LEN_MAX: usize = 10;

/// Appends `value`.
#[inline]
pub fn encode(value: u64, out: &mut Vec<u8>) {
    if value < 240 {
        out.push(value as u8);
    } else {
        encode_long(value, out);
    }
}

/// Appends a byte and `value`, at one look at the buffer's room if the value is small, as nearly all are.
#[inline]
pub(super) fn encode_tagged(tag: u8, value: u64, out: &mut Vec<u8>) {
    if value < 240 {
        out.extend_from_slice(&[tag, value as u8]);
    } else {
        out.push(tag);
        encode_long(value, out);
    }
}

/// How many bytes [`encode`] appends.
#[inline]
pub const fn encoded_len(value: u64) -> usize {
    if value < 240 {
        return 1;
    }
    let mut rest = (value - 240) >> 4;
    let mut len = 2;
    while rest >= 128 {
        rest = (rest - 128) >> 7;
        len += 1;
    }
    len
}

/// Reads one value from the start of `bytes`; gives it with the number of bytes it took.
///
/// # Errors
/// [`DecodeErrorKind::Truncated`] if it does not end in `bytes`, [`DecodeErrorKind::VarintOverflow`] beyond ten bytes or 64
/// bits (where HAProxy wraps silently).
#[inline]
pub fn decode(bytes: &[u8]) -> Result<(u64, usize), DecodeError> {
    match bytes.first() {
        Some(&first) if first < 240 => Ok((u64::from(first), 1)),
        Some(&first) => decode_long(first, bytes),
        None => Err(DecodeError::new(DecodeErrorKind::Truncated, 0)),
    }
}

fn encode_long(value: u64, out: &mut Vec<u8>) {
    let first = value as u8 | 0xf0;
    // Each further byte but the last takes seven bits, less the 128 that its continuation bit adds.
    let more = |rest: u64| (rest as u8 | 0x80, (rest - 128) >> 7);
    let a = (value - 240) >> 4;
    if a < 128 {
        return out.extend_from_slice(&[first, a as u8]);
    }
    let (second, b) = more(a);
    if b < 128 {
        return out.extend_from_slice(&[first, second, b as u8]);
    }
    let (third, c) = more(b);
    if c < 128 {
        return out.extend_from_slice(&[first, second, third, c as u8]);
    }
    let (fourth, d) = more(c);
    if d < 128 {
        return out.extend_from_slice(&[first, second, third, fourth, d as u8]);
    }
    let mut buf = [first, second, third, fourth, 0, 0, 0, 0, 0, 0];
    let (mut rest, mut len) = (d, 4);
    while rest >= 128 {
        (buf[len], rest) = more(rest);
        len += 1;
    }
    buf[len] = rest as u8;
    out.extend_from_slice(&buf[..=len]);
}

fn decode_long(first: u8, bytes: &[u8]) -> Result<(u64, usize), DecodeError> {
    let mut value = u64::from(first);
    let mut shift = 4u32;
    // Nine bytes fill 60 bits, so nothing can overflow before the tenth.
    let more = &bytes[1..bytes.len().min(LEN_MAX - 1)];
    let mut len = 1;
    for &byte in more {
        value += u64::from(byte) << shift;
        len += 1;
        if byte < 128 {
            return Ok((value, len));
        }
        shift += 7;
    }
    let at = LEN_MAX - 1;
    let Some(&byte) = bytes.get(at) else {
        return Err(DecodeError::new(DecodeErrorKind::Truncated, bytes.len()));
    };
    let last = (byte < 16).then(|| u64::from(byte) << shift).and_then(|part| value.checked_add(part));
    match last {
        Some(value) => Ok((value, LEN_MAX)),
        None => Err(DecodeError::new(DecodeErrorKind::VarintOverflow, at)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn boundary_values_have_haproxys_bytes() {
        for (value, wire) in [
            (0, "00"),
            (1, "01"),
            (239, "ef"),
            (240, "f000"),
            (241, "f100"),
            (255, "ff00"),
            (256, "f001"),
            (2287, "ff7f"),
            (2288, "f08000"),
            (2289, "f18000"),
            (16380, "fcf006"),
            (264_431, "ffff7f"),
            (264_432, "f0808000"),
            (33_818_863, "ffffff7f"),
            (33_818_864, "f080808000"),
            (4_328_786_159, "ffffffff7f"),
            (4_328_786_160, "f08080808000"),
            (2_147_483_647, "fff0fefe3e"),
            (2_147_483_648, "f0f1fefe3e"),
            (4_294_967_295, "fff0fefe7e"),
            (4_294_967_296, "f0f1fefe7e"),
            (i64::MAX as u64, "fff0fefefefefefefe06"),
            (i64::MIN as u64, "f0f1fefefefefefefe06"),
            (u64::MAX, "fff0fefefefefefefe0e"),
            (-5i64 as u64, "fbf0fefefefefefefe0e"),
        ] {
            let mut out = Vec::new();
            encode(value, &mut out);
            assert_eq!(hex(&out), wire, "{value}");
            assert_eq!(encoded_len(value), out.len(), "{value}");
            assert_eq!(decode(&out), Ok((value, out.len())), "{value}");
        }
    }

    #[test]
    fn values_beyond_64_bits_are_refused() {
        for wire in [
            &[0xf0, 0xf1, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0f][..],
            &[0xff; 11],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x10],
            &[0xf0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
        ] {
            assert_eq!(decode(wire).unwrap_err().kind, DecodeErrorKind::VarintOverflow, "{wire:02x?}");
        }
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(value: u64, tail: Vec<u8>) {
            let mut out = Vec::new();
            encode(value, &mut out);
            let len = out.len();
            prop_assert_eq!(encoded_len(value), len);
            for cut in 0..len {
                prop_assert_eq!(decode(&out[..cut]).unwrap_err().kind, DecodeErrorKind::Truncated);
            }
            out.extend_from_slice(&tail);
            prop_assert_eq!(decode(&out), Ok((value, len)));
        }

        #[test]
        fn what_decodes_has_that_one_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            if let Ok((value, len)) = decode(&bytes) {
                let mut out = Vec::new();
                encode(value, &mut out);
                prop_assert_eq!(&out[..], &bytes[..len]);
            }
        }
    }
}
