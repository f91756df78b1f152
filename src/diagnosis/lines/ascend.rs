//! Lines of Ascend's driver on the host, and of logs that devices copy there.
//!
//! Errors come as notices on plain builds and under facility 86 on those that
//! group logs, so that level and facility tell nothing.

use super::scan::{after, hex, hex_after, holds, number, number_after, small};
use super::{Detail, Sighting, What};

/// What a report of a fault says besides its code and device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AscendReport<'a> {
    /// By the driver's own scale, 0 to 3; 255 where it does not say.
    pub severity: u8,
    /// Whether the fault is over (`Some(true)`), or begins or happened.
    pub cleared: Option<bool>,
    /// The driver's number of the fault; 0 where there is none.
    pub serial: u64,
    /// The driver's number of this report; 0 where there is none.
    pub report: u64,
    /// When, by the device's clock, ms since 1970; 0 where it does not say.
    pub raised_ms: u64,
    /// What the driver says of it; may be empty.
    pub said: &'a str,
}

impl AscendReport<'_> {
    const NOTHING: Self =
        Self { severity: 255, cleared: None, serial: 0, report: 0, raised_ms: 0, said: "" };
}

/// Any line that these sources write.
pub(super) fn line(text: &str) -> Option<Sighting<'_>> {
    if let Some(rest) = text.strip_prefix("[ascend] ") {
        return driver(rest);
    }
    if let Some(rest) = text.strip_prefix("[WARN] switch fault [") {
        let (code, rest) = rest.split_once(']')?;
        let cleared = Some(holds(rest, "Deassertion") || holds(rest, "Recover"));
        let report = AscendReport { cleared, said: code, ..AscendReport::NOTHING };
        let detail = Detail::Ascend(report);
        return Some(Sighting { name: code, detail, ..Sighting::of(What::AscendSwitchFault) });
    }
    let of_device = text.starts_with("[EVENT] ") || text.starts_with("[TsdEVENT]");
    let code = || hex_after(text, "vent_id=").or_else(|| hex_after(text, "vent id="));
    let code = if of_device { code() } else { None }?;
    Some(fault(code, None, AscendReport::NOTHING))
}

fn fault(code: u64, unit: Option<u32>, report: AscendReport<'_>) -> Sighting<'_> {
    let detail = Detail::Ascend(report);
    Sighting { code, unit, detail, ..Sighting::of(What::AscendFault) }
}

/// What follows `[ascend] `.
fn driver(text: &str) -> Option<Sighting<'_>> {
    if let Some(rest) = after(text, "Heartbeat lost! (") {
        let unit = rest.strip_prefix("device_id=").or_else(|| rest.strip_prefix("device="));
        let unit = unit.and_then(number).and_then(|(unit, _)| small(unit));
        let lost = number_after(rest, "; lost_count=");
        return Some(Sighting {
            code: HEARTBEAT,
            unit,
            amount: lost,
            ..Sighting::of(What::AscendHeartbeatLost)
        });
    }
    if holds(text, "[dms_fault_event_print ") {
        return printed(text);
    }
    if let Some(rest) = after(text, "Event Process Success. (Event id=") {
        let (code, rest) = hex(rest)?;
        let said = quoted(rest);
        return Some(fault(code, None, AscendReport { said, ..AscendReport::NOTHING }));
    }
    if let Some(rest) = after(text, "Event Info. (") {
        let cleared = number_after(rest, "assertion=").map(|assertion| assertion == 0);
        let severity = number_after(rest, "severity=").map_or(255, |of| of.min(255) as u8);
        let code = hex_after(rest, "event_state=")?;
        let report = AscendReport { severity, cleared, ..AscendReport::NOTHING };
        let detail = Detail::Ascend(report);
        return Some(Sighting { code, detail, ..Sighting::of(What::AscendFaultDetail) });
    }
    if let Some(rest) = after(text, "Dms event is covered. (") {
        let unit = number_after(rest, "dev_id=").and_then(small);
        let code = hex_after(rest, "event_id=").unwrap_or_default();
        return Some(Sighting { code, unit, ..Sighting::of(What::AscendReportLost) });
    }
    if let Some(rest) = after(text, "receive ts exception msg") {
        let code = hex_after(rest, "excep_code=").or_else(|| hex_after(rest, "error: "))?;
        let unit = number_after(rest, "devid=").or_else(|| number_after(text, "[devid-"));
        let unit = unit.and_then(small);
        return Some(Sighting { code, unit, ..Sighting::of(What::AscendTaskScheduler) });
    }
    if let Some(rest) = after(text, "the err type is: ") {
        let code = hex(rest)?.0;
        return Some(Sighting { code, ..Sighting::of(What::AscendTransfer) });
    }
    if holds(text, "Wait device ready timeout") {
        let unit = number_after(text, "dev_id=").and_then(small);
        return Some(Sighting { unit, ..Sighting::of(What::AscendNotReady) });
    }
    let error = text.strip_prefix("[ERROR] ")?;
    let unit = number_after(error, "dev_id=").or_else(|| number_after(error, "devid="));
    let said = error.rsplit_once("] ").map_or(error, |(_, said)| said);
    let unit = unit.and_then(small);
    Some(Sighting { unit, detail: Detail::Said(said), ..Sighting::of(What::AscendError) })
}

/// `event_id=0x80e01801; device_id=0; … severity=3[Critical]; …`.
fn printed(text: &str) -> Option<Sighting<'_>> {
    let code = hex_after(text, "event_id=")?;
    let unit = number_after(text, "; device_id=").and_then(small);
    let description = after(text, "; description=[").and_then(|rest| rest.split_once(']'));
    let report = AscendReport {
        severity: number_after(text, "; severity=").map_or(255, |of| of.min(255) as u8),
        cleared: number_after(text, "; assertion=").map(|assertion| assertion == 0),
        serial: number_after(text, "; event_serial_num=").unwrap_or_default(),
        report: number_after(text, "; notify_serial_num=").unwrap_or_default(),
        raised_ms: number_after(text, "; event_raised_time=").unwrap_or_default(),
        said: description.map(|(said, _)| said).unwrap_or_default(),
    };
    Some(fault(code, unit, report))
}

fn quoted(text: &str) -> &str {
    let inside = text.split_once('"').and_then(|(_, rest)| rest.split_once('"'));
    inside.map(|(inside, _)| inside).unwrap_or_default()
}

/// The code of a chip that dropped off, which the driver's log does not name.
const HEARTBEAT: u64 = 0x40F8_4E00;
