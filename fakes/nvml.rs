//! A stand-in for NVIDIA's `libnvidia-ml.so.1`: plays a scenario, so that the
//! agent can be tried without hardware. It knows the calls that the agent
//! makes, by the public interface, and nothing of any GPU.

#![allow(non_snake_case, reason = "the names of the public interface")]

mod scenario;

use std::ffi::{c_char, c_int, c_longlong, c_uint, c_ulonglong, c_void};
use std::time::{Duration, Instant};

use scenario::{enter, scenario};

type Device = *mut c_void;
type Return = c_int;

const OK: Return = 0;
const INVALID_ARGUMENT: Return = 2;
const NOT_SUPPORTED: Return = 3;
const NOT_FOUND: Return = 6;
const INSUFFICIENT_SIZE: Return = 7;
const TIMEOUT: Return = 10;
const GPU_IS_LOST: Return = 15;

const MIB: f64 = 1_048_576.0;

#[repr(C)]
pub struct FieldValue {
    id: c_uint,
    scope: c_uint,
    timestamp: c_longlong,
    latency_us: c_longlong,
    kind: c_uint,
    code: c_uint,
    value: u64,
}

#[repr(C)]
pub struct PciInfo {
    legacy: [c_char; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    id: c_uint,
    subsystem: c_uint,
    bus_id: [c_char; 32],
}

#[repr(C)]
pub struct Memory {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

#[repr(C)]
pub struct Process {
    id: c_uint,
    memory: c_ulonglong,
    instance: c_uint,
    compute_instance: c_uint,
}

#[repr(C)]
pub struct EventData {
    device: Device,
    kind: c_ulonglong,
    data: c_ulonglong,
    instance: c_uint,
    compute_instance: c_uint,
}

#[repr(C)]
pub struct Utilization {
    gpu: c_uint,
    memory: c_uint,
}

fn name(device: Device) -> String {
    let number = device as usize;
    match number >> 16 {
        0 => format!("gpu{}", (number & 0xffff).wrapping_sub(1)),
        part => format!("gpu{}/mig{}", (number & 0xffff) - 1, part - 1),
    }
}

fn index(device: Device) -> usize {
    (device as usize & 0xffff).wrapping_sub(1)
}

/// Begins a call about a device: the code with which it ends at once.
fn begin(device: Device, call: &str) -> Result<String, Return> {
    let name = name(device);
    if let Some(code) = enter(&name, call) {
        return Err(code);
    }
    let root = name.split('/').next().unwrap_or_default();
    if index(device) >= scenario().devices() || scenario().is_gone(root) {
        return Err(GPU_IS_LOST);
    }
    Ok(name)
}

/// A call that writes one number.
unsafe fn number<T>(
    device: Device,
    call: &str,
    out: *mut T,
    of: impl FnOnce(&str) -> Option<T>,
) -> Return {
    let name = match begin(device, call) {
        Ok(name) => name,
        Err(code) => return code,
    };
    if out.is_null() {
        return INVALID_ARGUMENT;
    }
    if scenario().is_garbage(&name, call) {
        unsafe { out.cast::<u8>().write_bytes(0xff, size_of::<T>()) };
        return OK;
    }
    match of(&name) {
        Some(value) => {
            unsafe { out.write(value) };
            OK
        }
        None => NOT_SUPPORTED,
    }
}

unsafe fn text(
    device: Device,
    call: &str,
    out: *mut c_char,
    length: c_uint,
    of: impl FnOnce(&str) -> String,
) -> Return {
    let name = match begin(device, call) {
        Ok(name) => name,
        Err(code) => return code,
    };
    if scenario().is_garbage(&name, call) {
        unsafe { out.cast::<u8>().write_bytes(0xff, length as usize) };
        return OK;
    }
    unsafe { put(out, length, &of(&name)) }
}

unsafe fn put(out: *mut c_char, length: c_uint, text: &str) -> Return {
    if out.is_null() {
        return INVALID_ARGUMENT;
    }
    if text.len() + 1 > length as usize {
        return INSUFFICIENT_SIZE;
    }
    unsafe { out.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len()) };
    unsafe { out.add(text.len()).write(0) };
    OK
}

fn of(device: &str, key: &str, default: f64) -> f64 {
    scenario().number(device, key, default)
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> Return {
    enter("library", "nvmlInit_v2").unwrap_or(OK)
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInitWithFlags(_: c_uint) -> Return {
    nvmlInit_v2()
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> Return {
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(out: *mut c_char, length: c_uint) -> Return {
    if let Some(code) = enter("library", "nvmlSystemGetDriverVersion") {
        return code;
    }
    let driver = scenario().word("driver", "580.95.05");
    unsafe { put(out, length, &driver) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetNVMLVersion(out: *mut c_char, length: c_uint) -> Return {
    let version = scenario().word("library_version", "13.580.95.05");
    unsafe { put(out, length, &version) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(out: *mut c_uint) -> Return {
    if let Some(code) = enter("library", "nvmlDeviceGetCount_v2") {
        return code;
    }
    let count = scenario().devices() as c_uint;
    unsafe { out.write(count) };
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, out: *mut Device) -> Return {
    let device = (index as usize + 1) as Device;
    if index as usize >= scenario().devices() {
        return INVALID_ARGUMENT;
    }
    unsafe { number(device, "nvmlDeviceGetHandleByIndex_v2", out, |_| Some(device)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(device: Device, out: *mut c_char, length: c_uint) -> Return {
    unsafe {
        text(device, "nvmlDeviceGetUUID", out, length, |name| {
            let (number, kind) = (device as usize, if name.contains('/') { "MIG" } else { "GPU" });
            let default = format!("{kind}-51313131-0000-4000-8000-{number:012x}");
            scenario().text(name, "uuid", &default)
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(device: Device, out: *mut PciInfo) -> Return {
    unsafe {
        number(device, "nvmlDeviceGetPciInfo_v3", out, |_| {
            let bus = 0x10 + index(device) as c_uint;
            let mut info: PciInfo = std::mem::zeroed();
            (info.bus, info.id) = (bus, 0x2330_10de);
            put(info.bus_id.as_mut_ptr(), 32, &format!("00000000:{bus:02X}:00.0"));
            put(info.legacy.as_mut_ptr(), 16, &format!("0000:{bus:02X}:00.0"));
            Some(info)
        })
    }
}

macro_rules! texts {
    ($($call:ident $key:literal $default:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $call(device: Device, out: *mut c_char, length: c_uint) -> Return {
            unsafe {
                text(device, stringify!($call), out, length, |name| {
                    let default: String = ($default)(index(device));
                    scenario().text(name, $key, &default)
                })
            }
        }
    )*};
}

texts! {
    nvmlDeviceGetName "model" |_| "Simulated H100 80GB".to_owned();
    nvmlDeviceGetSerial "serial" |at| format!("99{at:08}");
    nvmlDeviceGetVbiosVersion "vbios" |_| "96.00.89.00.01".to_owned();
    nvmlDeviceGetInforomImageVersion "inforom" |_| "G520.0200.00.05".to_owned();
}

macro_rules! numbers {
    ($($call:ident $kind:ty, $key:literal $default:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $call(device: Device, out: *mut $kind) -> Return {
            unsafe { number(device, stringify!($call), out, |name| Some(of(name, $key, $default) as $kind)) }
        }
    )*};
}

numbers! {
    nvmlDeviceGetEnforcedPowerLimit c_uint, "power_limit" 700_000.0;
    nvmlDeviceGetPowerUsage c_uint, "power" 320_000.0;
    nvmlDeviceGetCurrPcieLinkGeneration c_uint, "pcie_generation" 5.0;
    nvmlDeviceGetCurrPcieLinkWidth c_uint, "pcie_lanes" 16.0;
    nvmlDeviceGetMaxPcieLinkGeneration c_uint, "pcie_generation_max" 5.0;
    nvmlDeviceGetMaxPcieLinkWidth c_uint, "pcie_lanes_max" 16.0;
    nvmlDeviceGetCurrentClocksThrottleReasons c_ulonglong, "throttle" 0.0;
    nvmlDeviceGetSupportedEventTypes c_ulonglong, "event_types" 65439.0;
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTemperature(device: Device, _: c_uint, out: *mut c_uint) -> Return {
    unsafe {
        number(device, "nvmlDeviceGetTemperature", out, |name| {
            Some(of(name, "temperature", 48.0 + index(device) as f64) as c_uint)
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTemperatureThreshold(
    device: Device,
    which: c_uint,
    out: *mut c_uint,
) -> Return {
    unsafe {
        number(device, "nvmlDeviceGetTemperatureThreshold", out, |name| match which {
            0 => Some(of(name, "temperature_shutdown", 92.0) as c_uint),
            1 => Some(of(name, "temperature_slowdown", 89.0) as c_uint),
            2 => Some(of(name, "memory_temperature_max", 95.0) as c_uint),
            _ => None,
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(device: Device, out: *mut Utilization) -> Return {
    unsafe {
        number(device, "nvmlDeviceGetUtilizationRates", out, |name| {
            (!name.contains('/')).then(|| Utilization {
                gpu: of(name, "utilization", 63.0) as c_uint,
                memory: of(name, "memory_activity", 41.0) as c_uint,
            })
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Device, out: *mut Memory) -> Return {
    unsafe {
        number(device, "nvmlDeviceGetMemoryInfo_v2", out, |name| {
            let total = of(name, "memory_total", 81_559.0 * MIB);
            let used = of(name, "memory_used", 61_000.0 * MIB);
            let version = (size_of::<Memory>() | 2 << 24) as c_uint;
            Some(Memory {
                version,
                total: total as u64,
                reserved: (546.0 * MIB) as u64,
                free: (total - used).max(0.0) as u64,
                used: used as u64,
            })
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetClockInfo(device: Device, which: c_uint, out: *mut c_uint) -> Return {
    unsafe {
        number(device, "nvmlDeviceGetClockInfo", out, |name| match which {
            2 => Some(of(name, "memory_clock", 2619.0) as c_uint),
            _ => Some(of(name, "clock", 1755.0) as c_uint),
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMaxClockInfo(device: Device, which: c_uint, out: *mut c_uint) -> Return {
    unsafe {
        number(device, "nvmlDeviceGetMaxClockInfo", out, |name| match which {
            2 => Some(of(name, "memory_clock_max", 2619.0) as c_uint),
            _ => Some(of(name, "clock_max", 1980.0) as c_uint),
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetEncoderUtilization(
    device: Device,
    out: *mut c_uint,
    period_us: *mut c_uint,
) -> Return {
    unsafe { period_us.write(167_000) };
    unsafe { number(device, "nvmlDeviceGetEncoderUtilization", out, |name| Some(of(name, "encoder", 0.0) as c_uint)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetDecoderUtilization(
    device: Device,
    out: *mut c_uint,
    period_us: *mut c_uint,
) -> Return {
    unsafe { period_us.write(167_000) };
    unsafe { number(device, "nvmlDeviceGetDecoderUtilization", out, |name| Some(of(name, "decoder", 0.0) as c_uint)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetFanSpeed_v2(device: Device, _: c_uint, out: *mut c_uint) -> Return {
    // Boards of servers have no fan.
    unsafe {
        number(device, "nvmlDeviceGetFanSpeed_v2", out, |name| {
            let fan = of(name, "fan", -1.0);
            (fan >= 0.0).then_some(fan as c_uint)
        })
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetEccMode(device: Device, now: *mut c_uint, later: *mut c_uint) -> Return {
    unsafe { later.write(1) };
    unsafe { number(device, "nvmlDeviceGetEccMode", now, |name| Some(of(name, "ecc", 1.0) as c_uint)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryErrorCounter(
    device: Device,
    kind: c_uint,
    _: c_uint,
    place: c_uint,
    out: *mut c_ulonglong,
) -> Return {
    let key = match (place, kind) {
        (7, 0) => "sram_corrected",
        (7, _) => "sram_uncorrected",
        (_, 0) => "ecc_corrected",
        _ => "ecc_uncorrected",
    };
    unsafe { number(device, "nvmlDeviceGetMemoryErrorCounter", out, |name| Some(of(name, key, 0.0) as u64)) }
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceValidateInforom(device: Device) -> Return {
    match begin(device, "nvmlDeviceValidateInforom") {
        Ok(_) => OK,
        Err(code) => code,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigMode(device: Device, now: *mut c_uint, later: *mut c_uint) -> Return {
    unsafe { later.write(0) };
    unsafe {
        number(device, "nvmlDeviceGetMigMode", now, |name| Some(c_uint::from(scenario().parts(name) > 0)))
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMaxMigDeviceCount(device: Device, out: *mut c_uint) -> Return {
    unsafe { number(device, "nvmlDeviceGetMaxMigDeviceCount", out, |_| Some(7)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: Device,
    part: c_uint,
    out: *mut Device,
) -> Return {
    let parts = scenario().parts(&name(device));
    if part >= parts {
        return NOT_FOUND;
    }
    let handle = (device as usize | (part as usize + 1) << 16) as Device;
    unsafe { number(device, "nvmlDeviceGetMigDeviceHandleByIndex", out, |_| Some(handle)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: Device,
    count: *mut c_uint,
    out: *mut Process,
) -> Return {
    let name = match begin(device, "nvmlDeviceGetComputeRunningProcesses_v3") {
        Ok(name) => name,
        Err(code) => return code,
    };
    let processes = scenario().processes(&name);
    let room = unsafe { count.read() } as usize;
    unsafe { count.write(processes.len() as c_uint) };
    if processes.is_empty() {
        return OK;
    }
    if out.is_null() || room < processes.len() {
        return INSUFFICIENT_SIZE;
    }
    for (at, (id, memory)) in processes.into_iter().enumerate() {
        let process = Process { id, memory, instance: c_uint::MAX, compute_instance: c_uint::MAX };
        unsafe { out.add(at).write(process) };
    }
    OK
}

#[repr(C)]
pub struct Margin {
    version: c_uint,
    degrees: c_int,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMarginTemperature(device: Device, out: *mut Margin) -> Return {
    unsafe {
        number(device, "nvmlDeviceGetMarginTemperature", out, |name| {
            let version = (size_of::<Margin>() | 1 << 24) as c_uint;
            Some(Margin { version, degrees: of(name, "temperature_margin", 39.0) as c_int })
        })
    }
}

#[repr(C)]
pub struct SramStatus {
    version: c_uint,
    counts: [c_ulonglong; 11],
    threshold_exceeded: c_uint,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetSramEccErrorStatus(device: Device, out: *mut SramStatus) -> Return {
    unsafe {
        number(device, "nvmlDeviceGetSramEccErrorStatus", out, |name| {
            let version = (size_of::<SramStatus>() | 1 << 24) as c_uint;
            let threshold_exceeded = of(name, "sram_threshold", 0.0) as c_uint;
            Some(SramStatus { version, counts: [0; 11], threshold_exceeded })
        })
    }
}

#[repr(C)]
pub struct Banks {
    max: c_uint,
    high: c_uint,
    partial: c_uint,
    low: c_uint,
    none: c_uint,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetRowRemapperHistogram(device: Device, out: *mut Banks) -> Return {
    unsafe {
        number(device, "nvmlDeviceGetRowRemapperHistogram", out, |name| {
            let (low, none) = (of(name, "banks_low", 0.0), of(name, "banks_none", 0.0));
            let max = (640.0 - low - none).max(0.0) as c_uint;
            Some(Banks { max, high: 0, partial: 0, low: low as c_uint, none: none as c_uint })
        })
    }
}

#[repr(C)]
pub struct Fabric {
    version: c_uint,
    cluster: [u8; 16],
    status: c_uint,
    clique: c_uint,
    state: u8,
    health: c_uint,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGpuFabricInfoV(device: Device, out: *mut Fabric) -> Return {
    unsafe {
        number(device, "nvmlDeviceGetGpuFabricInfoV", out, |name| {
            let version = (size_of::<Fabric>() | 2 << 24) as c_uint;
            let state = of(name, "fabric_state", 3.0) as u8;
            let health = of(name, "fabric_health", 0.0) as c_uint;
            Some(Fabric { version, cluster: [1; 16], status: 0, clique: 1, state, health })
        })
    }
}

/// A field's number; none where the device has no such thing.
fn field(name: &str, id: c_uint, scope: c_uint) -> Option<f64> {
    let seconds = scenario().now_ms() as f64 / 1e3;
    Some(match id {
        3 => of(name, "ecc_corrected", 0.0),
        4 => of(name, "ecc_uncorrected", 0.0),
        5 => of(name, "ecc_corrected_lifetime", 2.0),
        6 => of(name, "ecc_uncorrected_lifetime", 0.0),
        74 => of(name, "throttled_power_ns", 0.0),
        75 => of(name, "throttled_thermal_ns", 0.0),
        82 => of(name, "memory_temperature", 57.0),
        83 => of(name, "energy", 0.0) + seconds * of(name, "power", 320_000.0),
        91 => of(name, "links", 18.0),
        94 => of(name, "pcie_replays", 0.0),
        138 | 139 if scope == c_uint::MAX => seconds * of(name, "link_kib_per_second", 1e6),
        142 => of(name, "rows_remapped_corrected", 0.0),
        143 => of(name, "rows_remapped_uncorrected", 0.0),
        144 => of(name, "row_remap_pending", 0.0),
        145 => of(name, "row_remap_failed", 0.0),
        161 => of(name, "link_replays", 0.0),
        162 => of(name, "link_recoveries", 0.0),
        163 => of(name, "link_crc_errors", 0.0),
        165 => f64::from(u8::from(f64::from(scope) < of(name, "links_active", 18.0))),
        173..=183 => of(name, "pcie_errors", 0.0),
        186 => of(name, "power", 320_000.0),
        188 => of(name, "power_limit_max", 700_000.0),
        189 => of(name, "power_limit_default", 700_000.0),
        197 | 198 => seconds * of(name, "pcie_bytes_per_second", 2e8),
        230 => of(name, "recovery_action", 0.0),
        _ => return None,
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetFieldValues(
    device: Device,
    count: c_int,
    values: *mut FieldValue,
) -> Return {
    let call = "nvmlDeviceGetFieldValues";
    let name = match begin(device, call) {
        Ok(name) => name,
        Err(code) => return code,
    };
    let garbage = scenario().is_garbage(&name, call);
    for at in 0..count.max(0) as usize {
        let value = unsafe { &mut *values.add(at) };
        if garbage {
            (value.kind, value.code, value.value) = (c_uint::MAX, 0, u64::MAX);
            continue;
        }
        let code = scenario::enter(&name, &format!("field{}", value.id));
        match (code, field(&name, value.id, value.scope)) {
            (Some(code), _) => value.code = code as c_uint,
            (None, None) => value.code = NOT_SUPPORTED as c_uint,
            (None, Some(number)) => {
                (value.kind, value.code, value.value) = (3, 0, number.max(0.0) as u64);
            }
        }
    }
    OK
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetCreate(out: *mut Device) -> Return {
    if let Some(code) = enter("library", "nvmlEventSetCreate") {
        return code;
    }
    unsafe { out.write(std::ptr::without_provenance_mut(1)) };
    OK
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlEventSetFree(_: Device) -> Return {
    OK
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceRegisterEvents(device: Device, kinds: c_ulonglong, _: Device) -> Return {
    match begin(device, "nvmlDeviceRegisterEvents") {
        Ok(name) if kinds & !(of(&name, "event_types", 65439.0) as u64) != 0 => NOT_SUPPORTED,
        Ok(_) => OK,
        Err(code) => code,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetWait_v2(_: Device, out: *mut EventData, limit_ms: c_uint) -> Return {
    let begun = Instant::now();
    loop {
        if let Some(code) = enter("library", "nvmlEventSetWait_v2") {
            return code;
        }
        if let Some(report) = scenario().report() {
            let index = report.device.strip_prefix("gpu").and_then(|at| at.parse::<usize>().ok());
            let device = std::ptr::without_provenance_mut(index.map_or(0, |at| at + 1));
            let (kind, data, instance) = (report.kind, report.code, c_uint::MAX);
            unsafe { out.write(EventData { device, kind, data, instance, compute_instance: instance }) };
            return OK;
        }
        if begun.elapsed() >= Duration::from_millis(u64::from(limit_ms)) {
            return TIMEOUT;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
