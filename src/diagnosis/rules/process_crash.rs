//! A program of inference crashed in native code.

use super::line::{Heard, Kept, LINES, LineRule, quiet, sentences};
use crate::diagnosis::lines::What;
use crate::diagnosis::{Bench, Conclusion, Entry, Page};
use crate::schema::{Action, Severity};

/// What the family knows of this rule.
pub(super) static RULE: Entry = Entry {
    name: "process_crash",
    summary: "A program of inference crashed in native code.",
    page: Page {
        concludes: "The kernel ended a process for an access to memory that it may not \
                touch, and the process or the library in which it happened belongs to \
                inference.",
        matters: "It is how an engine dies whose log says nothing: in a collective \
                operation, in the driver's library, in a kernel's launch.",
        needs: "The kernel's own line about the fault, with the library's name.",
        silent: "For crashes of other programs.",
        remedy: "Keep a core dump, compare the versions of library and driver, and look \
                for a fault of a device just before.",
    },
    settings: &[quiet(3600.0)],
    wants: LINES,
    consequence_of: &[],
    follows_driver: false,
    open: || LineRule::open(judge),
};

fn judge(heard: &Heard<'_>, kept: &mut Kept, bench: &mut Bench<'_>) {
    let (name, library) = (heard.seen.process_name, heard.seen.name);
    let of_inference = PROGRAMS.iter().any(|of| name.contains(of))
        || LIBRARIES.iter().any(|of| library.starts_with(of));
    if heard.seen.what != What::Segfault || !of_inference {
        return;
    }
    let process = heard.seen.process.unwrap_or_default();
    let place = if library.is_empty() { String::new() } else { format!(" in {library}") };
    let node = bench.node();
    heard.raise(kept, bench, node, &format!("{name} {library}"), || Conclusion {
        severity: Severity::Error,
        text: format!("{name} ({process}) crashed{place}."),
        cause: "A defect of the program or the library, versions that do not fit together, or a \
                device that failed under it."
            .into(),
        confidence: 0.85,
        action: Action::RestartApplication,
        steps: sentences(&[
            "See whether the engine came back.",
            "Look for a fault of a device or for want of memory just before.",
            "Keep a core dump of the next crash, and compare the versions of the library and of \
             the driver with those that are known to fit.",
        ]),
        ..Conclusion::default()
    });
}

/// Programs of inference, by a part of their names.
const PROGRAMS: [&str; 7] = ["python", "vllm", "VLLM", "sglang", "trtllm", "tritonserver", "ray::"];

/// Their libraries, by the start of their names.
const LIBRARIES: [&str; 10] = [
    "libnccl",
    "libcu",
    "libnv",
    "libascend",
    "libhccl",
    "libtorch",
    "libc10",
    "librccl",
    "libucp",
    "libucs",
];

#[cfg(test)]
mod tests {
    use crate::diagnosis::rules::trial::Trial;
    use crate::schema::Trust;

    const CRASH: &str = "python[2254956]: segfault at 7f797fe00000 ip 00007f7c7ac69996 sp 00007f7c12fd7c30 error 4 in libnccl.so.2[7f7c7ac00000+1000000]";

    #[test]
    fn a_crash_in_a_library_of_inference_is_told() {
        let mut trial = Trial::new();
        trial.line(CRASH);
        assert_eq!(trial.judged(), ["process_crash node1 error: restart application"]);
    }

    #[test]
    fn other_programs_and_words_of_others_are_no_trouble() {
        let mut trial = Trial::new();
        trial.line("sshd[12]: segfault at 0 ip 0 sp 0 error 4 in libc.so.6[7f+1]");
        trial.line_of(CRASH, 1, Trust::Claimed);
        assert_eq!(trial.judged(), [""; 0]);
    }
}
