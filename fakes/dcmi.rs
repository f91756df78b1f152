//! A stand-in for Ascend's `libdcmi.so`: plays a scenario, so that the agent can
//! be tried without hardware. It knows the calls that the agent makes, by the
//! public interface, and nothing of any NPU.
//!
//! Beside what every scenario can say:
//!
//! ```text
//! generation 2                           the names that work: 1 dcmi_*, 2 dcmiv2_*, 3 both
//! cards 2                                chips on each card, of generation 1
//! ecc_bytes 28                           bytes of dcmi_ecc_info: 28, or 36
//! set npu0 mhz_7 1400                    what a selector picks: mhz_, percent_, sensor_
//! answer npu0 dcmi_get_device_sensor_info/12 -8008   a call with a selector
//! fault npu0 0x80E01801 severity=3 node=1 serial=7   a fault that is open while the line stands
//! event npu0 1 0x80E01801 severity=3 node=1 serial=7 at 500   one that is told: 0 over, 1 began,
//!                                        2 a notice
//! ```

mod scenario;

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use scenario::{enter, scenario};

const INVALID: c_int = -8001;
const NO_CHIP: c_int = -8007;
const LOST: c_int = -8008;
const OCCUPIED: c_int = -8020;
const NOT_SUPPORTED: c_int = -8255;

type Out = *mut c_void;

/// A chip by its number, as a call of either generation names it; none where
/// there is no such chip.
type Chip = Option<usize>;

fn on_card(card: c_int, place: c_int) -> Chip {
    let on_card = per_card();
    let (card, place) = (usize::try_from(card).ok()?, usize::try_from(place).ok()?);
    let chip = card * on_card + place;
    (place < on_card && chip < scenario().devices()).then_some(chip)
}

fn numbered(number: c_int) -> Chip {
    let chip = usize::try_from(number).ok()?;
    (chip < scenario().devices()).then_some(chip)
}

fn per_card() -> usize {
    scenario().word("cards", "1").parse().unwrap_or(1).max(1)
}

/// A chip in a call.
struct Asked {
    chip: usize,
    name: String,
    call: String,
}

/// Runs a call of a chip, unless the scenario has it answer otherwise.
fn play(chip: Chip, call: &str, out: Out, bytes: usize, answer: impl FnOnce(&Asked) -> c_int) -> c_int {
    let Some(chip) = chip else { return NO_CHIP };
    let asked = Asked { chip, name: format!("npu{chip}"), call: call.to_owned() };
    if let Some(code) = enter(&asked.name, call) {
        return code;
    }
    if scenario().is_gone(&asked.name) {
        return LOST;
    }
    if scenario().is_garbage(&asked.name, call) {
        for at in 0..bytes {
            write(out, at, (at as u8).wrapping_mul(151) ^ 0xA7);
        }
        return 0;
    }
    answer(&asked)
}

impl Asked {
    fn number(&self, key: &str, default: f64) -> f64 {
        scenario().number(&self.name, key, default)
    }

    fn text(&self, key: &str, default: &str) -> String {
        scenario().text(&self.name, key, default)
    }

    /// Hangs or answers as the scenario wants it of this selector.
    fn selected(&self, which: impl std::fmt::Display) -> Result<(), c_int> {
        enter(&self.name, &format!("{}/{which}", self.call)).map_or(Ok(()), Err)
    }
}

/// Writes `value` where `at` points, if it points anywhere.
fn write<T>(at: Out, offset: usize, value: T) {
    if !at.is_null() {
        unsafe { at.cast::<u8>().add(offset).cast::<T>().write_unaligned(value) }
    }
}

fn write_text(at: Out, offset: usize, room: usize, text: &str) {
    for (place, byte) in text.bytes().take(room.saturating_sub(1)).chain([0]).enumerate() {
        write(at, offset + place, byte);
    }
}

