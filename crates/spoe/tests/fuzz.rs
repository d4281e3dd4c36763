//! The fuzz targets' oracles over their corpus, over everything a corpus file becomes when cut or changed in a byte, and over
//! random bytes.

#[path = "../../../fuzz/src/oracles/spoe.rs"]
#[allow(unreachable_pub, reason = "public where the fuzz targets use it")]
mod oracles;

use std::path::Path;

use proptest::prelude::*;

type Oracle = fn(&[u8]);

const ORACLES: [(&str, Oracle); 11] = [
    ("frame", oracles::frame),
    ("haproxy_hello", oracles::haproxy_hello),
    ("agent_hello", oracles::agent_hello),
    ("disconnect", oracles::disconnect),
    ("notify", oracles::notify),
    ("unset", oracles::unset),
    ("ack", oracles::ack),
    ("typed_data", oracles::typed_data),
    ("health_check", oracles::health_check),
    ("haproxy_end", oracles::haproxy_end),
    ("agent_end", oracles::agent_end),
];

#[test]
fn every_oracle_holds_for_its_corpus_whole_cut_and_changed() {
    for (name, oracle) in ORACLES {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(format!("spoe_{name}"));
        let mut files: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{}", folder.display());
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            oracle(&bytes);
            for at in 0..bytes.len().min(300) {
                oracle(&bytes[..at]);
                for change in [0x01, 0x80, 0xff] {
                    let mut changed = bytes.clone();
                    changed[at] ^= change;
                    oracle(&changed);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_oracle_holds_for_random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for (_, oracle) in ORACLES {
            oracle(&bytes);
        }
    }

    #[test]
    fn both_ends_bear_random_steps(
        steps in proptest::collection::vec(prop_oneof![3 => 0x23u8..0x24, 9 => (0u8..32).prop_map(|n| n << 3 | 4),
            3 => (0u8..32).prop_map(|n| n << 3 | 5), 3 => (0u8..32).prop_map(|n| n << 3 | 6), 3 => any::<u8>()], 0..120),
    ) {
        oracles::haproxy_end(&[&[0x23], &steps[..]].concat());
        oracles::agent_end(&[&[0x23], &steps[..]].concat());
    }
}
