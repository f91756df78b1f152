//! What an answer of NVML means for a reading, a device or all of them.

use nvml_wrapper::error::NvmlError;

use crate::samplers::accelerator::Failure;
use crate::schema::{AbsentReason, DeviceState};

/// Why a reading is absent; or an error that is not about this reading.
pub(super) fn reason(error: &NvmlError) -> Result<AbsentReason, Failure> {
    match error {
        NvmlError::NotSupported | NvmlError::InvalidArg | NvmlError::NotFound => {
            Ok(AbsentReason::NotSupported)
        }
        NvmlError::NoPermission | NvmlError::OperatingSystem => Ok(AbsentReason::NoPermission),
        NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => {
            Ok(AbsentReason::NotInLibrary)
        }
        NvmlError::GpuLost => Err(Failure::Device(DeviceState::Gone)),
        NvmlError::Uninitialized
        | NvmlError::DriverNotLoaded
        | NvmlError::LibRmVersionMismatch
        | NvmlError::LibloadingError(_)
        | NvmlError::LibraryNotFound => Err(Failure::Library(error.to_string())),
        _ => Ok(AbsentReason::Failed),
    }
}

/// Why a field of a batch is absent, by NVML's number.
pub(super) fn field_reason(code: u32) -> Result<AbsentReason, Failure> {
    match code {
        2 | 3 | 6 => Ok(AbsentReason::NotSupported),
        4 | 17 => Ok(AbsentReason::NoPermission),
        13 => Ok(AbsentReason::NotInLibrary),
        15 => Err(Failure::Device(DeviceState::Gone)),
        _ => Ok(AbsentReason::Failed),
    }
}