/// One number, as the scenario has it.
fn number(chip: Chip, call: &str, out: Out, key: &str, default: f64) -> c_int {
    play(chip, call, out, 4, |asked| {
        write(out, 0, asked.number(key, default) as i64 as i32);
        0
    })
}

/// A number that a selector picks.
fn picked(chip: Chip, call: &str, which: c_int, out: Out, key: &str) -> c_int {
    play(chip, call, out, 4, |asked| {
        if let Err(code) = asked.selected(which) {
            return code;
        }
        let default = match (key, which) {
            ("mhz", 7 | 9) => 1650.0,
            ("mhz", 2 | 12) => 1900.0,
            ("percent", 2 | 13) => 35.0,
            ("percent", 3 | 4 | 12 | 14) => 10.0,
            ("sensor", 9) => {
                write(out, 0, asked.number("slowdown", 90.0) as i8);
                write(out, 1, asked.number("shutdown", 105.0) as i8);
                return 0;
            }
            ("sensor", 11 | 12 | 13) => 50.0,
            _ => return NOT_SUPPORTED,
        };
        write(out, 0, asked.number(&format!("{key}_{which}"), default) as i32);
        0
    })
}

/// Numbers of 64 and of 32 bits at their places.
fn fields(
    chip: Chip,
    call: &str,
    out: Out,
    wide: &[(&str, usize, f64)],
    narrow: &[(&str, usize, f64)],
) -> c_int {
    play(chip, call, out, 48, |asked| {
        for (key, at, default) in wide {
            write(out, *at, asked.number(key, *default) as u64);
        }
        for (key, at, default) in narrow {
            write(out, *at, asked.number(key, *default) as i64 as u32);
        }
        0
    })
}

fn ecc(chip: Chip, call: &str, which: c_int, out: Out) -> c_int {
    play(chip, call, out, 36, |asked| {
        if let Err(code) = asked.selected(which) {
            return code;
        }
        const HBM: [&str; 9] = [
            "ecc_enabled",
            "ecc_single",
            "ecc_double",
            "ecc_total_single",
            "ecc_total_double",
            "isolated_single",
            "isolated_double",
            "next_single",
            "next_double",
        ];
        if which != 2 {
            return NOT_SUPPORTED;
        }
        let bytes: usize = scenario().word("ecc_bytes", "36").parse().unwrap_or(36);
        for (place, key) in HBM.iter().enumerate().take(bytes / 4) {
            let default = if place == 0 { 1.0 } else { 0.0 };
            write(out, place * 4, asked.number(key, default) as u32);
        }
        0
    })
}

/// The value of `key=value` among words, a whole number.
fn value(words: &[String], key: &str) -> u64 {
    let of = words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    of.and_then(scenario::whole).unwrap_or(0)
}

fn codes(chip: Chip, call: &str, count: Out, list: Out, room: c_uint) -> c_int {
    play(chip, call, list, room as usize * 4, |asked| {
        let faults = scenario().statements("fault", &asked.name);
        let codes = faults.iter().filter_map(|words| scenario::whole(words.get(2)?));
        let mut codes: Vec<u32> = codes.map(|code| code as u32).collect();
        codes.dedup();
        write(count, 0, asked.number("codes_said", codes.len() as f64) as i32);
        for (place, code) in codes.iter().take(room as usize).enumerate() {
            write(list, place * 4, *code);
        }
        0
    })
}

/// Writes an event of 360 bytes: the words of the scenario's line.
fn write_event(out: Out, chip: usize, assertion: u8, code: u64, words: &[String]) {
    write(out, 8, code as u32);
    write(out, 12, chip as u16);
    write(out, 14, (code >> 17) as u8);
    write(out, 15, value(words, "node") as u8);
    write(out, 18, value(words, "severity") as u8);
    write(out, 19, assertion);
    write(out, 20, value(words, "serial") as i32);
    write(out, 24, value(words, "serial") as i32);
    write(out, 32, value(words, "raised"));
    write_text(out, 40, 256, "node type=simulated");
}

