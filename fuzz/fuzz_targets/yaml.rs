#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| clinic_phone_operator::fuzzing::yaml(data));
