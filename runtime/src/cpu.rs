//! Whether this machine's processor can run an artifact.
//!
//! An artifact names the features that its code may use, by LLVM's names. A feature that this file does not
//! know is treated as missing: refusing is better than dying of an illegal instruction.

/// Architecture part of the target triples that this machine runs.
#[cfg(target_arch = "x86_64")]
pub(crate) const ARCHITECTURE: &str = "x86_64";

/// Features that LLVM never uses on its own in the code of WebAssembly functions: prefetching, cache control,
/// system instructions, or part of every x86-64.
#[cfg(target_arch = "x86_64")]
const HARMLESS: &[&str] = &[
    "64bit",
    "cldemote",
    "clflushopt",
    "clwb",
    "clzero",
    "cmov",
    "crc32",
    "cx8",
    "enqcmd",
    "fsgsbase",
    "fxsr",
    "hreset",
    "invpcid",
    "mmx",
    "movdir64b",
    "movdiri",
    "mwaitx",
    "pconfig",
    "pku",
    "prefetchi",
    "prfchw",
    "ptwrite",
    "rdpid",
    "rdpru",
    "sahf",
    "serialize",
    "sgx",
    "shstk",
    "sse",
    "sse2",
    "tsxldtrk",
    "uintr",
    "usermsr",
    "waitpkg",
    "wbnoinvd",
    "x87",
    "xsave",
    "xsavec",
    "xsaveopt",
    "xsaves",
];

macro_rules! features {
    ($($llvm:literal $rust:tt,)*) => {
        /// Whether the processor has the feature with this LLVM name.
        #[cfg(target_arch = "x86_64")]
        fn has(feature: &str) -> bool {
            match feature {
                $($llvm => std::arch::is_x86_feature_detected!($rust),)*
                _ => HARMLESS.contains(&feature),
            }
        }
    };
}

features! {
    "adx" "adx",
    "aes" "aes",
    "avx" "avx",
    "avx2" "avx2",
    "avx512bf16" "avx512bf16",
    "avx512bitalg" "avx512bitalg",
    "avx512bw" "avx512bw",
    "avx512cd" "avx512cd",
    "avx512dq" "avx512dq",
    "avx512f" "avx512f",
    "avx512fp16" "avx512fp16",
    "avx512ifma" "avx512ifma",
    "avx512vbmi" "avx512vbmi",
    "avx512vbmi2" "avx512vbmi2",
    "avx512vl" "avx512vl",
    "avx512vnni" "avx512vnni",
    "avx512vp2intersect" "avx512vp2intersect",
    "avx512vpopcntdq" "avx512vpopcntdq",
    "avxifma" "avxifma",
    "avxneconvert" "avxneconvert",
    "avxvnni" "avxvnni",
    "avxvnniint16" "avxvnniint16",
    "avxvnniint8" "avxvnniint8",
    "bmi" "bmi1",
    "bmi2" "bmi2",
    "cx16" "cmpxchg16b",
    "f16c" "f16c",
    "fma" "fma",
    "gfni" "gfni",
    "lzcnt" "lzcnt",
    "movbe" "movbe",
    "pclmul" "pclmulqdq",
    "popcnt" "popcnt",
    "rdrnd" "rdrand",
    "rdseed" "rdseed",
    "rtm" "rtm",
    "sha" "sha",
    "sha512" "sha512",
    "sm3" "sm3",
    "sm4" "sm4",
    "sse3" "sse3",
    "sse4.1" "sse4.1",
    "sse4.2" "sse4.2",
    "sse4a" "sse4a",
    "ssse3" "ssse3",
    "tbm" "tbm",
    "vaes" "vaes",
    "vpclmulqdq" "vpclmulqdq",
}

/// The features of a list that this processor lacks. AVX-512 is lacking where it has no masks of 64 bits, as in the first
/// processors with it: gates would not preserve such masks ([`crate::thread::vectors`]).
pub(crate) fn missing(features: &[String]) -> Vec<String> {
    let lacks = |feature: &&String| !has(feature) || *feature == "avx512f" && !has("avx512bw");
    features.iter().filter(lacks).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_features_are_missing() {
        let features = ["sse2", "warp-drive"].map(str::to_owned);
        assert_eq!(missing(&features), ["warp-drive"]);
    }
}
