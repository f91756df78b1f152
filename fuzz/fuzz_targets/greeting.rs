//! The first message on the agent's socket: only a greeting of this layout is
//! believed, and its kind is the one that was said.

#![no_main]

use eagle_eye::schema::Greeting;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let said = Greeting::read(bytes);
    if let Some(kind) = said {
        assert!(bytes.len() >= Greeting::BYTES);
        assert_eq!(bytes[..4], Greeting::MAGIC);
        assert_eq!(bytes[4..8], [kind as u8, 0, 1, 0], "kind and layout as written");
        let ours = Greeting::new(kind);
        assert_eq!(Greeting::read(bytemuck::bytes_of(&ours)), Some(kind));
    }
    // What follows a greeting (a sentence, nothing) does not change it.
    if let Some(greeting) = bytes.get(..Greeting::BYTES) {
        assert_eq!(Greeting::read(greeting), said);
    }
});
