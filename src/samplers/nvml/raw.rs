//! The calls of NVML that the wrapper does not make, or not as we need them.

#![expect(unsafe_code, reason = "calls functions of NVML that its wrapper does not wrap")]

use nvml_wrapper::enum_wrappers::device::SampleValueType;
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::{NvmlError, nvml_try};
use nvml_wrapper::{Device, EventSet, FieldIdScheme, Nvml};
use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlEccSramErrorStatus_t, nvmlEventData_t, nvmlFieldValue_t,
    nvmlGpuFabricInfoV_t, nvmlMarginTemperature_t, nvmlReturn_t, nvmlRowRemapperHistogramValues_t,
};

/// Stands for all links of a device in a field that has a scope.
pub(super) const ALL_LINKS: u32 = u32::MAX;

/// A field that is asked for, and what came of it.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) id: u32,
    pub(super) scope: u32,
    pub(super) value: Result<f64, u32>,
}

/// An event of the driver, with the bits that this build has no name for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    /// Stands for the device; compared, never followed.
    pub(super) device: usize,
    pub(super) kind: u64,
    pub(super) data: u64,
}

/// Stands for the device in events; compared, never followed.
pub(super) fn identity(device: &Device<'_>) -> usize {
    // SAFETY: the pointer is not followed.
    let handle = unsafe { device.handle() };
    handle as usize
}

/// Asks for all `fields` of `device` in one call.
pub(super) fn read_fields(device: &Device<'_>, fields: &mut [Field]) -> Result<(), NvmlError> {
    let nvml = device.nvml();
    let call = nvml.lib().nvmlDeviceGetFieldValues.as_ref();
    let call = call.map_err(|error| NvmlError::FailedToLoadSymbol(error.to_string()))?;
    let scheme = nvml.field_id_scheme();
    let mut raw: Vec<nvmlFieldValue_t> =
        fields.iter().map(|field| question(translate(scheme, field.id), field.scope)).collect();
    let length = i32::try_from(raw.len()).map_err(|_| NvmlError::InvalidArg)?;
    // SAFETY: the handle is used for a call of its own library only.
    let handle = unsafe { device.handle() };
    // SAFETY: `raw` holds `length` structs, which outlive the call.
    let code = unsafe { call(handle, length, raw.as_mut_ptr()) };
    nvml_try(code)?;
    for (field, raw) in fields.iter_mut().zip(&raw) {
        field.value = match raw.nvmlReturn {
            0 => number(raw).ok_or(UNKNOWN),
            code => Err(code),
        };
    }
    Ok(())
}

/// Has the driver put these kinds of events of `device` into `set`.
pub(super) fn register(
    device: &Device<'_>,
    kinds: u64,
    set: &EventSet<'_>,
) -> Result<(), NvmlError> {
    let call = device.nvml().lib().nvmlDeviceRegisterEvents.as_ref();
    let call = call.map_err(|error| NvmlError::FailedToLoadSymbol(error.to_string()))?;
    // SAFETY: the handle is used for a call of its own library only.
    let handle = unsafe { device.handle() };
    // SAFETY: the set is borrowed, so nobody frees it meanwhile.
    let set = unsafe { set.handle() };
    // SAFETY: both were had from this library, and the set is not freed.
    nvml_try(unsafe { call(handle, kinds, set) })
}

