//! Servers that should be renewed.

/// What to say of a server that runs `version`, if anything.
///
/// Before 2.11.14 and 2.12.5 a client that has not even logged in can crash a
/// server or exhaust its memory (CVE-2026-27889, CVE-2026-27571). A version
/// that cannot be read is left alone.
pub(super) fn warning(version: &str) -> Option<String> {
    let mut parts = version.trim_start_matches('v').splitn(3, '.').map(|part| {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..digits].parse::<u32>().ok()
    });
    let numbers = (parts.next()??, parts.next()??, parts.next()??);
    let safe = match numbers {
        (2, 12, patch) => patch >= 5,
        other => other >= (2, 11, 14),
    };
    (!safe).then(|| {
        let shown: String = version.chars().take(32).collect();
        format!(
            "NATS server {shown} can be crashed before login: renew it to 2.11.14, 2.12.5 or later"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::warning;

    #[test]
    fn old_servers_are_told_apart() {
        let check = |version, warned| {
            assert_eq!(warning(version).is_some(), warned, "{version}");
        };
        check("2.15.1", false);
        check("2.12.5", false);
        check("2.12.4", true);
        check("2.12.5-RC.1", false);
        check("2.11.14", false);
        check("2.11.13", true);
        check("v2.11.13", true);
        check("2.9.10", true);
        check("1.4.1", true);
        check("3.0.0", false);
        check("", false);
        check("main", false);
        check("2.11", false);
        check("99999999999.1.1", false);
    }
}