fn current_faults(chip: Chip, call: &str, out: Out, room: c_int, count: Out) -> c_int {
    play(chip, call, out, room.max(0) as usize * 360, |asked| {
        let faults = scenario().statements("fault", &asked.name);
        for (place, words) in faults.iter().take(room.max(0) as usize).enumerate() {
            let code = words.get(2).and_then(|word| scenario::whole(word)).unwrap_or(0);
            let at = unsafe { out.cast::<u8>().add(place * 360) };
            write_event(at.cast(), asked.chip, 1, code, words);
        }
        write(count, 0, faults.len() as i32);
        0
    })
}

type Told = extern "C" fn(*const c_void);

/// Tells what the scenario reports, on a thread of its own.
fn subscribe(call: &str, told: Told) -> c_int {
    static IS_SUBSCRIBED: AtomicBool = AtomicBool::new(false);
    if let Some(code) = enter("library", call) {
        return code;
    }
    if IS_SUBSCRIBED.swap(true, Ordering::Relaxed) {
        return OCCUPIED;
    }
    thread::spawn(move || {
        loop {
            let report = scenario().report();
            let Some(report) = report else {
                thread::sleep(Duration::from_millis(10));
                continue;
            };
            let chip = report.device.strip_prefix("npu").and_then(|chip| chip.parse().ok());
            let mut room = [0_u64; 64];
            let event = room.as_mut_ptr().cast();
            let (assertion, code) = (report.kind as u8, report.code);
            write_event(event, chip.unwrap_or(0xFFFF), assertion, code, &report.words);
            told(event);
        }
    });
    0
}

fn info(chip: Chip, call: &str, (main, sub): (c_uint, c_uint), out: Out, size: Out) -> c_int {
    play(chip, call, out, 512, |asked| {
        if let Err(code) = asked.selected(format!("{main}/{sub}")) {
            return code;
        }
        if size.is_null() {
            return INVALID;
        }
        match (main, sub) {
            (16, 1) => write(out, 0, asked.number("hccs_ports", 0xFE as f64) as u32),
            (16, 3) => {
                for port in 1..8 {
                    write(out, port * 4, asked.number("hccs_sent", 0.0) as u32);
                }
            }
            (16, 5) => {
                for port in 1..8 {
                    for (place, key) in
                        ["hccs_sent", "hccs_received", "hccs_crc", "hccs_retry"].iter().enumerate()
                    {
                        write(out, place * 128 + port * 8, asked.number(key, 0.0) as u64);
                    }
                }
            }
            (55, 1) => write(out, 16, asked.number("pcie_retries", 0.0) as u32),
            (56, 0) => {
                write(out, 0, asked.number("sio_transmit", 0.0) as u16);
                write(out, 2, asked.number("sio_receive", 0.0) as u16);
            }
            _ => return NOT_SUPPORTED,
        }
        0
    })
}

fn network(chip: Chip, call: &str, port: c_int, out: Out) -> c_int {
    play(chip, call, out, 464, |asked| {
        if port != 0 {
            return INVALID;
        }
        // Every counter by its place, so that a swapped one shows.
        let base = asked.number("network_base", 1000.0) as u64;
        for place in 0..48 {
            write(out, place * 8, base + place as u64);
        }
        0
    })
}

fn processes(chip: Chip, call: &str, out: Out, count: Out) -> c_int {
    play(chip, call, out, 1024, |asked| {
        let processes = scenario().processes(&asked.name);
        for (place, (id, memory)) in processes.iter().take(64).enumerate() {
            write(out, place * 16, *id as i32);
            write(out, place * 16 + 8, *memory);
        }
        write(count, 0, processes.len() as i32);
        0
    })
}

