//! Hashes, with the results that other HAProxy-compatible software gets for the same input.
//!
//! Those of 32 bits may be spread over the whole range by [`avalanche`].

use super::{Row, bytes};
use crate::{
    sample::{
        Arg, Sample,
        SampleType::{Bin, Int},
        args::{ArgKind, Args},
    },
    txn::Txn,
};

pub(super) const ROWS: &[Row] = &[
    Row::new("crc32", Bin, Int, |_, v, a| spread(crc(&bytes(v), CRC32), a)).args(0, &[ArgKind::Int]),
    Row::new("crc32c", Bin, Int, |_, v, a| spread(crc(&bytes(v), CRC32C), a)).args(0, &[ArgKind::Int]),
    Row::new("djb2", Bin, Int, |_, v, a| spread(djb2(&bytes(v)), a)).args(0, &[ArgKind::Int]),
    Row::new("sdbm", Bin, Int, |_, v, a| spread(sdbm(&bytes(v)), a)).args(0, &[ArgKind::Int]),
    Row::new("wt6", Bin, Int, |_, v, a| spread(wt6(&bytes(v)), a)).args(0, &[ArgKind::Int]),
    Row::new("xxh32", Bin, Int, |_, v, a| {
        let seed = u32::try_from(a.int_at(0).unwrap_or(0) & 0xffff_ffff).unwrap_or(0);
        Some(Sample::Int(xxhash_rust::xxh32::xxh32(&bytes(v), seed).into()))
    })
    .args(0, &[ArgKind::Int]),
    Row::new("xxh64", Bin, Int, |_, v, a| wide(v, a, xxhash_rust::xxh64::xxh64)).args(0, &[ArgKind::Int]),
    Row::new("xxh3", Bin, Int, |_, v, a| wide(v, a, xxhash_rust::xxh3::xxh3_64_with_seed))
        .args(0, &[ArgKind::Int]),
    Row::new("sha1", Bin, Bin, |_: &mut Txn, v, _| {
        use sha1::Digest;
        Some(Sample::Bin(sha1::Sha1::digest(bytes(v)).to_vec()))
    }),
    Row::new("sha2", Bin, Bin, |_, v, a| Some(Sample::Bin(sha2(&bytes(v), a.int_at(0).unwrap_or(256)))))
        .args(0, &[ArgKind::Int])
        .check(|args| match args.as_slice().int_at(0) {
            None | Some(224 | 256 | 384 | 512) => Ok(()),
            Some(bits) => Err(format!("Unsupported number of bits: '{bits}'")),
        }),
];

fn spread(hash: u32, args: &[Arg]) -> Option<Sample> {
    let hash = if args.int_at(0) == Some(1) { avalanche(hash) } else { hash };
    Some(Sample::Int(hash.into()))
}

fn wide(value: Sample, args: &[Arg], hash: fn(&[u8], u64) -> u64) -> Option<Sample> {
    let seed = args.int_at(0).unwrap_or(0).cast_unsigned();
    Some(Sample::Int(hash(&bytes(value), seed).cast_signed()))
}

/// Spreads a hash over all 32 bits: Bob Jenkins' integer hash, times a prime near 3/4 of the range.
pub(crate) fn avalanche(hash: u32) -> u32 {
    let mut a = hash;
    a = a.wrapping_add(0x7ed5_5d16).wrapping_add(a << 12);
    a = (a ^ 0xc761_c23c) ^ (a >> 19);
    a = a.wrapping_add(0x1656_67b1).wrapping_add(a << 5);
    a = a.wrapping_add(0xd3a2_646c) ^ (a << 9);
    a = a.wrapping_add(0xfd70_46c5).wrapping_add(a << 3);
    a = (a ^ 0xb55a_4f09) ^ (a >> 16);
    a.wrapping_mul(3_221_225_473)
}

/// D. J. Bernstein's hash, additive form.
pub(crate) fn djb2(bytes: &[u8]) -> u32 {
    bytes.iter().fold(5381_u32, |hash, b| hash.wrapping_mul(33).wrapping_add(u32::from(*b)))
}

/// The hash of the sdbm library.
pub(crate) fn sdbm(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0_u32, |hash, b| hash.wrapping_mul(65599).wrapping_add(u32::from(*b)))
}

/// Two words that rotate into each other by amounts they choose themselves.
pub(crate) fn wt6(bytes: &[u8]) -> u32 {
    let (mut high, mut low) = (0xa53c_965a_u32, 0x5ca6_953a_u32);
    let (mut first, mut second) = (6, 18);
    for byte in bytes {
        let byte = u32::from(*byte);
        let mixed = !(high ^ byte);
        let added = !low.wrapping_add(byte);
        high = added.rotate_left(first);
        low = mixed.rotate_left(second);
        let steps = ((high >> 16) ^ low) & 0xffff;
        first = steps & 31;
        second = steps >> 11;
    }
    high ^ low
}

/// A reflected CRC of 32 bits with that polynomial.
pub(crate) fn crc(bytes: &[u8], polynomial: u32) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ polynomial } else { crc >> 1 }
            },
        )
    })
}

fn sha2(bytes: &[u8], bits: i64) -> Vec<u8> {
    use sha2::Digest;
    match bits {
        224 => sha2::Sha224::digest(bytes).to_vec(),
        384 => sha2::Sha384::digest(bytes).to_vec(),
        512 => sha2::Sha512::digest(bytes).to_vec(),
        _ => sha2::Sha256::digest(bytes).to_vec(),
    }
}

/// Polynomial of Ethernet, gzip and PNG.
pub(crate) const CRC32: u32 = 0xedb8_8320;
/// Castagnoli's polynomial.
const CRC32C: u32 = 0x82f6_3b78;
