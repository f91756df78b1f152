//! Compiles the stand-ins for vendors' libraries, which the program carries so
//! that it can be tried without hardware.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// Vendors whose library has a stand-in: `fakes/<name>.rs`.
const VENDORS: [&str; 2] = ["nvml", "dcmi"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=fakes");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(variable("OUT_DIR"));
    // Only the agent carries them; where the compiler is no compiler, nobody.
    let is_wanted = env::var_os("CARGO_FEATURE_AGENT").is_some()
        && ["CARGO_CFG_MIRI", "CARGO_CFG_LOOM"].iter().all(|cfg| env::var_os(cfg).is_none());
    for vendor in VENDORS {
        let (source, library) = (format!("fakes/{vendor}.rs"), out.join(format!("{vendor}.so")));
        if is_wanted && Path::new(&source).exists() {
            compile(&source, &library)?;
        } else {
            fs::write(&library, b"")?;
        }
    }
    Ok(())
}

fn compile(source: &str, library: &Path) -> io::Result<()> {
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition=2024", "--crate-type=cdylib", "--crate-name=stand_in"]);
    rustc.args(["-Copt-level=s", "-Cpanic=abort", "-Cstrip=symbols", "-Clto=fat"]);
    rustc.args(["-Ccodegen-units=1", "--cap-lints=warn"]);
    rustc.arg(format!("--target={}", variable("TARGET")));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    let made = rustc.arg("-o").arg(library).arg(source).status()?;
    if made.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{source}: the stand-in could not be compiled, see above")))
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