fn chip_info(chip: Chip, call: &str, out: Out) -> c_int {
    play(chip, call, out, 132, |asked| {
        write_text(out, 0, 32, "Simulated");
        write_text(out, 32, 32, &asked.text("model", "910B2"));
        write_text(out, 64, 32, "V1");
        write(out, 96, 24_u32);
        0
    })
}

fn pcie_info(chip: Chip, call: &str, out: Out) -> c_int {
    play(chip, call, out, 64, |asked| {
        write(out, 0, 0x19e5_u32);
        write(out, 20, 0xC0 + asked.chip as u32);
        0
    })
}

fn die(chip: Chip, call: &str, out: Out) -> c_int {
    play(chip, call, out, 20, |asked| {
        write(out, 0, asked.number("die", 0xD1E0 as f64 + asked.chip as f64) as u32);
        0
    })
}

fn elabel(chip: Chip, call: &str, out: Out) -> c_int {
    play(chip, call, out, 1280, |asked| {
        write_text(out, 1024, 256, &asked.text("serial", &format!("02K{:07}", asked.chip)));
        0
    })
}

fn flash(chip: Chip, call: &str, which: c_int, out: Out) -> c_int {
    play(chip, call, out, 32, |asked| {
        let bad = asked.number("flash_bad", 0.0) as c_int;
        write(out, 12, if which < bad { 0x10_u32 } else { 8 });
        0
    })
}

fn code_text(chip: Chip, call: &str, code: c_uint, out: Out, room: c_int) -> c_int {
    play(chip, call, out, room.max(0) as usize, |_| {
        write_text(out, 0, room.max(0) as usize, &format!("text of {code:08X}"));
        0
    })
}

fn component(chip: Chip, call: &str, out: Out, room: c_uint) -> c_int {
    play(chip, call, out, room as usize, |asked| {
        write_text(out, 0, room as usize, &asked.text("firmware", "7.5.0.1"));
        0
    })
}

fn version(call: &str, out: *mut c_char, room: c_uint, key: &str, default: &str) -> c_int {
    if let Some(code) = enter("library", call) {
        return code;
    }
    let version = scenario().word(key, default);
    write_text(out.cast(), 0, room as usize, &version);
    0
}

/// Whether the names of this generation work.
fn begin(call: &str, generation: u32) -> c_int {
    if let Some(code) = enter("library", call) {
        return code;
    }
    let which: u32 = scenario().word("generation", "1").parse().unwrap_or(1);
    if which & generation == 0 { NOT_SUPPORTED } else { 0 }
}

/// A call of one chip under the names of both generations.
macro_rules! of_chip {
    ($($first:ident $second:ident ($($name:ident: $type:ty),*) $answer:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $first(card: c_int, place: c_int, $($name: $type),*) -> c_int {
            let answer: fn(Chip, &str, $($type),*) -> c_int = $answer;
            answer(on_card(card, place), stringify!($first), $($name),*)
        }

        #[unsafe(no_mangle)]
        pub extern "C" fn $second(number: c_int, $($name: $type),*) -> c_int {
            let answer: fn(Chip, &str, $($type),*) -> c_int = $answer;
            answer(numbered(number), stringify!($second), $($name),*)
        }
    )*};
}

