//! The two text formats, and which of them a reader wants.

/// Which of the two text formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Prometheus text, version 0.0.4.
    Classic,
    /// OpenMetrics text, version 1.0.0.
    OpenMetrics,
}

impl Form {
    /// The header that says so.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The form that an `Accept` header asks for: OpenMetrics where it is named
    /// and not less wanted than plain text.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let mut wanted = [0.0_f32; 2];
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let at = match parts.next() {
                Some("application/openmetrics-text") => 0,
                Some("text/plain") => 1,
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
            wanted[at] = wanted[at].max(weight.unwrap_or(1.0));
        }
        let open = wanted[0] > 0.0 && wanted[0] >= wanted[1];
        if open { Self::OpenMetrics } else { Self::Classic }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_spoken_where_it_is_wanted() {
        for (accept, form) in [
            ("", Form::Classic),
            ("*/*", Form::Classic),
            ("text/plain", Form::Classic),
            ("application/openmetrics-text", Form::OpenMetrics),
            (
                "application/openmetrics-text;version=1.0.0,text/plain;q=0.5,*/*;q=0.1",
                Form::OpenMetrics,
            ),
            ("application/openmetrics-text;q=0.1, text/plain", Form::Classic),
            ("application/openmetrics-text;q=0", Form::Classic),
            ("application/openmetrics-text;q=much", Form::OpenMetrics),
        ] {
            assert_eq!(Form::accepted(accept), form, "{accept}");
        }
    }
}
