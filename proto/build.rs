//! Compiles the message files in pure Rust: no `protoc` on the machine.

use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 2] = ["echelon/link/v1/link.proto", "echelon/control/v1/control.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=schema");
    if env::var_os("CARGO_FEATURE_WIRE").is_none() {
        return Ok(());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let descriptors = protox::compile(FILES, ["schema"])?;
    fs::write(
        out.join("descriptors.bin"),
        protox::prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure()
        .bytes(".echelon.link.v1.OutputChunk")
        .compile_fds(descriptors)?;
    Ok(())
}