of_chip! {
    dcmi_get_device_temperature dcmiv2_get_device_temperature (out: Out)
        |chip, call, out| number(chip, call, out, "temperature", 45.0);
    dcmi_get_device_power_info dcmiv2_get_device_power_info (out: Out)
        |chip, call, out| number(chip, call, out, "power", 951.0);
    dcmi_get_device_voltage dcmiv2_get_device_voltage (out: Out)
        |chip, call, out| number(chip, call, out, "voltage", 83.0);
    dcmi_get_device_frequency dcmiv2_get_device_frequency (which: c_int, out: Out)
        |chip, call, which, out| picked(chip, call, which, out, "mhz");
    dcmi_get_device_utilization_rate dcmiv2_get_device_utilization_rate (which: c_int, out: Out)
        |chip, call, which, out| picked(chip, call, which, out, "percent");
    dcmi_get_device_multi_utilization_rate dcmiv2_get_device_multi_utilization_rate (out: Out)
        |chip, call, out| fields(chip, call, out, &[], &[("cube", 0, 30.0), ("vector", 4, 20.0),
            ("core", 8, 40.0), ("utilization", 12, 55.0)]);
    dcmi_get_device_hbm_info dcmiv2_get_device_hbm_info (out: Out)
        |chip, call, out| fields(chip, call, out,
            &[("memory_size", 0, 65_536.0), ("memory_used", 16, 4096.0)],
            &[("memory_clock", 8, 1600.0), ("memory_temperature", 24, 48.0),
                ("memory_activity", 28, 12.0)]);
    dcmi_get_device_health dcmiv2_get_device_health (out: Out)
        |chip, call, out| number(chip, call, out, "health", 0.0);
    dcmi_get_device_errorcode_v2 dcmiv2_get_device_error_code_list (count: Out, list: Out, room: c_uint)
        |chip, call, count, list, room| codes(chip, call, count, list, room);
    dcmi_get_device_errorcode_string dcmiv2_get_device_error_info (code: c_uint, out: Out, room: c_int)
        |chip, call, code, out, room| code_text(chip, call, code, out, room);
    dcmi_get_device_current_fault_event dcmiv2_get_device_current_fault_event (out: Out, room: c_int, count: Out)
        |chip, call, out, room, count| current_faults(chip, call, out, room, count);
    dcmi_get_device_network_health dcmiv2_get_device_network_health (out: Out)
        |chip, call, out| number(chip, call, out, "network_health", 0.0);
    dcmi_get_device_ecc_info dcmiv2_get_device_ecc_info (which: c_int, out: Out)
        |chip, call, which, out| ecc(chip, call, which, out);
    dcmi_get_multi_ecc_time_info_v2 dcmiv2_get_multi_ecc_time_info (out: Out)
        |chip, call, out| number(chip, call, out, "multi_bit_records", 0.0);
    dcmi_get_device_pcie_error_cnt dcmiv2_get_device_pcie_error_cnt (out: Out)
        |chip, call, out| fields(chip, call, out, &[], &[("pcie_symbol", 16, 0.0),
            ("pcie_receive", 20, 0.0), ("pcie_lane", 24, 0.0), ("pcie_link_crc", 40, 0.0),
            ("pcie_data_crc", 44, 0.0)]);
    dcmi_get_device_info dcmiv2_get_device_info (main: c_uint, sub: c_uint, out: Out, size: Out)
        |chip, call, main, sub, out, size| info(chip, call, (main, sub), out, size);
    dcmi_get_netdev_pkt_stats_info dcmiv2_get_netdev_pkt_stats_info (port: c_int, out: Out)
        |chip, call, port, out| network(chip, call, port, out);
    dcmi_get_device_sensor_info dcmiv2_get_device_sensor_info (which: c_int, out: Out)
        |chip, call, which, out| picked(chip, call, which, out, "sensor");
    dcmi_get_device_boot_status dcmiv2_get_device_boot_status (out: Out)
        |chip, call, out| number(chip, call, out, "boot", 16.0);
    dcmi_get_device_flash_count dcmiv2_get_device_flash_cnt (out: Out)
        |chip, call, out| number(chip, call, out, "flashes", 2.0);
    dcmi_get_device_flash_info_v2 dcmiv2_get_device_flash_info (which: c_int, out: Out)
        |chip, call, which, out| flash(chip, call, which, out);
    dcmi_get_device_resource_info dcmiv2_get_device_proc_mem_info (out: Out, count: Out)
        |chip, call, out, count| processes(chip, call, out, count);
    dcmi_get_device_chip_info_v2 dcmiv2_get_device_chip_info (out: Out)
        |chip, call, out| chip_info(chip, call, out);
    dcmi_get_device_pcie_info_v2 dcmiv2_get_device_pcie_info (out: Out)
        |chip, call, out| pcie_info(chip, call, out);
    dcmi_get_device_elabel_info dcmiv2_get_device_elabel_info (out: Out)
        |chip, call, out| elabel(chip, call, out);
    dcmi_get_device_die_v2 dcmiv2_get_device_die_id (_which: c_int, out: Out)
        |chip, call, _, out| die(chip, call, out);
    dcmi_get_device_component_static_version dcmiv2_get_device_component_static_version
        (_which: c_uint, out: Out, room: c_uint)
        |chip, call, _, out, room| component(chip, call, out, room);
}