/// Waits for an event of `set`; none when the time is over.
pub(super) fn wait_event(
    nvml: &Nvml,
    set: &EventSet<'_>,
    limit_ms: u32,
) -> Result<Option<Event>, NvmlError> {
    let call = nvml.lib().nvmlEventSetWait_v2.as_ref();
    let call = call.map_err(|error| NvmlError::FailedToLoadSymbol(error.to_string()))?;
    // SAFETY: all of its fields are numbers or a pointer, for which zero is a value.
    let mut data: nvmlEventData_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is borrowed, so nobody frees it meanwhile.
    let handle = unsafe { set.handle() };
    // SAFETY: `data` outlives the call.
    let code = unsafe { call(handle, &raw mut data, limit_ms) };
    match nvml_try(code) {
        Ok(()) => Ok(Some(Event {
            device: data.device as usize,
            kind: data.eventType,
            data: data.eventData,
        })),
        Err(NvmlError::Timeout) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Degrees left until the chip slows down.
pub(super) fn margin(device: &Device<'_>) -> Result<i32, NvmlError> {
    // SAFETY: all of its fields are numbers, for which zero is a value.
    let mut out: nvmlMarginTemperature_t = unsafe { std::mem::zeroed() };
    out.version = version::<nvmlMarginTemperature_t>(1);
    let call = &device.nvml().lib().nvmlDeviceGetMarginTemperature;
    Ok(ask(device, call, out)?.marginTemperature)
}

/// Whether errors on the chip itself passed the vendor's threshold.
pub(super) fn sram_threshold(device: &Device<'_>) -> Result<bool, NvmlError> {
    // SAFETY: all of its fields are numbers, for which zero is a value.
    let mut out: nvmlEccSramErrorStatus_t = unsafe { std::mem::zeroed() };
    out.version = version::<nvmlEccSramErrorStatus_t>(1);
    let call = &device.nvml().lib().nvmlDeviceGetSramEccErrorStatus;
    Ok(ask(device, call, out)?.bThresholdExceeded != 0)
}

/// Banks of memory with no spare row, and with few.
pub(super) fn banks(device: &Device<'_>) -> Result<(u32, u32), NvmlError> {
    // SAFETY: all of its fields are numbers, for which zero is a value.
    let out: nvmlRowRemapperHistogramValues_t = unsafe { std::mem::zeroed() };
    let call = &device.nvml().lib().nvmlDeviceGetRowRemapperHistogram;
    let banks = ask(device, call, out)?;
    Ok((banks.none, banks.low))
}

/// How the device stands in its fabric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fabric {
    pub(super) state: u32,
    pub(super) status: u32,
    pub(super) health: u32,
}

/// How the device stands in its fabric.
pub(super) fn fabric(device: &Device<'_>) -> Result<Fabric, NvmlError> {
    // SAFETY: all of its fields are numbers, for which zero is a value.
    let mut out: nvmlGpuFabricInfoV_t = unsafe { std::mem::zeroed() };
    out.version = version::<nvmlGpuFabricInfoV_t>(2);
    let of = ask(device, &device.nvml().lib().nvmlDeviceGetGpuFabricInfoV, out)?;
    Ok(Fabric { state: u32::from(of.state), status: of.status, health: of.healthMask })
}

/// How NVML tells versions of a struct apart.
const fn version<T>(number: u32) -> u32 {
    size_of::<T>() as u32 | number << 24
}

/// A call that fills one struct, in a library that may not have it.
type Call<T, E> = Result<unsafe extern "C" fn(nvmlDevice_t, *mut T) -> nvmlReturn_t, E>;

fn ask<T, E: ToString>(device: &Device<'_>, call: &Call<T, E>, mut out: T) -> Result<T, NvmlError> {
    let call = call.as_ref().map_err(|error| NvmlError::FailedToLoadSymbol(error.to_string()))?;
    // SAFETY: the handle is used for a call of its own library only.
    let handle = unsafe { device.handle() };
    // SAFETY: the struct is the one that this call fills, and outlives it.
    nvml_try(unsafe { call(handle, &raw mut out) })?;
    Ok(out)
}

/// What NVML answers when it knows no better.
const UNKNOWN: u32 = 999;

fn question(id: u32, scope: u32) -> nvmlFieldValue_t {
    // SAFETY: all of its fields are numbers, for which zero is a value.
    let mut raw: nvmlFieldValue_t = unsafe { std::mem::zeroed() };
    (raw.fieldId, raw.scopeId) = (id, scope);
    raw
}

fn number(raw: &nvmlFieldValue_t) -> Option<f64> {
    let tag = SampleValueType::try_from(raw.valueType).ok()?;
    match SampleValue::from_tag_and_union(&tag, raw.value) {
        SampleValue::F64(value) => Some(value),
        SampleValue::U32(value) => Some(f64::from(value)),
        SampleValue::U64(value) => Some(value as f64),
        SampleValue::I64(value) => Some(value as f64),
    }
}

/// Drivers from 580.82 on number some fields anew.
const fn translate(scheme: FieldIdScheme, id: u32) -> u32 {
    match (scheme, id) {
        (FieldIdScheme::V13Update1, 251..=255) => id + 18,
        (FieldIdScheme::V13Update1, 256..=273) => id - 5,
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_were_renumbered_are_found_under_both_numbers() {
        assert_eq!(translate(FieldIdScheme::V12, 251), 251);
        assert_eq!(translate(FieldIdScheme::V13Update1, 251), 269);
        assert_eq!(translate(FieldIdScheme::V13Update1, 253), 271);
        assert_eq!(translate(FieldIdScheme::V13Update1, 256), 251);
        assert_eq!(translate(FieldIdScheme::V13Update1, 230), 230);
    }
}
