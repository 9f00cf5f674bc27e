//! Any bytes, read as an answer by every family of job API: nothing may panic.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use plimsoll::wire::shapes::Families;

static FAMILIES: LazyLock<Families> = LazyLock::new(Families::new);

fuzz_target!(|message: &[u8]| {
    FAMILIES.read(message);
});