/// `struct dcmi_event_filter`, by value.
#[repr(C)]
pub struct Filter([u64; 6]);

#[unsafe(no_mangle)]
pub extern "C" fn dcmi_subscribe_fault_event(
    card: c_int,
    place: c_int,
    filter: Filter,
    told: Told,
) -> c_int {
    let every = (card, place) == (-1, -1) && filter.0 == [0; 6];
    if every { subscribe("dcmi_subscribe_fault_event", told) } else { INVALID }
}

#[unsafe(no_mangle)]
pub extern "C" fn dcmiv2_subscribe_fault_event(number: c_int, filter: Filter, told: Told) -> c_int {
    let every = number == -1 && filter.0 == [0; 6];
    if every { subscribe("dcmiv2_subscribe_fault_event", told) } else { INVALID }
}

#[unsafe(no_mangle)]
pub extern "C" fn dcmi_init() -> c_int {
    begin("dcmi_init", 1)
}

#[unsafe(no_mangle)]
pub extern "C" fn dcmiv2_init() -> c_int {
    begin("dcmiv2_init", 2)
}

macro_rules! versions {
    ($($call:ident $key:literal $default:literal;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $call(out: *mut c_char, room: c_uint) -> c_int {
            version(stringify!($call), out, room, $key, $default)
        }
    )*};
}

versions! {
    dcmi_get_driver_version "driver" "24.1.rc2";
    dcmi_get_dcmi_version "library_version" "1.5.0";
    dcmiv2_get_driver_version "driver" "25.5.0";
    dcmiv2_get_dcmi_version "library_version" "2.0.0";
}

fn list(call: &str, count: Out, list: Out, room: c_int, things: usize) -> c_int {
    if let Some(code) = enter("library", call) {
        return code;
    }
    for thing in 0..things.min(room.max(0) as usize) {
        write(list, thing * 4, thing as i32);
    }
    write(count, 0, things as i32);
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn dcmi_get_card_list(count: Out, cards: Out, room: c_int) -> c_int {
    let chips = scenario().devices();
    let on_card = per_card();
    list("dcmi_get_card_list", count, cards, room, chips.div_ceil(on_card))
}

#[unsafe(no_mangle)]
pub extern "C" fn dcmiv2_get_device_list(chips: Out, count: Out, room: c_int) -> c_int {
    let devices = scenario().devices();
    list("dcmiv2_get_device_list", count, chips, room, devices)
}

#[unsafe(no_mangle)]
pub extern "C" fn dcmi_get_device_id_in_card(
    card: c_int,
    chips: Out,
    controller: Out,
    processor: Out,
) -> c_int {
    let devices = scenario().devices();
    let on_card = per_card();
    let Ok(card) = usize::try_from(card) else { return NO_CHIP };
    write(chips, 0, devices.saturating_sub(card * on_card).min(on_card) as i32);
    write(controller, 0, 8_i32);
    write(processor, 0, -1_i32);
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn dcmi_get_device_logic_id(out: Out, card: c_int, place: c_int) -> c_int {
    let chip = on_card(card, place);
    play(chip, "dcmi_get_device_logic_id", out, 4, |asked| {
        write(out, 0, asked.chip as i32);
        0
    })
}
