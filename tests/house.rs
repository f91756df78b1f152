//! The laws of the house, held by plain tests.
//!
//! Each law is a function from text to findings; a finding is a sentence that
//! says what to do. Each law is shown to fail on a bad sample beside the test
//! that holds it against the repository.

#[path = "house/catalogues.rs"]
mod catalogues;
#[path = "house/code.rs"]
mod code;
#[path = "house/layouts.rs"]
mod layouts;
#[path = "house/markdown.rs"]
mod markdown;
#[cfg(feature = "agent")]
#[path = "house/pages.rs"]
mod pages;
#[cfg(feature = "agent")]
#[path = "house/rule_pages.rs"]
mod rule_pages;
#[path = "house/road.rs"]
mod road;
#[path = "house/rooms.rs"]
mod rooms;
#[path = "house/texts.rs"]
mod texts;
#[path = "house/tree.rs"]
mod tree;
#[path = "house/words.rs"]
mod words;

/// Fails with every finding at once.
fn hold(law: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{law}:\n  {}", findings.join("\n  "));
}

/// Fails unless the law finds exactly this in a bad sample.
fn catches(findings: &[String], parts: &[&str]) {
    assert_eq!(findings.len(), parts.len(), "found {findings:#?}, not {parts:#?}");
    for (finding, part) in findings.iter().zip(parts) {
        assert!(finding.contains(part), "{finding:?} does not say {part:?}");
    }
}
